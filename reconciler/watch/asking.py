"""Asking the host's watcher how it is, from another process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from reconciler.kernel.agent_protocol import decode, encode, unix_socket
from reconciler.watch.alone import SOCKET_FILE

_BLOCK = 65536


def ask(run_directory: Path, patience: float) -> dict[str, Any]:
    """What the watcher of the host with this run folder says of itself, as `report.document` made it.

    Raises TimeoutError where there is no answer for ``patience`` seconds; OSError, ValueError where nobody watches.
    """
    connection, address, descriptor = unix_socket(str(run_directory), SOCKET_FILE)
    try:
        connection.settimeout(patience)
        connection.connect(address)
        connection.sendall(encode({"command": "status"}))
        answer = b""
        while not answer.endswith(b"\n") and (block := connection.recv(_BLOCK)):
            answer += block
        return decode(answer)
    finally:
        connection.close()
        os.close(descriptor)
