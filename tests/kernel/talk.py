"""Real packets: servers that say who they are and whom they see, and clients that ask them.

All sockets are made inside the namespace they belong to and are then used from here, so a
question costs no process.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import selectors
import socket
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from tests.kernel.isolation import inside

Protocol = Literal["tcp", "udp"]

_IP_PKTINFO = 8  # linux/in.h; the socket module of 3.11 lacks it
_RST_ON_CLOSE = struct.pack("ii", 1, 0)


class Answer(NamedTuple):
    """What a server said: its own name, and the address and port that it saw the question come from."""

    name: str
    peer_address: str
    peer_port: int


def attempt(
    namespace: Path | None,
    address: str,
    port: int,
    protocol: Protocol = "tcp",
    *,
    timeout: float = 3.0,
    source: str | None = None,
) -> Answer | str:
    """Ask the Server at that address; its answer, or why there is none.

    ``timeout`` in seconds. The reason is ``timed out``, ``refused``, or the kernel's word
    (``No route to host``).
    """
    try:
        with connected(namespace, address, port, protocol, timeout=timeout, source=source) as client:
            return _parse(client.recv(4096) if protocol == "tcp" else _ask_datagram(client, timeout))
    except TimeoutError:
        return "timed out"
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return error.strerror or str(error)


def ping(namespace: Path | None, address: str, *, timeout: float = 3.0) -> bool:
    """Whether the address answers an ICMP echo request (RFC 792, RFC 4443)."""
    ipv6 = ":" in address
    family, protocol, kind, answer = (
        (socket.AF_INET6, socket.IPPROTO_ICMPV6, 128, 129) if ipv6 else (socket.AF_INET, socket.IPPROTO_ICMP, 8, 0)
    )

    def ask() -> bool:
        with socket.socket(family, socket.SOCK_RAW, protocol) as client:
            client.settimeout(timeout)
            body = struct.pack("!BBHHH", kind, 0, 0, os.getpid() & 0xFFFF, 1)
            # The kernel sums ICMPv6 itself, over a header that only it knows.
            body = body if ipv6 else body[:2] + struct.pack("!H", _checksum(body)) + body[4:]
            try:
                client.sendto(body, (address, 0))
                while True:
                    packet, sender = client.recvfrom(2048)
                    offset = 0 if ipv6 else (packet[0] & 15) * 4
                    if sender[0] == address and packet[offset] == answer:
                        return True
            except OSError:
                return False

    return inside(namespace, ask) if namespace else ask()


def _checksum(packet: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def exchange(namespace: Path | None, address: str, port: int, question: bytes, *, timeout: float = 3.0) -> bytes | None:
    """Send the question over TCP and return all that comes until the other side closes; None: no connection."""
    answer = b""
    try:
        with connected(namespace, address, port, "tcp", timeout=timeout) as client:
            client.sendall(question)
            while piece := client.recv(65536):
                answer += piece
    except OSError:
        return answer or None
    return answer


def connected(
    namespace: Path | None,
    address: str,
    port: int,
    protocol: Protocol,
    *,
    timeout: float,
    source: str | None = None,
) -> socket.socket:
    """A socket of that namespace, connected. Raises OSError; TimeoutError after ``timeout`` seconds."""
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    plain, _, zone = address.partition("%")
    family = _family(plain)

    def make() -> tuple[socket.socket, int]:
        return socket.socket(family, kind), socket.if_nametoindex(zone) if zone else 0

    client, scope = inside(namespace, make)
    try:
        client.settimeout(timeout)
        if source is not None:
            client.bind((source, 0))
        client.connect((plain, port, 0, scope) if family == socket.AF_INET6 else (plain, port))
        if protocol == "tcp":
            # No TIME_WAIT: hundreds of questions must not use up ports.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
    except BaseException:
        client.close()
        raise
    return client


class Connection:
    """A TCP connection to a Server that is kept open, to prove that it survives what happens."""

    def __init__(self, namespace: Path | None, address: str, port: int) -> None:
        self._socket = connected(namespace, address, port, "tcp", timeout=3.0)
        self.answer = _parse(self._socket.recv(4096))
        self._count = 0

    def alive(self, timeout: float = 2.0) -> bool:
        """Whether a fresh line makes it there and back within ``timeout`` seconds."""
        self._count += 1
        line = f"still there? {self._count}\n".encode()
        try:
            self._socket.settimeout(timeout)
            self._socket.sendall(line)
            heard = b""
            while len(heard) < len(line):
                piece = self._socket.recv(len(line) - len(heard))
                if not piece:
                    return False
                heard += piece
        except OSError:
            return False
        return heard == line

    def close(self) -> None:
        """End it."""
        self._socket.close()


class Server:
    """Answers ``NAME PEER-ADDRESS PEER-PORT`` on TCP and UDP ports, then echoes what comes over TCP.

    Its open sockets keep their namespace alive, as any program's would: ``close`` it before
    looking whether a namespace went.
    """

    def __init__(
        self,
        namespace: Path | None,
        name: str,
        ports: Sequence[int],
        protocols: Sequence[Protocol] = ("tcp", "udp"),
        addresses: Sequence[str] = ("0.0.0.0", "::"),
    ) -> None:
        self._name = name
        self._selector = selectors.DefaultSelector()
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._selector.register(self._wake_receiver, selectors.EVENT_READ, None)
        wanted = [(address, port, protocol) for address in addresses for port in ports for protocol in protocols]
        try:
            for listener in inside(namespace, lambda: [_listener(*each) for each in wanted]):
                action = self._accept if listener.type == socket.SOCK_STREAM else self._answer_datagram
                self._selector.register(listener, selectors.EVENT_READ, action)
        except BaseException:
            self._close_sockets()
            raise
        self._thread = threading.Thread(target=self._run, name=f"server {name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close every socket; connections are cut."""
        with contextlib.suppress(OSError):
            self._wake_sender.send(b"x")
        self._thread.join(5)

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    self._close_sockets()
                    return
                # A client that went away is no concern of the others.
                with contextlib.suppress(OSError):
                    key.data(key.fileobj)

    def _accept(self, listener: socket.socket) -> None:
        client, peer = listener.accept()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
        client.sendall(self._introduction(peer))
        self._selector.register(client, selectors.EVENT_READ, self._echo)

    def _echo(self, client: socket.socket) -> None:
        try:
            line = client.recv(4096)
        except OSError:
            line = b""
        if line:
            client.sendall(line)
        else:
            self._selector.unregister(client)
            client.close()

    def _answer_datagram(self, listener: socket.socket) -> None:
        _, ancillary, _, peer = listener.recvmsg(4096, 256)
        listener.sendmsg([self._introduction(peer)], [_reply_from(*each) for each in ancillary], 0, peer)

    def _introduction(self, peer: tuple[str, int]) -> bytes:
        return f"{self._name} {peer[0]} {peer[1]}\n".encode()

    def _close_sockets(self) -> None:
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._wake_sender.close()
        self._selector.close()


def _listener(address: str, port: int, protocol: Protocol) -> socket.socket:
    family = _family(address)
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    listener = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol == "tcp":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        elif family == socket.AF_INET:
            listener.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        else:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        listener.bind((address, port))
        if protocol == "tcp":
            listener.listen(64)
    except BaseException:
        listener.close()
        raise
    return listener


def _reply_from(level: int, kind: int, data: bytes) -> tuple[int, int, bytes]:
    """Ancillary data that sends a reply from the address that was asked, as a good UDP server does."""
    if level == socket.IPPROTO_IP:
        asked = data[8:12]
        return level, kind, struct.pack("@i4s4s", 0, asked, asked)
    return level, kind, data[:16] + struct.pack("@I", 0)


def _ask_datagram(client: socket.socket, timeout: float) -> bytes:
    """Ask up to three times: the first datagram may be lost while a neighbour's address is being found."""
    client.settimeout(timeout / 3)
    for _ in range(2):
        client.send(b"?")
        with contextlib.suppress(TimeoutError):
            return client.recv(4096)
    client.send(b"?")
    return client.recv(4096)


def _parse(answer: bytes) -> Answer:
    if not answer:
        raise ConnectionResetError(104, "closed without an answer")
    name, address, port = answer.decode().split()
    return Answer(name, address, int(port))


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
