"""A container's attachment to a macvlan or ipvlan network: a link in the sandbox on a parent of the host's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from errno import EADDRINUSE, EBUSY, EINVAL, ENODEV, EOPNOTSUPP
from typing import Any, ClassVar

from reconciler.actions import HOST, Action, AnnounceLink, Netlink
from reconciler.errors import Source
from reconciler.naming import LINK_GROUP, Label
from reconciler.netlink import constants as c
from reconciler.netlink.encode import link_header, mac, nest, text, u32
from reconciler.netlink.sub_interface_kinds import link_info
from reconciler.resources.endpoint import endpoint_key
from reconciler.resources.namespace import namespace_key
from reconciler.resources.parts import PartOfSandbox
from reconciler.resources.vlan import vlan_key
from reconciler.state import Key

LABEL, INTERNAL_LABEL = "sub-interface", "internal-sub-interface"
"""The kinds of label on it; the second stands on networks that lead nowhere."""


def refusals(driver: str, parent: str) -> tuple[tuple[int, str], ...]:
    """What it means when the kernel refuses a link of that driver on that parent."""
    other = {"macvlan": "use driver ipvlan", "ipvlan": "use driver macvlan"}[driver]
    return (
        (EOPNOTSUPP, f"the kernel has no {driver}: load it with modprobe {driver}, or {other}"),
        (EBUSY, f"{parent} is in use by a bridge, a bond or another kind of sub-interface"),
        (EINVAL, f"{parent} takes no {driver} of this mode beside what stands on it already"),
    )


@dataclass(frozen=True, slots=True)
class SubInterface(PartOfSandbox):
    """``interface`` in the sandbox of ``container``, whose frames leave through ``parent``, a link of the host.

    ``network`` is ``stack/key`` of the network and ``network_name`` its real name, both empty on what
    a crash left without its label. ``mac`` is the parent's where it shares that (ipvlan, and mode
    passthru). ``passthru`` says the same as that mode: the kernel can neither enter nor leave it in place.
    """

    owner: str
    container: str
    interface: str
    network: str
    network_name: str
    driver: str
    mode: str
    parent: str
    mac: str
    mtu: int = 1500
    flag: str = ""
    internal: bool = False
    passthru: bool = False
    up: bool = True
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset(
        {"network", "network_name", "mode", "flag", "mac", "mtu", "internal", "up"}
    )

    @property
    def key(self) -> Key:
        return endpoint_key(self.container, self.interface)

    @property
    def label(self) -> Label:
        """What stands in its alias: of which network it is. Whose it is says the sandbox."""
        stack, _, network_key = self.network.partition("/")
        return Label(INTERNAL_LABEL if self.internal else LABEL, "", stack, network_key, self.network_name, "")

    def needs(self) -> tuple[Key, ...]:
        return (namespace_key(self.container), vlan_key(self.parent))

    def describe(self) -> str:
        return f"{self.interface} on network {self.network_name} ({self.driver} {self.mode} on {self.parent})"

    def record(self) -> Mapping[str, Any]:
        return {
            "container": self.container,
            "interface": self.interface,
            "network": self.network_name,
            "driver": self.driver,
            "mode": self.mode,
            "flag": self.flag,
            "parent": self.parent,
            "mac": self.mac,
            "mtu": self.mtu,
            "up": self.up,
        }

    def create(self) -> tuple[Action, ...]:
        # The label stands in another namespace than the request to be born, so it cannot go in one send
        # with it; until it is there, the group says that the link is ours.
        return (self._birth(), self._settings(_CONFIGURATION))

    def update(self, before: SubInterface) -> tuple[Action, ...]:
        settings: tuple[Action, ...] = (self._settings(self._mac()),)
        if self.mac != before.mac and self._mac():
            # Of IPv4 the kernel tells the neighbours (arp_notify), of IPv6 it would not.
            settings += (AnnounceLink(self.container, self.interface),)
        if (self.mode, self.flag) == (before.mode, before.flag):
            return settings
        body = link_header() + text(c.IFLA_IFNAME, self.interface) + link_info(self.driver, self.mode, self.flag)
        return (Netlink(self.container, c.RTM_NEWLINK, 0, body), *settings)

    def delete(self) -> tuple[Action, ...]:
        body = link_header() + text(c.IFLA_IFNAME, self.interface)
        return (Netlink(self.container, c.RTM_DELLINK, 0, body, tolerate=_GONE),)

    def _birth(self) -> Netlink:
        head = link_header() + text(c.IFLA_IFNAME, self.interface) + u32(c.IFLA_LINK, 0)
        body = head + b"".join(
            (
                u32(c.IFLA_GROUP, LINK_GROUP),
                u32(c.IFLA_MTU, self.mtu),
                self._mac(),
                link_info(self.driver, self.mode, self.flag),
                u32(c.IFLA_NET_NS_FD, 0),
            )
        )
        return Netlink(
            HOST,
            c.RTM_NEWLINK,
            c.NLM_F_CREATE | c.NLM_F_EXCL,
            body,
            fixups=((len(head) - 4, self.parent),),
            peer_namespace=(len(body) - 4, self.container),
            explained=refusals(self.driver, self.parent),
        )

    def _mac(self) -> bytes:
        # A passthru link hands a MAC on to its parent, which is not ours; ipvlan refuses one.
        shared = self.passthru or self.driver == "ipvlan"
        return b"" if shared else mac(c.IFLA_ADDRESS, self.mac)

    def _settings(self, *more: bytes) -> Netlink:
        body = link_header(c.IFF_UP if self.up else 0, c.IFF_UP) + b"".join(
            (
                text(c.IFLA_IFNAME, self.interface),
                text(c.IFLA_IFALIAS, str(self.label)),
                u32(c.IFLA_MTU, self.mtu),
                *more,
            )
        )
        # Two links of one MAC cannot be up on one parent, not even in a namespace that is just going.
        taken = f"another interface on {self.parent} has the MAC {self.mac}, in a namespace that is not gone perhaps"
        return Netlink(self.container, c.RTM_NEWLINK, 0, body, explained=((EADDRINUSE, taken),))


_GONE = frozenset({ENODEV})
# An address that replaces another of the same subnet must outlive it, and neighbours hear of another MAC
# (kernel: ip-sysctl, promote_secondaries and arp_notify).
_CONFIGURATION = nest(
    c.IFLA_AF_SPEC,
    nest(
        c.AF_INET,
        nest(c.IFLA_INET_CONF, u32(c.IPV4_DEVCONF_PROMOTE_SECONDARIES, 1), u32(c.IPV4_DEVCONF_ARP_NOTIFY, 1)),
    ),
)
