"""Removes connection tracking entries of published ports that changed.

A flow keeps the translation that it began with, so a UDP client with a fixed port would
talk to the old container for ever. The few messages of ctnetlink that this needs are coded
here: pyroute2 takes 120 ms to import, and decodes every attribute of every entry.
(linux/netfilter/nfnetlink_conntrack.h)
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from reconciler.errors import NetapplyError
from reconciler.firewall.policy import PublishedPort

_NETLINK_NETFILTER = 12
_SOL_NETLINK, _STRICT, _SO_RCVBUFFORCE = 270, 12, 33
_GET, _DELETE = 0x101, 0x102
"""NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, IPCTNL_MSG_CT_DELETE."""
_REQUEST, _ACKNOWLEDGE, _DUMP, _INTERRUPTED = 0x1, 0x4, 0x300, 0x10
_ERROR, _DONE = 2, 3
_TUPLE_ORIGINAL, _TUPLE_REPLY, _ID, _ZONE = 1, 2, 12, 18
_TUPLE_IP, _TUPLE_PROTOCOL = 1, 2
_SOURCES = {socket.AF_INET: (1, 2), socket.AF_INET6: (3, 4)}
"""CTA_IP_V4_SRC and _DST, CTA_IP_V6_SRC and _DST."""
_NUMBER, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3
_TYPE = 0x3FFF
_NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}
_ATTEMPTS = 5


class Flow(NamedTuple):
    """Which entries are meant: those of a published port.

    ``address`` is the host's, ``0.0.0.0`` or ``::`` for any. ``target``: container address
    and port that the entries lead to; None for those that lead nowhere else, because the
    port was not published when they began.
    """

    protocol: str
    address: str
    port: int
    target: tuple[str, int] | None


def flow_of(port: PublishedPort) -> Flow:
    """What went through a port that goes or moves."""
    return Flow(port.protocol, port.host_address, port.host_port, (port.target_address, port.target_port))


def untranslated(port: PublishedPort) -> Flow:
    """What went to the host itself before a port was published; it would go on doing so."""
    return flow_of(port)._replace(target=None)


def remove(flows: Iterable[Flow]) -> int:
    """Remove the entries of these flows in this thread's namespace; how many they were.

    Entries of other ports, and of the same port to another target, stay. One that ends by
    itself meanwhile is no error. Raises NetapplyError where the kernel refuses.
    """
    wanted = _Wanted(flows)
    if not wanted.flows:
        return 0
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as netlink:
            netlink.setsockopt(_SOL_NETLINK, _STRICT, 1)
            netlink.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 4 << 20)
            return sum(_remove_family(netlink, family, wanted) for family in wanted.families)
    except OSError as error:
        message = f"connections of changed ports could not be cut: {error.strerror or error}"
        raise NetapplyError.of(message, hint="run as root, on a kernel with nf_conntrack and ctnetlink") from None


class _Wanted:
    """The flows, to be looked up by what an entry begins with."""

    def __init__(self, flows: Iterable[Flow]) -> None:
        self.flows: dict[tuple[int, int, bytes], set[tuple[bytes, int] | None]] = {}
        self.families: set[int] = set()
        for flow in flows:
            family = socket.AF_INET6 if ":" in flow.address else socket.AF_INET
            address = socket.inet_pton(family, flow.address)
            target = (socket.inet_pton(family, flow.target[0]), flow.target[1]) if flow.target else None
            key = (_NUMBERS[flow.protocol], flow.port, b"" if not any(address) else address)
            self.flows.setdefault(key, set()).add(target)
            self.families.add(family)

    def has(self, original: _Tuple, reply: _Tuple) -> bool:
        """Whether an entry is of one of the flows."""
        answered_by = (reply.source, reply.source_port)
        asked = (original.destination, original.destination_port)
        for address in (original.destination, b""):
            targets = self.flows.get((original.protocol, original.destination_port, address))
            if targets and (answered_by in targets or (None in targets and answered_by == asked)):
                return True
        return False


class _Tuple(NamedTuple):
    """One direction of an entry."""

    protocol: int
    source: bytes
    source_port: int
    destination: bytes
    destination_port: int


def _remove_family(netlink: socket.socket, family: int, wanted: _Wanted) -> int:
    found: set[bytes] = set()
    for _ in range(_ATTEMPTS):
        netlink.send(_message(_GET, _REQUEST | _DUMP, family, b""))
        interrupted = False
        for flags, data, start, end in _answers(netlink):
            interrupted = interrupted or bool(flags & _INTERRUPTED)
            selector = _selector(data, start, end, family, wanted)
            if selector:
                found.add(selector)
        if not interrupted:
            break
    for selector in found:
        netlink.send(_message(_DELETE, _REQUEST | _ACKNOWLEDGE, family, selector))
        _check_acknowledged(netlink)
    return len(found)


def _selector(data: bytes, start: int, end: int, family: int, wanted: _Wanted) -> bytes | None:
    """The attributes that name an entry for its removal, if it is one of those wanted."""
    spans = dict(_attributes(data, start + 4, end))
    original = _tuple(data, spans[_TUPLE_ORIGINAL], family)
    reply = _tuple(data, spans[_TUPLE_REPLY], family)
    if original is None or reply is None or not wanted.has(original, reply):
        return None
    # With its number, so that a successor with the same addresses and ports is safe.
    parts = (_TUPLE_ORIGINAL, _ID, _ZONE)
    return b"".join(_copied(data, spans[part]) for part in parts if part in spans)


def _tuple(data: bytes, span: tuple[int, int], family: int) -> _Tuple | None:
    parts = dict(_attributes(data, *span))
    addresses = dict(_attributes(data, *parts[_TUPLE_IP]))
    protocol = dict(_attributes(data, *parts[_TUPLE_PROTOCOL]))
    if _DESTINATION_PORT not in protocol:
        return None
    source, destination = (data[slice(*addresses[kind])] for kind in _SOURCES[socket.AddressFamily(family)])
    source_port, destination_port = (
        int.from_bytes(data[slice(*protocol[kind])], "big") for kind in (_SOURCE_PORT, _DESTINATION_PORT)
    )
    return _Tuple(data[protocol[_NUMBER][0]], source, source_port, destination, destination_port)


def _attributes(data: bytes, start: int, end: int) -> Iterator[tuple[int, tuple[int, int]]]:
    while start + 4 <= end:
        length, kind = struct.unpack_from("=HH", data, start)
        yield kind & _TYPE, (start + 4, start + length)
        start += (length + 3) & ~3


def _copied(data: bytes, span: tuple[int, int]) -> bytes:
    """The whole attribute whose value stands there, with its header and padding."""
    return data[span[0] - 4 : span[1]] + bytes(-(span[1] - span[0]) % 4)


def _message(kind: int, flags: int, family: int, attributes: bytes) -> bytes:
    return struct.pack("=IHHIIBBH", 20 + len(attributes), kind, flags, 0, 0, family, 0, 0) + attributes


def _answers(netlink: socket.socket) -> Iterator[tuple[int, bytes, int, int]]:
    """The entries of a dump: flags, the data and where in it the message's body stands."""
    while True:
        data = netlink.recv(1 << 18)
        start = 0
        while start + 16 <= len(data):
            length, kind, flags = struct.unpack_from("=IHH", data, start)
            if kind == _DONE:
                return
            if kind == _ERROR:
                _raise_error(data, start)
            yield flags, data, start + 16, start + length
            start += (length + 3) & ~3


def _check_acknowledged(netlink: socket.socket) -> None:
    data = netlink.recv(1 << 14)
    _raise_error(data, 0)


def _raise_error(data: bytes, start: int) -> None:
    number = -struct.unpack_from("=i", data, start + 16)[0]
    if number not in {0, errno.ENOENT}:
        raise OSError(number, os.strerror(number))
