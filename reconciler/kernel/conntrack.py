"""Removes connection tracking entries that a change of policy ends (``firewall.flows`` says which).

The few messages of ctnetlink that this needs are coded
here: pyroute2 takes 120 ms to import, and decodes every attribute of every entry.
(linux/netfilter/nfnetlink_conntrack.h)
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator

from reconciler.errors import NetapplyError
from reconciler.firewall.flows import Ended, Flow, Way
from reconciler.kernel.netlink import RouteSocket, addresses
from reconciler.netlink.encode import packed

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
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_ATTEMPTS = 5


def remove(flows: Iterable[Flow]) -> int:
    """Remove the entries of these flows in this thread's namespace; how many they were.

    Entries of other ports, and of the same port to another target, stay. One that ends by
    itself meanwhile is no error. Raises NetapplyError where the kernel refuses.
    """
    listed = list(flows)
    if not listed:
        return 0
    wanted = Ended(listed, _local_addresses())
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as netlink:
            netlink.setsockopt(_SOL_NETLINK, _STRICT, 1)
            netlink.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 4 << 20)
            return sum(_remove_family(netlink, _FAMILIES[family], wanted) for family in wanted.families)
    except OSError as error:
        message = f"connections of changed ports could not be cut: {error.strerror or error}"
        raise NetapplyError.of(message, hint="run as root, on a kernel with nf_conntrack and ctnetlink") from None


def _local_addresses() -> Iterator[bytes]:
    route_socket = RouteSocket()
    try:
        for address in addresses(route_socket):
            yield packed(address.address.partition("/")[0])
    finally:
        route_socket.close()


def _remove_family(netlink: socket.socket, family: int, wanted: Ended) -> int:
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


def _selector(data: bytes, start: int, end: int, family: int, wanted: Ended) -> bytes | None:
    """The attributes that name an entry for its removal, if it is one of those wanted."""
    spans = dict(_attributes(data, start + 4, end))
    original = _way(data, spans[_TUPLE_ORIGINAL], family)
    reply = _way(data, spans[_TUPLE_REPLY], family)
    if not wanted.has(original, reply):
        return None
    # With its number, so that a successor with the same addresses and ports is safe.
    parts = (_TUPLE_ORIGINAL, _ID, _ZONE)
    return b"".join(_copied(data, spans[part]) for part in parts if part in spans)


def _way(data: bytes, span: tuple[int, int], family: int) -> Way:
    parts = dict(_attributes(data, *span))
    addresses_of = dict(_attributes(data, *parts[_TUPLE_IP]))
    protocol = dict(_attributes(data, *parts[_TUPLE_PROTOCOL]))
    source, destination = (data[slice(*addresses_of[kind])] for kind in _SOURCES[socket.AddressFamily(family)])
    # Such as ICMP have none.
    source_port, destination_port = (
        int.from_bytes(data[slice(*protocol[kind])], "big") if kind in protocol else 0
        for kind in (_SOURCE_PORT, _DESTINATION_PORT)
    )
    return Way(data[protocol[_NUMBER][0]], source, source_port, destination, destination_port)


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
