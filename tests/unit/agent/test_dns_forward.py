"""Questions that go on, and connections: real sockets on the loopback, without a sandbox."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from dnslib import RCODE, DNSRecord

from reconciler.agent.dns import forward, stream
from reconciler.agent.dns.deadlines import Deadlines
from reconciler.agent.dns.forward import Forwarder, Upstream
from reconciler.agent.dns.stream import Connection, Streams
from reconciler.agent.loop import READ, Loop

HERE = Upstream("127.0.0.1", from_host=True)
OTHER = Upstream("127.0.0.2", from_host=True)
ASKED = bytes(DNSRecord.question("example.org").pack())


def unexpected(error: BaseException) -> None:
    raise error


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop(unexpected)
    yield made
    made.close()


@pytest.fixture
def asker() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        yield made


class Server:
    """Answers at a port of the loopback as ``say`` does; ``None``: not at all."""

    def __init__(self, loop: Loop, address: str, port: int, say: Callable[[bytes], list[bytes]]) -> None:
        self.asked: list[bytes] = []
        self._loop = loop
        self._say = say
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.datagrams.bind((address, self.listener.getsockname()[1]))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        loop.watch(self.datagrams, READ, self._on_datagram)
        loop.watch(self.listener, READ, self._on_connection)

    def _on_datagram(self) -> None:
        data, peer = self.datagrams.recvfrom(4096)
        self.asked.append(data)
        for each in self._say(data):
            self.datagrams.sendto(each, peer)

    def _on_connection(self) -> None:
        client, _ = self.listener.accept()
        self._loop.watch(client, READ, lambda: self._on_stream(client))

    def _on_stream(self, client: socket.socket) -> None:
        self._loop.forget(client)
        with client:
            data = client.recv(4096)[2:]
            self.asked.append(data)
            for each in self._say(data):
                client.sendall(len(each).to_bytes(2, "big") + each)

    def close(self) -> None:
        self.datagrams.close()
        self.listener.close()


ServerMaker = Callable[..., Server]


@pytest.fixture
def serve(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerMaker]:
    made: list[Server] = []

    def make(say: Callable[[bytes], list[bytes]], address: str = "127.0.0.1") -> Server:
        server = Server(loop, address, made[0].port if made else 0, say)
        made.append(server)
        monkeypatch.setattr(forward, "PORT", server.port)
        return server

    yield make
    for server in made:
        loop.forget(server.datagrams)
        loop.forget(server.listener)
        server.close()


def right(data: bytes, code: int = 0) -> bytes:
    reply = DNSRecord.parse(data).reply()
    reply.header.rcode = code
    return bytes(reply.pack())


def run(loop: Loop, until: Callable[[], object], seconds: float = 5.0) -> None:
    """Serve until that is so."""
    deadline = time.monotonic() + seconds

    def look() -> None:
        if until() or time.monotonic() > deadline:
            loop.stop()
        else:
            loop.call_later(0.002, look)

    loop.call_later(0, look)
    loop.run()
    assert until()


def ask(forwarder: Forwarder, asker: socket.socket, servers: list[Upstream], **more: Any) -> list[bytes]:
    got: list[bytes] = []
    options: dict[str, Any] = {"client": "c", "stream": False, **more}
    forwarder.ask(asker, servers, options.pop("data", ASKED), got.append, **options)
    return got


@pytest.mark.parametrize("over_tcp", [False, True])
def test_the_answer_comes_back_under_the_askers_identifier(
    loop: Loop, asker: socket.socket, serve: ServerMaker, over_tcp: bool
) -> None:
    server = serve(lambda data: [right(data)])
    got = ask(Forwarder(loop), asker, [HERE], stream=over_tcp)
    run(loop, lambda: got)
    assert got == [ASKED[:2] + right(server.asked[0])[2:]]
    assert server.asked[0][2:] == ASKED[2:]


def test_identifiers_and_ports_are_not_to_be_guessed(loop: Loop, asker: socket.socket, serve: ServerMaker) -> None:
    server = serve(lambda data: [right(data)])
    forwarder = Forwarder(loop)
    got = [ask(forwarder, asker, [HERE], client=number) for number in range(40)]
    run(loop, lambda: all(got))
    assert len({data[:2] for data in server.asked}) > 35


def test_forgeries_are_passed_over(loop: Loop, asker: socket.socket, serve: ServerMaker) -> None:
    def say(data: bytes) -> list[bytes]:
        wrong_identifier = bytes((data[0] ^ 1,)) + right(data)[1:]
        wrong_question = data[:2] + right(bytes(DNSRecord.question("example.com").pack()))[2:]
        return [b"", wrong_identifier, wrong_question, data, right(data)]

    server = serve(say)
    got = ask(Forwarder(loop), asker, [HERE])
    run(loop, lambda: got)
    assert got[0][2:] == right(server.asked[0])[2:]


def test_nobody_else_may_answer_for_the_server(loop: Loop, asker: socket.socket, serve: ServerMaker) -> None:
    forged = []
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stranger.bind(("127.0.0.2", 0))

    server = serve(lambda _data: [])
    forwarder = Forwarder(loop)
    got = ask(forwarder, asker, [HERE])
    run(loop, lambda: server.asked)
    (question,) = forwarder._by_asker[asker].values()
    assert question._socket is not None
    stranger.sendto(right(server.asked[0], 3), ("127.0.0.1", question._socket.getsockname()[1]))
    stranger.close()
    forged.append(True)
    loop.call_later(0.05, loop.stop)
    loop.run()
    assert got == []
    forwarder.forget(asker)


@pytest.mark.parametrize("code", [RCODE.SERVFAIL, RCODE.REFUSED, RCODE.NOTIMP])
def test_a_server_that_cannot_is_followed_by_the_next(
    loop: Loop, asker: socket.socket, serve: ServerMaker, code: int
) -> None:
    first = serve(lambda data: [right(data, code)])
    second = serve(lambda data: [right(data, RCODE.NXDOMAIN)], "127.0.0.2")
    got = ask(Forwarder(loop), asker, [HERE, OTHER])
    run(loop, lambda: got)
    assert DNSRecord.parse(got[0]).header.rcode == RCODE.NXDOMAIN
    assert (len(first.asked), len(second.asked)) == (1, 1)


@pytest.mark.parametrize("over_tcp", [False, True])
def test_where_nobody_listens_it_fails_at_once(
    loop: Loop, asker: socket.socket, serve: ServerMaker, over_tcp: bool
) -> None:
    serve(lambda data: [right(data)])
    started = time.monotonic()
    got = ask(Forwarder(loop), asker, [OTHER], stream=over_tcp)
    run(loop, lambda: got)
    assert DNSRecord.parse(got[0]).header.rcode == RCODE.SERVFAIL
    assert time.monotonic() - started < 1


def test_silence_is_followed_by_the_next_and_ends(
    loop: Loop, asker: socket.socket, serve: ServerMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "SECONDS", 0.03)
    silent = serve(lambda _data: [])
    forwarder = Forwarder(loop)
    got = ask(forwarder, asker, [HERE])
    run(loop, lambda: got)
    assert DNSRecord.parse(got[0]).header.rcode == RCODE.SERVFAIL
    assert len(silent.asked) == 3
    assert len({data[:2] for data in silent.asked}) > 1
    assert (forwarder._count, forwarder._by_asker, len(forwarder.deadlines)) == (0, {}, 0)


def test_refused_by_the_last_is_no_answer(loop: Loop, asker: socket.socket, serve: ServerMaker) -> None:
    serve(lambda data: [right(data, RCODE.REFUSED)])
    got = ask(Forwarder(loop), asker, [HERE])
    run(loop, lambda: got)
    assert DNSRecord.parse(got[0]).header.rcode == RCODE.SERVFAIL


def test_it_never_asks_itself(loop: Loop, asker: socket.socket) -> None:
    got = ask(Forwarder(loop), asker, [Upstream("127.0.0.11")])
    assert DNSRecord.parse(got[0]).header.rcode == RCODE.SERVFAIL


def test_questions_on_their_way_are_bounded_and_asked_once(
    loop: Loop, asker: socket.socket, serve: ServerMaker
) -> None:
    server = serve(lambda _data: [])
    forwarder = Forwarder(loop)
    got = [ask(forwarder, asker, [HERE], client=number) for number in range(70)]
    again = ask(forwarder, asker, [HERE], client=0)
    assert [bool(each) for each in got] == [False] * 64 + [True] * 6
    assert again == []
    assert forwarder._count == 64
    run(loop, lambda: len(server.asked) == 64)
    forwarder.forget(asker)
    assert (forwarder._count, forwarder._by_asker, len(forwarder.deadlines)) == (0, {}, 0)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        made.listen(64)
        made.settimeout(0)
        yield made


@pytest.fixture
def streams(loop: Loop, listener: socket.socket) -> Iterator[Streams]:
    made = Streams(loop)
    yield made
    made.forget(listener)


def echo(data: bytes, connection: Connection) -> None:
    connection.answer(data)


def client_of(streams: Streams, listener: socket.socket, answerer: Any = echo) -> socket.socket:
    client = socket.create_connection(listener.getsockname())
    client.settimeout(0)
    streams.accept(listener, answerer)
    return client


def received(client: socket.socket) -> bytes | None:
    try:
        return client.recv(1 << 20)
    except BlockingIOError:
        return None


def test_messages_in_pieces_and_in_a_row_are_answered_in_order(
    loop: Loop, listener: socket.socket, streams: Streams
) -> None:
    client = client_of(streams, listener)
    wire = b"".join(len(each).to_bytes(2, "big") + each for each in (b"first", b"second", b"x" * 3000))
    got = b""

    def look() -> bool:
        nonlocal got
        got += received(client) or b""
        return got == wire

    for place in range(0, len(wire), 700):
        client.send(wire[place : place + 700])
    run(loop, look)
    client.close()
    run(loop, lambda: streams._count == 0)


def test_a_thousand_questions_at_once_do_not_hold_up_the_loop(
    loop: Loop, listener: socket.socket, streams: Streams
) -> None:
    client = client_of(streams, listener)
    turns = []
    loop.call_later(0.001, lambda: turns.append(1))
    client.send(b"\0\1x" * 1300)
    total = 0

    def look() -> bool:
        nonlocal total
        total += len(received(client) or b"")
        return total == 3900

    run(loop, look)
    assert turns
    client.close()


@pytest.mark.parametrize("data", [b"\xff\xffhello", b"\0\0"])
def test_what_cannot_be_a_question_ends_the_connection(
    loop: Loop, listener: socket.socket, streams: Streams, data: bytes
) -> None:
    client = client_of(streams, listener)
    client.send(data)
    run(loop, lambda: received(client) == b"")
    assert streams._count == 0
    client.close()


def test_connections_are_bounded_and_end_when_idle(
    loop: Loop, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "IDLE_SECONDS", 0.1)
    streams = Streams(loop)
    clients = [client_of(streams, listener) for _ in range(20)]
    assert streams._count == 16
    assert [received(each) for each in clients] == [None] * 16 + [b""] * 4
    run(loop, lambda: streams._count == 0)
    assert received(clients[0]) == b""
    for each in clients:
        each.close()


def test_an_answer_that_comes_late_meets_nobody(loop: Loop, listener: socket.socket, streams: Streams) -> None:
    waiting: list[Connection] = []
    client = client_of(streams, listener, lambda _data, connection: waiting.append(connection))
    client.send(b"\0\1x")
    run(loop, lambda: waiting)
    streams.forget(listener)
    waiting[0].answer(b"late")
    assert received(client) == b""
    assert (streams._count, len(streams.deadlines)) == (0, 0)
    client.close()


def test_a_client_that_does_not_read_is_not_read_from(loop: Loop, listener: socket.socket, streams: Streams) -> None:
    big = b"y" * 60000
    client = client_of(streams, listener, lambda _data, connection: connection.answer(big))
    client.settimeout(0)
    sent = 0
    for _ in range(200):
        try:
            sent += client.send(b"\0\1x" * 1000)
        except BlockingIOError:
            break
        loop.call_later(0.001, loop.stop)
        loop.run()
    (connection,) = streams._by_listener[listener]
    assert len(connection._unsent) <= len(big) + 2
    assert len(connection._received) <= 8192
    streams.forget(listener)
    client.close()


def test_deadlines_end_what_was_not_renewed_in_order(loop: Loop) -> None:
    ended: list[str] = []
    deadlines: Deadlines[str] = Deadlines(loop, 0.25, ended.append)
    for item in ("a", "b", "c"):
        deadlines.renew(item)
    loop.call_later(0.15, lambda: deadlines.renew("a"))
    loop.call_later(0.15, lambda: deadlines.drop("b"))
    loop.call_later(0.35, lambda: ended.append("now"))
    run(loop, lambda: len(ended) == 3)
    assert ended == ["c", "now", "a"]
    assert len(deadlines) == 0
