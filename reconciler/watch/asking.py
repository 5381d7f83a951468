"""Asking the host's watcher how it is, from another process."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reconciler.kernel.agent_protocol import decode, encode, unix_socket
from reconciler.watch.alone import SOCKET_FILE

_SILENCE = 1.5
_BLOCK = 65536


class SilentError(Exception):
    """The watcher took the question and did not answer it; ``pid`` is its process."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"process {pid} did not answer")
        self.pid = pid


def ask(run_directory: Path, patience: float, on_silence: Callable[[int], None] = lambda _pid: None) -> dict[str, Any]:
    """What the watcher of the host with this run folder says of itself, as `report.document` made it.

    ``on_silence`` is told its process once, where the answer takes more than a moment. Raises SilentError
    where there is none for ``patience`` seconds; BlockingIOError where so many ask that it has no room for
    another one; another OSError, ValueError where nobody watches.
    """
    connection, address, descriptor = unix_socket(str(run_directory), SOCKET_FILE)
    try:
        connection.settimeout(patience)
        connection.connect(address)
        connection.sendall(encode({"command": "status"}))
        return decode(_answer(connection, patience, on_silence))
    finally:
        connection.close()
        os.close(descriptor)


def _answer(connection: socket.socket, patience: float, on_silence: Callable[[int], None]) -> bytes:
    # struct ucred (unix(7)) of who listens.
    pid = struct.unpack("=3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    end = time.monotonic() + patience
    has_told = patience <= _SILENCE
    answer = b""
    while not answer.endswith(b"\n"):
        left = end - time.monotonic()
        if left <= 0:
            raise SilentError(pid)
        connection.settimeout(left if has_told else min(left, _SILENCE))
        try:
            block = connection.recv(_BLOCK)
        except TimeoutError:
            if not has_told:
                on_silence(pid)
            has_told = True
            continue
        if not block:
            break
        answer += block
    return answer
