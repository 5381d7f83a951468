"""The rtnetlink socket: many requests in one send, every answer matched to its request."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from reconciler.netlink import constants as c
from reconciler.netlink import decode
from reconciler.netlink.encode import message

_SOL_NETLINK = 270
_CAP_ACK, _EXT_ACK, _STRICT = 10, 11, 12
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_BUFFER = 4 << 20
_SIOCGIFINDEX = 0x8933
_NLMSGERR_ATTR_MSG = 1
_NLM_F_CAPPED, _NLM_F_ACK_TLVS = 0x100, 0x200
_RECORD = TypeVar("_RECORD")


class Refusal(NamedTuple):
    """A request that the kernel refused: its place in the batch, errno and the kernel's own words."""

    position: int
    errno: int
    text: str


class RouteSocket:
    """A socket in the namespace that the opening thread was in; it stays there wherever the thread goes."""

    __slots__ = ("_sequence", "_socket")

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        for option in (_CAP_ACK, _EXT_ACK, _STRICT):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._sequence = 0

    def close(self) -> None:
        """Close it; an open one keeps its namespace alive."""
        self._socket.close()

    def enlarge(self) -> None:
        """Room for large batches and dumps."""
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)

    def index(self, interface: str) -> int:
        """The interface's index. Raises OSError(ENODEV)."""
        request = struct.pack("16si", interface.encode(), 0)
        try:
            answer = fcntl.ioctl(self._socket, _SIOCGIFINDEX, request)
        except OSError as error:
            raise OSError(error.errno, error.strerror, interface) from None
        return int(struct.unpack_from("16si", answer)[1])

    def has(self, interface: str) -> bool:
        """Whether there is an interface of that name."""
        try:
            self.index(interface)
        except OSError:
            return False
        return True

    def link(self, link_index: int) -> decode.LinkRecord:
        """One link. Raises OSError where there is none."""
        self._sequence += 1
        header = struct.pack("=BxHiII", 0, 0, link_index, 0, 0) + struct.pack(
            "=HHI", 8, c.IFLA_EXT_MASK, c.RTEXT_FILTER_SKIP_STATS
        )
        self._socket.send(message(c.RTM_GETLINK, c.NLM_F_REQUEST, self._sequence, header))
        data = self._socket.recv(1 << 16)
        kind, _, _, start, end = next(decode.messages(data))
        if kind == c.NLMSG_ERROR:
            number = -struct.unpack_from("=i", data, start)[0]
            raise OSError(number, os.strerror(number))
        return decode.link(data, start, end)

    def request(self, requests: Sequence[tuple[int, int, bytes]]) -> list[Refusal]:
        """Send (type, flags, body) each, in one send; what was refused comes back, in order.

        A batch is no transaction: a refused request does not stop those behind it.
        """
        first = self._sequence + 1
        parts = []
        for kind, flags, body in requests:
            self._sequence += 1
            acknowledge = c.NLM_F_ACK if self._sequence - first + 1 == len(requests) else 0
            parts.append(message(kind, flags | c.NLM_F_REQUEST | acknowledge, self._sequence, body))
        self._socket.send(b"".join(parts))
        return self._answers(first, self._sequence)

    def _answers(self, first: int, last: int) -> list[Refusal]:
        refused: list[Refusal] = []
        while True:
            data = self._socket.recv(1 << 18)
            for kind, flags, sequence, start, end in decode.messages(data):
                if kind != c.NLMSG_ERROR or sequence < first:
                    continue
                number = -struct.unpack_from("=i", data, start)[0]
                if number:
                    refused.append(Refusal(sequence - first, number, _words(data, flags, start, end)))
                if sequence == last:
                    return refused

    def dump(self, kind: int, header: bytes, read: Callable[[bytes, int, int], _RECORD]) -> list[_RECORD]:
        """All objects that the kernel reports for a GET request, each through ``read``.

        Starts again when the kernel says that the set changed meanwhile (NLM_F_DUMP_INTR).
        """
        attempts = 5
        while True:
            attempts -= 1
            records, interrupted = self._dump_once(kind, header, read)
            if not interrupted or not attempts:
                return records

    def _dump_once(
        self, kind: int, header: bytes, read: Callable[[bytes, int, int], _RECORD]
    ) -> tuple[list[_RECORD], bool]:
        self._sequence += 1
        self._socket.send(message(kind, c.NLM_F_REQUEST | c.NLM_F_DUMP, self._sequence, header))
        records: list[_RECORD] = []
        interrupted = False
        while True:
            data = self._socket.recv(1 << 18)
            for answer, flags, sequence, start, end in decode.messages(data):
                if sequence != self._sequence:
                    continue
                interrupted = interrupted or bool(flags & c.NLM_F_DUMP_INTR)
                if answer == c.NLMSG_DONE:
                    return records, interrupted
                if answer == c.NLMSG_ERROR:
                    number = -struct.unpack_from("=i", data, start)[0]
                    raise OSError(number, _words(data, flags, start, end) or "dump refused")
                records.append(read(data, start, end))


def _words(data: bytes, flags: int, start: int, end: int) -> str:
    """The kernel's extended acknowledgement, where it gave one."""
    if not flags & _NLM_F_ACK_TLVS:
        return ""
    length = struct.unpack_from("=I", data, start + 4)[0]
    skip = start + 4 + (16 if flags & _NLM_F_CAPPED else (length + 3) & ~3)
    span = decode.attributes(data, skip, end).get(_NLMSGERR_ATTR_MSG)
    return data[span[0] : span[1]].rstrip(b"\0").decode(errors="replace") if span else ""


def links(route_socket: RouteSocket) -> list[decode.LinkRecord]:
    """All links of the socket's namespace."""
    header = bytes(16) + struct.pack("=HHI", 8, c.IFLA_EXT_MASK, c.RTEXT_FILTER_SKIP_STATS)
    return route_socket.dump(c.RTM_GETLINK, header, decode.link)


def addresses(route_socket: RouteSocket) -> list[decode.AddressRecord]:
    """All addresses of both families."""
    return route_socket.dump(c.RTM_GETADDR, bytes(8), decode.address)


def routes(route_socket: RouteSocket, family: int, table: int) -> list[decode.RouteRecord]:
    """The routes of one family in one table; 0 for every table."""
    header = struct.pack("=BBBBBBBBI", family, 0, 0, 0, table, 0, 0, 0, 0)
    try:
        return route_socket.dump(c.RTM_GETROUTE, header, decode.route)
    except OSError as error:
        if error.errno == 2:  # noqa: PLR2004  # ENOENT: the strict filter's word for a table that holds nothing
            return []
        raise


def rules(route_socket: RouteSocket, family: int) -> list[decode.RuleRecord]:
    """The rules of policy routing of one family; 0 for both."""
    header = struct.pack("=BBBBBBBBI", family, 0, 0, 0, 0, 0, 0, 0, 0)
    return route_socket.dump(c.RTM_GETRULE, header, decode.rule)


def names(records: Iterable[decode.LinkRecord]) -> dict[int, str]:
    """Interface names by index."""
    return {record.link_index: record.name for record in records}
