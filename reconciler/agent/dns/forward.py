"""Questions that go on to the servers of a container, from a socket of their own in its namespace."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from reconciler.agent.dns import inside, message
from reconciler.agent.dns.answer import failure
from reconciler.agent.dns.deadlines import Deadlines
from reconciler.agent.loop import READ, WRITE, Loop
from reconciler.kernel.name_redirect import ADDRESS, PORT

SECONDS = 1.5
"""What one attempt may take. Clients give up, or ask again, after 2.5 (musl) and 5 seconds (glibc)."""

_ATTEMPTS = 3
_OF_ONE_ASKER, _OF_ALL = 64, 1024
_STRANGERS = 16
"""So many datagrams that are no answer are passed over: more is somebody guessing identifiers."""

_UNABLE = frozenset({message.SERVFAIL, message.NOTIMP, message.REFUSED})


class Upstream(NamedTuple):
    """A server's address, asked from inside the container or from the host."""

    address: str
    from_host: bool = False


Receiver = Callable[[bytes], None]
"""Takes the answer, with the identifier of the request."""


class Forwarder:
    """Asks the servers. An asker is known by its socket, in whose namespace the questions are asked."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.deadlines: Deadlines[Question] = Deadlines(loop, SECONDS, lambda question: question.go_on())
        self._by_asker: dict[socket.socket, dict[tuple[object, bytes], Question]] = {}
        self._count = 0

    def ask(
        self,
        asker: socket.socket,
        servers: Sequence[Upstream],
        data: bytes,
        receive: Receiver,
        *,
        client: object,
        stream: bool,
    ) -> None:
        """Ask the servers one after the other; ``receive`` gets the answer, or a failure.

        What the same ``client`` asks again while it waits is one question.
        """
        waiting = self._by_asker.setdefault(asker, {})
        key = (client, data)
        if key in waiting:
            return
        if len(waiting) >= _OF_ONE_ASKER or self._count >= _OF_ALL:
            receive(failure(data))
            return
        usable = [server for server in servers if server.from_host or server.address != ADDRESS]
        question = Question(self, asker, (usable * _ATTEMPTS)[:_ATTEMPTS], data, receive, stream=stream, key=key)
        waiting[key] = question
        self._count += 1
        question.go_on()

    def forget(self, asker: socket.socket) -> None:
        """Give up all that it asked; nothing stays open in its namespace."""
        for question in list(self._by_asker.pop(asker, {}).values()):
            question.close()
            self._count -= 1

    def done(self, question: Question) -> None:
        """It has its answer."""
        waiting = self._by_asker.get(question.asker, {})
        if waiting.pop(question.key, None) is not None:
            self._count -= 1
        if not waiting:
            self._by_asker.pop(question.asker, None)


class Question:
    """One question on its way."""

    def __init__(
        self,
        forwarder: Forwarder,
        asker: socket.socket,
        servers: list[Upstream],
        data: bytes,
        receive: Receiver,
        *,
        stream: bool,
        key: tuple[object, bytes],
    ) -> None:
        self.asker = asker
        self.key = key
        self._forwarder = forwarder
        self._servers = servers
        self._data = data
        self._receive = receive
        self._stream = stream
        self._socket: socket.socket | None = None
        self._asked = b""
        self._buffer = b""
        self._strangers = 0

    def go_on(self) -> None:
        """Ask the next server; without one left the question has failed."""
        self.close()
        while self._servers:
            server = self._servers.pop(0)
            # Unpredictable, as is the port that the kernel chooses: that is all that keeps forgers out (RFC 5452).
            self._asked = os.urandom(2) + self._data[2:]
            self._buffer, self._strangers = b"", 0
            try:
                self._start(server)
            except (OSError, ValueError):
                self.close()
                continue
            self._forwarder.deadlines.renew(self)
            return
        self._finish(failure(self._data))

    def close(self) -> None:
        """Close its socket; nothing is answered."""
        self._forwarder.deadlines.drop(self)
        if self._socket is not None:
            self._forwarder.loop.forget(self._socket)
            self._socket.close()
            self._socket = None

    def _start(self, server: Upstream) -> None:
        family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
        kind = socket.SOCK_STREAM if self._stream else socket.SOCK_DGRAM
        made = self._socket = inside.make_socket(None if server.from_host else self.asker, family, kind)
        made.settimeout(0)
        with suppress(BlockingIOError):
            # Connected, the kernel takes only what comes from there, and tells when nobody listens.
            made.connect((server.address, PORT))
        if self._stream:
            self._forwarder.loop.watch(made, WRITE, self._on_connected)
        else:
            made.send(self._asked)
            self._forwarder.loop.watch(made, READ, self._on_datagram)

    def _on_connected(self) -> None:
        if self._socket is None:
            return
        framed = len(self._asked).to_bytes(2, "big") + self._asked
        try:
            # A fresh connection has room for it.
            complete = self._socket.send(framed) == len(framed)
        except OSError:
            complete = False
        if complete:
            self._forwarder.loop.watch(self._socket, READ, self._on_stream)
        else:
            self.go_on()

    def _on_stream(self) -> None:
        if self._socket is None:
            return
        try:
            block = self._socket.recv(message.LARGEST_STREAM + 2)
        except BlockingIOError:
            return
        except OSError:
            block = b""
        if not block:
            self.go_on()
            return
        self._buffer += block
        end = 2 + int.from_bytes(self._buffer[:2], "big")
        if len(self._buffer) >= max(end, 3):
            self._take(self._buffer[2:end])

    def _on_datagram(self) -> None:
        if self._socket is None:
            return
        try:
            data = self._socket.recv(message.LARGEST_STREAM)
        except BlockingIOError:
            return
        except OSError:
            self.go_on()  # nobody listens there, or no way leads there
            return
        self._take(data)

    def _take(self, data: bytes) -> None:
        if not message.answers(data, self._asked):
            self._strangers += 1
            if self._stream or self._strangers > _STRANGERS:
                self.go_on()
        elif message.code_of(data) not in _UNABLE:
            self._finish(self._data[:2] + data[2:])
        elif self._servers:
            self.go_on()
        else:
            # musl passes over REFUSED and waits; for the asker it is the same: there is no answer.
            self._finish(message.with_code(self._data[:2] + data[2:], message.SERVFAIL))

    def _finish(self, data: bytes) -> None:
        self.close()
        self._forwarder.done(self)
        self._receive(data)
