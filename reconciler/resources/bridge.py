"""The bridge of a bridge network: the host's interface on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from errno import ENODEV
from typing import Any, ClassVar

from reconciler.actions import HOST, Action, Netlink, WriteLinkSysctl
from reconciler.errors import Source
from reconciler.naming import LINK_GROUP, Label
from reconciler.netlink import constants as c
from reconciler.netlink.encode import attribute, link_header, mac, nest, text, u8, u32
from reconciler.resources.endpoint import IPV6_LEAST_MTU
from reconciler.resources.parts import PartOfNetwork
from reconciler.state import Key, Kind


def bridge_key(network: str, interface: str) -> Key:
    """The key of the bridge ``interface`` of ``stack/network``."""
    return Key(Kind.LINK, f"{network}:{interface}")


@dataclass(frozen=True, slots=True)
class Bridge(PartOfNetwork):
    """The bridge of ``network`` (``stack/key``), whose real name is ``network_name``.

    ``nf_call``: frames within the bridge pass the IP hooks, which ``icc: false`` needs.
    ``route_localnet``: packets from 127/8 may leave through it, which published ports on
    the host's own 127.0.0.1 need (kernel: networking/ip-sysctl, route_localnet).
    """

    owner: str
    network: str
    network_name: str
    interface: str
    mac: str
    origin: str
    mtu: int = 1500
    nf_call: bool = False
    route_localnet: bool = True
    ipv6: bool = False
    up: bool = True
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset(
        {"network_name", "mac", "origin", "mtu", "nf_call", "route_localnet", "ipv6", "up"}
    )

    @property
    def key(self) -> Key:
        return bridge_key(self.network, self.interface)

    @property
    def label(self) -> Label:
        """What stands in its alias."""
        return Label("bridge", "", self.owner, self.network.partition("/")[2], self.network_name, self.origin)

    def describe(self) -> str:
        return f"bridge {self.interface}"

    def record(self) -> Mapping[str, Any]:
        return {
            "network": self.network,
            "network_name": self.network_name,
            "interface": self.interface,
            "mac": self.mac,
            "mtu": self.mtu,
            "nf_call": self.nf_call,
            "route_localnet": self.route_localnet,
            "ipv6": self.ipv6,
            "up": self.up,
        }

    def create(self) -> tuple[Action, ...]:
        body = link_header() + b"".join(
            (text(c.IFLA_IFNAME, self.interface), u32(c.IFLA_GROUP, LINK_GROUP), mac(c.IFLA_ADDRESS, self.mac))
        )
        born = Netlink(
            HOST, c.RTM_NEWLINK, c.NLM_F_CREATE | c.NLM_F_EXCL, body + nest(c.IFLA_LINKINFO, _KIND, self._calls())
        )
        # Label and birth go in one send, which no kill can part.
        return (born, self._settings(up=False), *self._ipv6(), self._settings(up=self.up))

    def update(self, before: Bridge) -> tuple[Action, ...]:
        calls: tuple[Action, ...] = ()
        if self.nf_call != before.nf_call:
            body = self._named() + nest(c.IFLA_LINKINFO, _KIND, self._calls())
            calls = (Netlink(HOST, c.RTM_NEWLINK, 0, body),)
        size: tuple[Action, ...] = ()
        if self.mtu != before.mtu:
            size = (Netlink(HOST, c.RTM_NEWLINK, 0, self._named() + u32(c.IFLA_MTU, self.mtu)),)
        # Below IPv6's least the bridge has lost its settings of IPv6, and gets the default ones with the right size.
        ipv6 = self._ipv6() if self.ipv6 != before.ipv6 or before.mtu < IPV6_LEAST_MTU else ()
        return (*calls, *size, *ipv6, self._settings(up=self.up))

    def delete(self) -> tuple[Action, ...]:
        return (Netlink(HOST, c.RTM_DELLINK, 0, self._named(), tolerate=_GONE),)

    def _named(self) -> bytes:
        return link_header() + text(c.IFLA_IFNAME, self.interface)

    def _calls(self) -> bytes:
        value = int(self.nf_call)
        return nest(c.IFLA_INFO_DATA, u8(c.IFLA_BR_NF_CALL_IPTABLES, value), u8(c.IFLA_BR_NF_CALL_IP6TABLES, value))

    def _ipv6(self) -> tuple[Action, ...]:
        # Set before it comes up: a link-local address that is still tentative delays what members send by two seconds.
        values = {"disable_ipv6": "0" if self.ipv6 else "1", "accept_dad": "0", "accept_ra": "0"}
        names = values if self.ipv6 else ("disable_ipv6",)
        return tuple(WriteLinkSysctl(self.interface, "net/ipv6/conf", name, values[name]) for name in names)

    def _settings(self, *, up: bool) -> Netlink:
        # One message after birth: the kernel ignores an alias in the message that creates a link.
        # promote_secondaries: a new address in a subnet must outlive the one that it replaces.
        localnet = nest(
            c.IFLA_INET_CONF,
            u32(c.IPV4_DEVCONF_ROUTE_LOCALNET, int(self.route_localnet)),
            u32(c.IPV4_DEVCONF_PROMOTE_SECONDARIES, 1),
        )
        body = link_header(c.IFF_UP if up else 0, c.IFF_UP) + b"".join(
            (
                text(c.IFLA_IFNAME, self.interface),
                text(c.IFLA_IFALIAS, str(self.label)),
                mac(c.IFLA_ADDRESS, self.mac),
                u32(c.IFLA_MTU, self.mtu),
                nest(c.IFLA_AF_SPEC, nest(c.AF_INET, localnet)),
            )
        )
        return Netlink(HOST, c.RTM_NEWLINK, 0, body)


_KIND = attribute(c.IFLA_INFO_KIND, b"bridge\0")
_GONE = frozenset({ENODEV})
