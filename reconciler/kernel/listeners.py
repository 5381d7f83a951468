"""Who listens on this host: sockets that take a port of the current network namespace.

Read by sock_diag(7), which lists only the sockets in question (/proc/net lists every connection), says
which IPv6 sockets leave IPv4 alone, and, since Linux 6.8, shows TCP sockets that are bound without listening.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST_DUMP = 0x301
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_INET_DIAG_SKV6ONLY = 11
# net/tcp_states.h; 13 is TCP_BOUND_INACTIVE. UDP has LISTEN's neighbour CLOSE for 'bound, not connected'.
_CLOSE, _LISTEN, _BOUND = 7, 10, 13
_STATES = {"tcp": 1 << _LISTEN | 1 << _BOUND, "udp": 1 << _CLOSE}
_NUMBERS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBxI48x")  # linux/inet_diag.h: struct inet_diag_req_v2
_ANSWER = struct.Struct("=BBBB2s2s16s16sI8sIIIII")  # struct inet_diag_msg
_ATTRIBUTE = struct.Struct("=HH")
_ANY = ("0.0.0.0", "::")  # noqa: S104 - compared with, never bound


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket: ``protocol`` tcp or udp, canonical ``address``; ``inode`` finds its owner.

    ``only`` : an IPv6 socket that leaves the same port of IPv4 alone.
    """

    protocol: str
    address: str
    port: int
    inode: int
    only: bool = False

    def occupies(self, protocol: str, address: str, port: int) -> bool:
        """Whether it stands in the way of somebody who binds exactly that (IPv6 for itself alone)."""
        if (self.protocol, self.port) != (protocol, port):
            return False
        if (":" in self.address) != (":" in address):
            # Bound to ::, it takes IPv4 too, unless it says otherwise.
            return self.address == "::" and not self.only
        return self.address in {address, *_ANY} or address in _ANY


def all_listeners(ignored_pid: int | None = None) -> list[Listener]:
    """Those of the network namespace that this thread is in, without the sockets of ``ignored_pid`` (our agent)."""
    found: list[Listener] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as diagnosis:
        for protocol in ("tcp", "udp"):
            for family in (socket.AF_INET, socket.AF_INET6):
                found += _dump(diagnosis, protocol, family)
    own = _sockets_of(ignored_pid) if ignored_pid is not None and found else frozenset()
    return [each for each in found if each.inode not in own]


def owner_of(inode: int) -> str:
    """``name (process N)`` of a process that has this socket open; ``another program`` where none is to be seen."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and inode in _sockets_of(int(entry.name)):
            try:
                name = (entry / "comm").read_text(errors="replace").strip()
            except OSError:  # it ended meanwhile
                continue
            return f"{name} (process {entry.name})"
    return "another program" if inode else "the kernel"


def _sockets_of(pid: int) -> frozenset[int]:
    directory = f"/proc/{pid}/fd"
    inodes = set()
    try:
        for name in os.listdir(directory):  # noqa: PTH208 - only the names are wanted
            try:
                target = os.readlink(f"{directory}/{name}")  # noqa: PTH115 - one for each descriptor of each process
            except FileNotFoundError:  # closed meanwhile
                continue
            if match := re.fullmatch(r"socket:\[(\d+)\]", target):
                inodes.add(int(match[1]))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass
    return frozenset(inodes)


def _dump(diagnosis: socket.socket, protocol: str, family: int) -> Iterator[Listener]:
    body = _REQUEST.pack(family, _NUMBERS[protocol], 0, _STATES[protocol])
    diagnosis.send(_HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST_DUMP, 1, 0) + body)
    while True:
        block = diagnosis.recv(1 << 16)
        start = 0
        while start < len(block):
            length, kind, *_ = _HEADER.unpack_from(block, start)
            payload = block[start + _HEADER.size : start + length]
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                number = -int.from_bytes(payload[:4], "little", signed=True)
                if number in {errno.ENOENT, errno.EAFNOSUPPORT}:
                    return  # a kernel without IPv6, or without that protocol
                raise OSError(number, os.strerror(number), "sock_diag")
            listener = _parse(protocol, payload)
            if listener.port:
                yield listener
            start += (length + 3) & ~3


def _parse(protocol: str, payload: bytes) -> Listener:
    family, _, _, _, port, _, address, *_, inode = _ANSWER.unpack_from(payload)
    version6 = family == socket.AF_INET6
    text = str(ipaddress.ip_address(address if version6 else address[:4]))
    only = version6 and _attribute(payload[_ANSWER.size :], _INET_DIAG_SKV6ONLY) == b"\1"
    return Listener(protocol, text, int.from_bytes(port, "big"), inode, only)


def _attribute(attributes: bytes, wanted: int) -> bytes:
    start = 0
    while start + _ATTRIBUTE.size <= len(attributes):
        length, kind = _ATTRIBUTE.unpack_from(attributes, start)
        if kind == wanted:
            return attributes[start + _ATTRIBUTE.size : start + length]
        start += (max(length, _ATTRIBUTE.size) + 3) & ~3
    return b""
