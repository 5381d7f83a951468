"""What the agent and its clients agree on: files in the run folder, and lines of JSON over a Unix socket.

Imported by the agent, so only what is light stands here.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any

SOCKET_FILE = "agent.sock"
LOCK_FILE = "agent.lock"
LOG_FILE = "agent.log"
DATA_DIRECTORY = "agent"
"""Of one file per stack, ``STACK.json``: a generation and a section for each concern, see kernel/agent_data.py."""

READY = "ready"
RUNNING = "running"
"""On standard output the agent says one line when it has begun: this, where another one runs already, or READY."""

LARGEST_MESSAGE = 1 << 24

Message = dict[str, Any]


def encode(message: Message) -> bytes:
    """One line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Message:
    """The message of one line. Raises ValueError."""
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("not an object")  # noqa: TRY004 - a malformed message, whatever its form
    return message


def unix_socket(run_directory: str, file_name: str = SOCKET_FILE) -> tuple[socket.socket, str, int]:
    """A Unix socket, the address of that file in that run folder, and a descriptor to close after using it.

    An address of a Unix socket has 107 bytes (unix(7)), too few for some run folders; through a
    descriptor of the folder it is always short.
    """
    descriptor = os.open(run_directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return socket.socket(socket.AF_UNIX), f"/proc/self/fd/{descriptor}/{file_name}", descriptor
