"""What the kernel says of changes, in the host and in every sandbox: one route socket and one nf_tables socket.

Both hear all namespaces that have a number in the host's (netlink(7): NETLINK_LISTEN_ALL_NSID), so a sandbox
without one gets it first. What is heard are hints; when some were lost (ENOBUFS), everything is looked at.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress

from reconciler.kernel.host import Host
from reconciler.kernel.observe_links import pinned
from reconciler.netlink import constants as c
from reconciler.netlink import decode
from reconciler.netlink.encode import message
from reconciler.watch.hints import Hints
from reconciler.watch.link_news import LinkNews

_SOL_NETLINK = 270
_ADD_MEMBERSHIP, _LISTEN_ALL_NSID = 1, 8
_SO_RCVBUFFORCE = 33
_BUFFER = 8 << 20
_MOST_AT_ONCE = 2000
"""Datagrams read in one turn, so that in a storm others get theirs."""

_RTNLGRP_LINK, _RTNLGRP_IPV4_IFADDR, _RTNLGRP_IPV4_ROUTE, _RTNLGRP_IPV4_RULE = 1, 5, 7, 8
_RTNLGRP_IPV6_IFADDR, _RTNLGRP_IPV6_ROUTE, _RTNLGRP_IPV6_RULE = 9, 11, 19
_RTNLGRP_IPV4_NETCONF, _RTNLGRP_IPV6_NETCONF, _RTNLGRP_NSID = 24, 25, 28
_GROUPS = (
    _RTNLGRP_LINK, _RTNLGRP_IPV4_IFADDR, _RTNLGRP_IPV4_ROUTE, _RTNLGRP_IPV4_RULE, _RTNLGRP_IPV6_IFADDR,
    _RTNLGRP_IPV6_ROUTE, _RTNLGRP_IPV6_RULE, _RTNLGRP_IPV4_NETCONF, _RTNLGRP_IPV6_NETCONF, _RTNLGRP_NSID,
)  # fmt: skip  # one row reads better
_RTM_NEWNSID, _RTM_DELNSID, _RTM_GETNSID = 88, 89, 90
_NETNSA_NSID, _NETNSA_FD = 1, 3
_WORDS = {
    c.RTM_NEWLINK: "link changed", c.RTM_DELLINK: "link removed",
    c.RTM_NEWADDR: "address added", c.RTM_DELADDR: "address removed",
    c.RTM_NEWROUTE: "route added", c.RTM_DELROUTE: "route removed",
    32: "rule added", 33: "rule removed", 80: "setting changed", 81: "setting removed",
}  # fmt: skip  # pairs read better
_OF_LINKS = frozenset({c.RTM_NEWLINK, c.RTM_DELLINK})
_HERE = -1
"""Instead of a namespace's number: the host's own."""

_HEADER = struct.Struct("=IHHII")
_ANCILLARY = socket.CMSG_SPACE(4)

_NETLINK_NETFILTER, _NFNLGRP_NFTABLES, _NFT_NEWGEN = 12, 7, 10 << 8 | 15
_NFTA_GEN_PROC_PID, _NFTA_GEN_PROC_NAME = 2, 3


class _EventSocket:
    """A socket that hears groups of all namespaces."""

    def __init__(self, family: int, groups: Iterable[int]) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        self._socket.setsockopt(_SOL_NETLINK, _LISTEN_ALL_NSID, 1)
        # Without an address of its own it would count as the kernel, whose own messages it does not get.
        self._socket.bind((0, 0))
        for group in groups:
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        self._socket.settimeout(0)

    def fileno(self) -> int:
        """For the loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def _on_loss(self) -> None:
        """Some was not heard."""

    def _receive(self, hints: Hints) -> list[tuple[bytes, int]]:
        """Datagrams with the number of the namespace that they come from, -1 for the host's."""
        found: list[tuple[bytes, int]] = []
        with suppress(BlockingIOError):
            while len(found) < _MOST_AT_ONCE:
                try:
                    data, ancillary, _, _ = self._socket.recvmsg(1 << 16, _ANCILLARY)
                except OSError as error:
                    if error.errno != errno.ENOBUFS:
                        raise
                    hints.add("events were lost", firewall=True, full=True)
                    self._on_loss()
                    continue
                number = struct.unpack("=i", ancillary[0][2])[0] if ancillary else -1
                found.append((data, number))
        return found


class RouteEvents(_EventSocket):
    """Links, addresses, routes, rules and forwarding, in the host and in its sandboxes."""

    def __init__(self, host: Host) -> None:
        super().__init__(socket.NETLINK_ROUTE, _GROUPS)
        self._host = host
        self._sandboxes: dict[int, str] = {}
        self._inodes: dict[str, tuple[int, int]] = {}
        self._links = LinkNews()

    def read(self, hints: Hints) -> None:
        """Take in what was said."""
        for data, number in self._receive(hints):
            if number >= 0:
                sandbox = self._sandboxes.get(number)
                if sandbox:
                    for kind, _, _, start, end in decode.messages(data):
                        if kind not in _OF_LINKS or self._links.tells(number, data, kind, start, end):
                            hints.add(f"{_WORDS.get(kind, 'change')} in {sandbox}", sandbox=sandbox)
                continue
            for kind, _, _, start, end in decode.messages(data):
                self._of_host(data, kind, start, end, hints)

    def _of_host(self, data: bytes, kind: int, start: int, end: int, hints: Hints) -> None:
        if kind in {_RTM_NEWNSID, _RTM_DELNSID}:
            if kind == _RTM_DELNSID:
                gone = _number(data, start, end)
                self._sandboxes.pop(gone, None)
                self._links.forget(gone)
            return
        if kind in _OF_LINKS and not self._links.tells(_HERE, data, kind, start, end):
            return
        name = ""
        if kind in _OF_LINKS:
            span = decode.attributes(data, start + 16, end).get(c.IFLA_IFNAME)
            name = data[span[0] : span[1]].rstrip(b"\0").decode(errors="replace") if span else ""
        hints.add(f"{_WORDS.get(kind, 'change')}{f': {name}' if name else ''}", interface=name)

    def _on_loss(self) -> None:
        self._links.forget_all()

    def hear(self) -> set[str]:
        """Give every sandbox a number, so that it is heard; those that were not heard before."""
        found: dict[str, tuple[int, int]] = {}
        new = set()
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as asking:
            for sandbox, path in pinned(self._host):
                with suppress(OSError):
                    status = os.stat(path)  # noqa: PTH116 - for every container of a host
                    found[sandbox] = (status.st_dev, status.st_ino)
                    if self._inodes.get(sandbox) != found[sandbox]:
                        number = _heard(asking, path)
                        self._sandboxes[number] = sandbox
                        self._links.forget(number)
                        new.add(sandbox)
        self._inodes = found
        return new


def _heard(asking: socket.socket, path: str) -> int:
    """The number of a namespace in ours, given to it if it has none. Raises OSError for what is no namespace."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        place = struct.pack("=B3xHHi", 0, 8, _NETNSA_FD, descriptor)
        number = _ask(asking, _RTM_GETNSID, place)
        if number >= 0:
            return number
        # -1: whichever is free.
        _ask(asking, _RTM_NEWNSID, place + struct.pack("=HHi", 8, _NETNSA_NSID, -1))
        return _ask(asking, _RTM_GETNSID, place)
    finally:
        os.close(descriptor)


def _ask(asking: socket.socket, kind: int, body: bytes) -> int:
    acknowledge = c.NLM_F_ACK if kind == _RTM_NEWNSID else 0
    asking.send(message(kind, c.NLM_F_REQUEST | acknowledge, 1, body))
    data = asking.recv(1 << 16)
    for answer, _, _, start, end in decode.messages(data):
        if answer == c.NLMSG_ERROR:
            refused = -struct.unpack_from("=i", data, start)[0]
            if refused:
                raise OSError(refused, os.strerror(refused))
            return -1
        return _number(data, start, end)
    return -1


def _number(data: bytes, start: int, end: int) -> int:
    span = decode.attributes(data, start + 4, end).get(_NETNSA_NSID)
    return int(struct.unpack_from("=i", data, span[0])[0]) if span else -1


class FirewallEvents(_EventSocket):
    """Commits of nf_tables, in the host and in its sandboxes, by others than this process."""

    def __init__(self) -> None:
        super().__init__(_NETLINK_NETFILTER, (_NFNLGRP_NFTABLES,))
        self._pid = os.getpid()
        self.last_writer = ""
        """Name and number of the process that made the last foreign commit."""

    def read(self, hints: Hints) -> None:
        """Take in what was said: each commit ends with one message that names its writer."""
        for data, number in self._receive(hints):
            for kind, _, _, start, end in decode.messages(data):
                if kind == _NFT_NEWGEN:
                    self._commit(data, start, end, number, hints)

    def _commit(self, data: bytes, start: int, end: int, number: int, hints: Hints) -> None:
        spans = decode.attributes(data, start + 4, end)
        pid_span, name_span = spans.get(_NFTA_GEN_PROC_PID), spans.get(_NFTA_GEN_PROC_NAME)
        pid = struct.unpack_from(">I", data, pid_span[0])[0] if pid_span else 0
        if pid == self._pid:
            return
        name = data[name_span[0] : name_span[1]].rstrip(b"\0").decode(errors="replace") if name_span else "a process"
        writer = f"{name} (process {pid})"
        self.last_writer = writer
        # In which sandbox is of no use: whose rules are looked at does not depend on it.
        hints.add(f"nftables changed by {writer}", firewall=True, full=number >= 0)
