"""An address on a link of ours, in a sandbox or on a bridge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from errno import EADDRNOTAVAIL, EEXIST, ENODEV
from ipaddress import ip_interface
from typing import Any, ClassVar

from reconciler.actions import Action, AnnounceAddress, Netlink
from reconciler.errors import Source
from reconciler.netlink import constants as c
from reconciler.netlink.encode import address_header, attribute, packed, route_header, u32
from reconciler.state import Key, Kind, subject_of

_PREFIX_METRIC = 256
"""IP6_RT_PRIO_ADDRCONF (kernel: include/net/ip6_route.h)."""


def address_key(place: str, interface: str, address: str) -> Key:
    """The key of ``address`` (with prefix length) on ``interface`` of ``stack/name``."""
    return Key(Kind.ADDRESS, f"{place}:{interface} {address}")


@dataclass(frozen=True, slots=True)
class Address:
    """``address`` (``172.18.0.2/16``) on ``interface``.

    ``after`` are objects that must stand before it. ``place`` is ``stack/container`` or ``stack/network``; ``namespace`` is the sandbox it is
    in, empty for the host. ``announced``: others are on the network, which may know it from somebody before.
    ``routed``: the route to its subnet stands, which the kernel makes with the address.
    """

    owner: str
    place: str
    namespace: str
    interface: str
    address: str
    source: Source | None = field(default=None, compare=False)
    announced: bool = field(default=False, compare=False)
    after: tuple[Key, ...] = field(default=(), compare=False)
    routed: bool = True
    live: ClassVar[frozenset[str]] = frozenset({"routed"})

    @property
    def key(self) -> Key:
        return address_key(self.place, self.interface, self.address)

    @property
    def subject(self) -> str:
        return subject_of("container" if self.namespace else "network", self.place)

    @property
    def sandbox(self) -> str:
        return self.namespace

    def needs(self) -> tuple[Key, ...]:
        return (Key(Kind.LINK, f"{self.place}:{self.interface}"), *self.after)

    def describe(self) -> str:
        return f"address {self.address} on {self.interface}"

    def record(self) -> Mapping[str, Any]:
        return {"place": self.place, "interface": self.interface, "address": self.address, "routed": self.routed}

    def create(self) -> tuple[Action, ...]:
        made = self._request(c.RTM_NEWADDR, c.NLM_F_CREATE | c.NLM_F_EXCL, frozenset({EEXIST}))
        if not self.announced:
            return (made,)
        return (made, AnnounceAddress(self.namespace, self.interface, self.address.partition("/")[0]))

    def update(self, before: Address) -> tuple[Action, ...]:
        return (self._connected_route(),) if self.routed and not before.routed else ()

    def delete(self) -> tuple[Action, ...]:
        return (self._request(c.RTM_DELADDR, 0, frozenset({EADDRNOTAVAIL, ENODEV})),)

    def _connected_route(self) -> Netlink:
        """As the kernel makes it (kernel: net/ipv4/fib_frontend.c, net/ipv6/addrconf.c)."""
        address, _, prefix_length = self.address.partition("/")
        six = ":" in address
        family, scope = (c.AF_INET6, c.RT_SCOPE_UNIVERSE) if six else (c.AF_INET, c.RT_SCOPE_LINK)
        subnet = str(ip_interface(self.address).network.network_address)
        body = route_header(family, int(prefix_length), c.RTPROT_KERNEL, c.RT_TABLE_MAIN, c.RTN_UNICAST, scope)
        body += attribute(c.RTA_DST, packed(subnet))
        body += u32(c.RTA_PRIORITY, _PREFIX_METRIC) if six else attribute(c.RTA_PREFSRC, packed(address))
        body += u32(c.RTA_OIF, 0)
        fixups = ((len(body) - 4, self.interface),)
        flags = c.NLM_F_CREATE | c.NLM_F_EXCL
        return Netlink(self.namespace, c.RTM_NEWROUTE, flags, body, fixups=fixups, tolerate=frozenset({EEXIST}))

    def _request(self, kind: int, flags: int, tolerate: frozenset[int]) -> Netlink:
        address, _, prefix_length = self.address.partition("/")
        raw = packed(address)
        if ":" in address:
            # nodad: nobody else is on a network of ours, and a tentative address answers nothing for two seconds.
            head = address_header(c.AF_INET6, int(prefix_length))
            body = head + attribute(c.IFA_ADDRESS, raw) + u32(c.IFA_FLAGS, c.IFA_F_NODAD)
        else:
            head = address_header(c.AF_INET, int(prefix_length))
            body = head + attribute(c.IFA_LOCAL, raw) + attribute(c.IFA_ADDRESS, raw)
        return Netlink(self.namespace, kind, flags, body, fixups=((4, self.interface),), tolerate=tolerate)
