"""The host's own way into a macvlan or ipvlan network: a link of the host on the same parent, and routes through it.

What such a network's containers send does not pass the host's own interface, so the host and they
do not hear each other without it (kernel: networking/ipvlan, section 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from errno import EEXIST, ENODEV, ESRCH
from typing import Any, ClassVar

from reconciler.actions import HOST, Action, Netlink, WriteLinkSysctl
from reconciler.errors import Source
from reconciler.naming import LINK_GROUP, ROUTE_PROTOCOL, Label
from reconciler.netlink import constants as c
from reconciler.netlink.encode import attribute, link_header, mac, packed, route_header, text, u32
from reconciler.netlink.sub_interface_kinds import link_info
from reconciler.resources.parts import PartOfNetwork
from reconciler.resources.sub_interface import refusals
from reconciler.resources.vlan import vlan_key
from reconciler.state import Key, Kind

LABEL = "shim"


def shim_key(network: str, interface: str) -> Key:
    """The key of the shim ``interface`` of ``stack/network``."""
    return Key(Kind.LINK, f"{network}:{interface}")


@dataclass(frozen=True, slots=True)
class Shim(PartOfNetwork):
    """``interface`` of the host on ``parent``, of ``network`` (``stack/key``), whose real name is ``network_name``."""

    owner: str
    network: str
    network_name: str
    interface: str
    driver: str
    mode: str
    parent: str
    mac: str
    origin: str
    mtu: int = 1500
    flag: str = ""
    ipv6: bool = False
    up: bool = True
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset({"network_name", "mode", "flag", "mac", "origin", "mtu", "ipv6", "up"})

    @property
    def key(self) -> Key:
        return shim_key(self.network, self.interface)

    @property
    def label(self) -> Label:
        """What stands in its alias."""
        return Label(LABEL, "", self.owner, self.network.partition("/")[2], self.network_name, self.origin)

    def needs(self) -> tuple[Key, ...]:
        return (vlan_key(self.parent),)

    def describe(self) -> str:
        return f"the host's own {self.interface} ({self.driver} {self.mode} on {self.parent})"

    def record(self) -> Mapping[str, Any]:
        return {
            "network": self.network,
            "network_name": self.network_name,
            "interface": self.interface,
            "driver": self.driver,
            "mode": self.mode,
            "flag": self.flag,
            "parent": self.parent,
            "mac": self.mac,
            "mtu": self.mtu,
            "ipv6": self.ipv6,
            "up": self.up,
        }

    def create(self) -> tuple[Action, ...]:
        head = link_header() + text(c.IFLA_IFNAME, self.interface) + u32(c.IFLA_LINK, 0)
        body = head + u32(c.IFLA_GROUP, LINK_GROUP) + self._mac() + link_info(self.driver, self.mode, self.flag)
        born = Netlink(
            HOST,
            c.RTM_NEWLINK,
            c.NLM_F_CREATE | c.NLM_F_EXCL,
            body,
            fixups=((len(head) - 4, self.parent),),
            explained=refusals(self.driver, self.parent),
        )
        # Label and birth go in one send, which no kill can part.
        return (born, self._settings(up=False), *self._ipv6(), self._settings(up=self.up))

    def update(self, before: Shim) -> tuple[Action, ...]:
        mode: tuple[Action, ...] = ()
        if (self.mode, self.flag) != (before.mode, before.flag):
            body = self._named() + link_info(self.driver, self.mode, self.flag)
            mode = (Netlink(HOST, c.RTM_NEWLINK, 0, body),)
        ipv6 = self._ipv6() if self.ipv6 != before.ipv6 else ()
        return (*mode, *ipv6, self._settings(up=self.up))

    def delete(self) -> tuple[Action, ...]:
        return (Netlink(HOST, c.RTM_DELLINK, 0, self._named(), tolerate=frozenset({ENODEV})),)

    def _named(self) -> bytes:
        return link_header() + text(c.IFLA_IFNAME, self.interface)

    def _mac(self) -> bytes:
        return b"" if self.driver == "ipvlan" else mac(c.IFLA_ADDRESS, self.mac)

    def _ipv6(self) -> tuple[Action, ...]:
        # Before it comes up: the LAN's router advertisements are the host's own interface's to follow.
        values = {"disable_ipv6": "0" if self.ipv6 else "1", "accept_dad": "0", "accept_ra": "0"}
        names = values if self.ipv6 else ("disable_ipv6",)
        return tuple(WriteLinkSysctl(self.interface, "net/ipv6/conf", name, values[name]) for name in names)

    def _settings(self, *, up: bool) -> Netlink:
        body = link_header(c.IFF_UP if up else 0, c.IFF_UP) + b"".join(
            (
                text(c.IFLA_IFNAME, self.interface),
                text(c.IFLA_IFALIAS, str(self.label)),
                self._mac(),
                u32(c.IFLA_MTU, self.mtu),
            )
        )
        return Netlink(HOST, c.RTM_NEWLINK, 0, body)


@dataclass(frozen=True, slots=True)
class ShimRoute(PartOfNetwork):
    """The host's route to ``destination``, a member's address with the length of one host, through the shim."""

    owner: str
    network: str
    interface: str
    destination: str
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> Key:
        return Key(Kind.ROUTE, f"{self.network}:{self.destination} {self.interface}")

    def needs(self) -> tuple[Key, ...]:
        return (shim_key(self.network, self.interface),)

    def describe(self) -> str:
        return f"the host's route to {self.destination} on {self.interface}"

    def record(self) -> Mapping[str, Any]:
        return {"network": self.network, "interface": self.interface, "destination": self.destination}

    def create(self) -> tuple[Action, ...]:
        return (self._request(c.RTM_NEWROUTE, c.NLM_F_CREATE | c.NLM_F_EXCL, c.RT_SCOPE_LINK),)

    def update(self, before: ShimRoute) -> tuple[Action, ...]:
        del before  # nothing of it changes in place
        return ()

    def delete(self) -> tuple[Action, ...]:
        return (self._request(c.RTM_DELROUTE, 0, c.RT_SCOPE_NOWHERE, frozenset({ESRCH, ENODEV})),)

    def _request(self, kind: int, flags: int, scope: int, tolerate: frozenset[int] = frozenset()) -> Netlink:
        destination, _, length = self.destination.partition("/")
        family = c.AF_INET6 if ":" in destination else c.AF_INET
        # IPv6 has no scopes of routes: universe is the only one (kernel: net/ipv6/route.c).
        scope = 0 if family == c.AF_INET6 else scope
        head = route_header(family, int(length), ROUTE_PROTOCOL, c.RT_TABLE_MAIN, c.RTN_UNICAST, scope)
        body = head + attribute(c.RTA_DST, packed(destination)) + u32(c.RTA_OIF, 0)
        fixups, foreign = ((len(body) - 4, self.interface),), f"a route to {self.destination} is there and is not ours"
        return Netlink(HOST, kind, flags, body, fixups=fixups, tolerate=tolerate, explained=((EEXIST, foreign),))
