"""The agent's control socket: requests and answers of one JSON line each, for root only."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from reconciler.agent.loop import READ, WRITE, Loop
from reconciler.kernel.agent_protocol import LARGEST_MESSAGE, SOCKET_FILE, Message, decode, encode, unix_socket

Command = Callable[[Message], Message]
_BLOCK = 65536


class ControlServer:
    """Answers ``{"command": NAME, …}`` with what ``commands[NAME]`` gives, or with ``{"error": …}``."""

    def __init__(
        self, loop: Loop, run_directory: str, commands: dict[str, Command], file_name: str = SOCKET_FILE
    ) -> None:
        self._loop = loop
        self._commands = commands
        self._run_directory = run_directory
        self._file_name = file_name
        self._listener = _listener(run_directory, file_name)
        self._connections: set[Connection] = set()
        loop.watch(self._listener, READ, self._accept)

    def answer(self, line: bytes) -> Message:
        """The answer to one request; a command's ValueError or OSError is said to whoever asked."""
        try:
            request = decode(line)
            command = self._commands.get(str(request.get("command")))
            if command is None:
                return {"error": f"no command {request.get('command')!r}"}
            return command(request)
        except (ValueError, KeyError, OSError) as error:
            return {"error": str(error)}

    def drop(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        self._connections.discard(connection)

    def close(self) -> None:
        """Stop listening, after a last try to send the answers that wait."""
        self._loop.forget(self._listener)
        self._listener.close()
        probe, address, descriptor = unix_socket(self._run_directory, self._file_name)
        probe.close()
        with suppress(FileNotFoundError):
            os.unlink(address)  # noqa: PTH108 - pathlib costs the agent 5 ms
        os.close(descriptor)
        for connection in list(self._connections):
            connection.flush()
            connection.close()

    def _accept(self) -> None:
        peer, _ = self._listener.accept()
        # The file's mode keeps others out already; a descriptor handed to somebody else would not.
        _, user, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
        if user not in {0, os.geteuid()}:
            peer.close()
            return
        self._connections.add(Connection(self._loop, self, peer))


class Connection:
    """One client; it is never waited for."""

    def __init__(self, loop: Loop, server: ControlServer, peer: socket.socket) -> None:
        self._loop = loop
        self._server = server
        self._peer = peer
        self._received = b""
        self._unsent = b""
        peer.settimeout(0)
        loop.watch(peer, READ, self._receive)

    def _receive(self) -> None:
        try:
            block = self._peer.recv(_BLOCK)
        except BlockingIOError:
            return
        except OSError:
            block = b""
        self._received += block
        if not block or len(self._received) > LARGEST_MESSAGE:
            self.close()
            return
        *lines, self._received = self._received.split(b"\n")
        for line in lines:
            self._unsent += encode(self._server.answer(line))
        self.flush()

    def flush(self) -> None:
        """Send what goes without waiting; the rest when the client has read some."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self._peer.send(self._unsent) :]
        except BlockingIOError:
            # Requests wait until the answers before them are gone, so that a client cannot fill our memory.
            self._loop.watch(self._peer, WRITE, self.flush)
            return
        except OSError:
            self.close()
            return
        self._loop.watch(self._peer, READ, self._receive)

    def close(self) -> None:
        """End it."""
        if self._peer.fileno() >= 0:
            self._loop.forget(self._peer)
            self._peer.close()
        self._server.drop(self)


def _listener(run_directory: str, file_name: str) -> socket.socket:
    listener, address, descriptor = unix_socket(run_directory, file_name)
    try:
        # What stands there is of an agent that was killed: the lock says that no other one lives.
        with suppress(FileNotFoundError):
            os.unlink(address)  # noqa: PTH108 - pathlib costs the agent 5 ms
        previous = os.umask(0o177)
        try:
            listener.bind(address)
        finally:
            os.umask(previous)
        listener.listen(16)
        listener.settimeout(0)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(descriptor)
    return listener
