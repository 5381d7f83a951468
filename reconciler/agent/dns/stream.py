"""DNS over TCP (RFC 7766): each message behind its length; those of one connection are answered one by one."""

from __future__ import annotations

import socket
from collections.abc import Callable

from reconciler.agent.dns.deadlines import Deadlines
from reconciler.agent.loop import READ, WRITE, Loop

IDLE_SECONDS = 5.0
_OF_ONE_LISTENER, _OF_ALL = 16, 1024
_LARGEST_REQUEST = 4096

Answerer = Callable[[bytes, "Connection"], None]
"""Takes a message, and answers it by the connection's ``answer``, now or later."""


class Streams:
    """All connections of all containers: bounded in number, each for as long as something comes."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.deadlines: Deadlines[Connection] = Deadlines(loop, IDLE_SECONDS, lambda connection: connection.close())
        self._by_listener: dict[socket.socket, set[Connection]] = {}
        self._count = 0

    def accept(self, listener: socket.socket, answerer: Answerer) -> None:
        """Take what waits at the listener; one too many is closed at once."""
        try:
            peer, _ = listener.accept()
        except OSError:
            return  # it left before
        connections = self._by_listener.setdefault(listener, set())
        if len(connections) >= _OF_ONE_LISTENER or self._count >= _OF_ALL:
            peer.close()
            return
        connections.add(Connection(self, listener, peer, answerer))
        self._count += 1

    def forget(self, listener: socket.socket) -> None:
        """Close what came by that listener."""
        for connection in list(self._by_listener.get(listener, ())):
            connection.close()
        self._by_listener.pop(listener, None)

    def gone(self, connection: Connection) -> None:
        """It is closed."""
        connections = self._by_listener.get(connection.listener, set())
        if connection in connections:
            connections.remove(connection)
            self._count -= 1


class Connection:
    """One client. While a question of it is on its way, and while it does not read, it is not listened to."""

    def __init__(self, streams: Streams, listener: socket.socket, peer: socket.socket, answerer: Answerer) -> None:
        self.listener = listener
        self._streams = streams
        self._peer = peer
        self._answerer = answerer
        self._received = b""
        self._unsent = b""
        self._waiting = False
        peer.settimeout(0)
        streams.loop.watch(peer, READ, self._receive)
        streams.deadlines.renew(self)

    def answer(self, data: bytes) -> None:
        """Send the answer that was waited for, then go on with what came meanwhile; empty: there is nothing to say."""
        if self._peer.fileno() < 0 or not self._waiting:
            return
        if not data:
            self.close()
            return
        self._waiting = False
        self._unsent += len(data).to_bytes(2, "big") + data
        self._streams.deadlines.renew(self)
        self._flush()

    def close(self) -> None:
        """End it."""
        if self._peer.fileno() >= 0:
            self._streams.loop.forget(self._peer)
            self._peer.close()
        self._streams.deadlines.drop(self)
        self._streams.gone(self)

    def _receive(self) -> None:
        try:
            block = self._peer.recv(_LARGEST_REQUEST)
        except BlockingIOError:
            return
        except OSError:
            block = b""
        if not block:
            self.close()
            return
        self._received += block
        self._streams.deadlines.renew(self)
        self._next()

    def _next(self) -> None:
        """Answer the first message that is complete; the others when that is done."""
        end = 2 + int.from_bytes(self._received[:2], "big")
        if end > _LARGEST_REQUEST:
            self.close()
            return
        if len(self._received) < max(end, 2):
            self._streams.loop.watch(self._peer, READ, self._receive)
            return
        data, self._received = self._received[2:end], self._received[end:]
        self._streams.loop.forget(self._peer)
        self._waiting = True
        # Not from here: a client that sends a thousand questions at once would go a thousand calls deep.
        self._streams.loop.call_later(0, lambda: self._answerer(data, self) if self._waiting else None)

    def _flush(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self._peer.send(self._unsent) :]
        except BlockingIOError:
            self._streams.loop.watch(self._peer, WRITE, self._flush)
            return
        except OSError:
            self.close()
            return
        self._next()
