"""Whether the host's agent answers: one that hangs is a process like any other, and nothing tells of it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from reconciler.agent.loop import READ, Loop
from reconciler.kernel.agent_protocol import encode, unix_socket
from reconciler.kernel.host import Host

EVERY, PATIENCE = 10.0, 3.0
"""Seconds from one question to the next, and for an answer."""

# That it knows no such command is as good an answer as any, whatever its version, and the shortest.
_QUESTION = encode({"command": "pulse"})
_BLOCK = 4096


class AgentPulse:
    """Asks on the loop, without waiting. ``silent`` is called where no answer came in time."""

    def __init__(self, loop: Loop, host: Host, silent: Callable[[], None]) -> None:
        self._loop = loop
        self._host = host
        self._silent = silent
        self._asked: socket.socket | None = None
        loop.call_later(EVERY, self._ask)

    def close(self) -> None:
        """Wait for no answer any more."""
        if self._asked is not None:
            self._loop.forget(self._asked)
            self._asked.close()
            self._asked = None

    def _ask(self) -> None:
        self._loop.call_later(PATIENCE, self._judge)
        try:
            connection, address, descriptor = unix_socket(os.fspath(self._host.run))
        except OSError:
            return  # there is nothing of ours on the host
        self._asked = connection
        connection.settimeout(0)
        try:
            connection.connect(address)
            connection.sendall(_QUESTION)
        except BlockingIOError:
            pass  # so many wait for an answer that there is no room for another one
        except OSError:
            # There is none, or it has just ended: of that others tell.
            connection.close()
            self._asked = None
        else:
            self._loop.watch(connection, READ, self._hear)
        finally:
            os.close(descriptor)

    def _hear(self) -> None:
        assert self._asked is not None  # noqa: S101  # it is watched
        try:
            self._asked.recv(_BLOCK)
        except BlockingIOError:
            return
        except OSError:
            pass  # it ended
        self.close()

    def _judge(self) -> None:
        self._loop.call_later(EVERY - PATIENCE, self._ask)
        if self._asked is not None:
            self.close()
            self._silent()
