"""A container's attachment to a bridge network: a veth pair, one end in the sandbox, one on the bridge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from errno import ENODEV
from typing import Any, ClassVar

from reconciler.actions import HOST, Action, AnnounceLink, Netlink
from reconciler.errors import Source
from reconciler.naming import LINK_GROUP, Label, mac_address
from reconciler.netlink import constants as c
from reconciler.netlink.encode import attribute, link_header, mac, nest, text, u8, u32
from reconciler.resources.namespace import namespace_key
from reconciler.resources.parts import PartOfSandbox
from reconciler.state import Key, Kind


def endpoint_key(container: str, interface: str) -> Key:
    """The key of ``interface`` in the sandbox of ``stack/container``."""
    return Key(Kind.LINK, f"{container}:{interface}")


@dataclass(frozen=True, slots=True)
class Endpoint(PartOfSandbox):
    """A veth pair: ``interface`` in the sandbox of ``container``, ``host_interface`` on ``bridge``.

    ``network`` is ``stack/key`` of the network and ``network_name`` its real name. A half
    that was found alone has an empty name for the other one, and is replaced.
    """

    owner: str
    container: str
    interface: str
    host_interface: str
    network_name: str
    bridge: str
    mac: str
    origin: str
    mtu: int = 1500
    hairpin: bool = True
    port_altered: bool = False
    up: bool = True
    host_up: bool = True
    bridge_link: Key | None = field(default=None, compare=False)
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset(
        {"network_name", "bridge", "mac", "origin", "mtu", "hairpin", "port_altered", "up", "host_up"}
    )

    @property
    def key(self) -> Key:
        return endpoint_key(self.container, self.interface or f"?{self.host_interface}")

    @property
    def label(self) -> Label:
        """What stands in the alias of its host end."""
        container_name = self.container.partition("/")[2]
        return Label("endpoint", "", self.owner, container_name, self.network_name, self.origin)

    def needs(self) -> tuple[Key, ...]:
        if not self.interface:
            return ()  # whatever namespace its other half is in, it is not the container's
        sandbox = namespace_key(self.container)
        return (sandbox, self.bridge_link) if self.bridge_link else (sandbox,)

    def describe(self) -> str:
        if not self.interface:
            return f"{self.host_interface} on network {self.network_name}, without its other half"
        return f"{self.interface} on network {self.network_name} ({self.host_interface} on {self.bridge})"

    def record(self) -> Mapping[str, Any]:
        return {
            "container": self.container,
            "interface": self.interface,
            "host_interface": self.host_interface,
            "network": self.network_name,
            "bridge": self.bridge,
            "mac": self.mac,
            "mtu": self.mtu,
            "hairpin": self.hairpin,
            "port_altered": self.port_altered,
            "up": self.up,
            "host_up": self.host_up,
        }

    def create(self) -> tuple[Action, ...]:
        if not (self.interface and self.host_interface):
            return ()  # a rollback: nobody wants a half back that was found alone
        # The peer cannot be born up (ENOTCONN), and an alias is ignored at birth.
        return (self._birth(), self._host_settings(), self._inside(link_header(c.IFF_UP, c.IFF_UP), _PROMOTE))

    def update(self, before: Endpoint) -> tuple[Action, ...]:
        # In a message of its own: the kernel takes settings of a bridge's port only for what is a port already.
        actions: list[Action] = [self._attachment()] if self.bridge != before.bridge else []
        if self.mtu != before.mtu:
            # First, and alone: below IPv6's least the link has no settings of IPv6, nor could they be given.
            actions.append(Netlink(HOST, c.RTM_NEWLINK, 0, self._named() + u32(c.IFLA_MTU, self.mtu)))
        actions.append(self._host_settings(mended=before.port_altered and not self.port_altered))
        if (self.mac, self.mtu, self.up) != (before.mac, before.mtu, before.up):
            header = link_header(c.IFF_UP if self.up else 0, c.IFF_UP)
            actions.append(self._inside(header, mac(c.IFLA_ADDRESS, self.mac), u32(c.IFLA_MTU, self.mtu)))
        if self.mac != before.mac:
            # The host and the neighbours would go on sending to the old one, for three quarters of a minute.
            actions.append(AnnounceLink(self.container, self.interface))
        return tuple(actions)

    def delete(self) -> tuple[Action, ...]:
        if self.host_interface:
            return (Netlink(HOST, c.RTM_DELLINK, 0, self._named(), tolerate=_GONE),)
        body = link_header() + text(c.IFLA_IFNAME, self.interface)
        return (Netlink(self.container, c.RTM_DELLINK, 0, body, tolerate=_GONE),)

    def _birth(self) -> Netlink:
        head = link_header(c.IFF_UP, c.IFF_UP) + b"".join(
            (
                text(c.IFLA_IFNAME, self.host_interface),
                u32(c.IFLA_GROUP, LINK_GROUP),
                u32(c.IFLA_MTU, self.mtu),
                mac(c.IFLA_ADDRESS, mac_address("host end", self.host_interface)),
                u32(c.IFLA_MASTER, 0),
            )
        )
        # The namespace's descriptor comes last in every nest, so its offset is the body's end.
        peer = link_header() + b"".join(
            (
                text(c.IFLA_IFNAME, self.interface),
                u32(c.IFLA_GROUP, LINK_GROUP),
                u32(c.IFLA_MTU, self.mtu),
                mac(c.IFLA_ADDRESS, self.mac),
                u32(c.IFLA_NET_NS_FD, 0),
            )
        )
        info = nest(c.IFLA_LINKINFO, _VETH, nest(c.IFLA_INFO_DATA, attribute(c.VETH_INFO_PEER, peer)))
        body = head + info
        return Netlink(
            HOST,
            c.RTM_NEWLINK,
            c.NLM_F_CREATE | c.NLM_F_EXCL,
            body,
            fixups=((len(head) - 4, self.bridge),),
            peer_namespace=(len(body) - 4, self.container),
        )

    def _named(self) -> bytes:
        return link_header() + text(c.IFLA_IFNAME, self.host_interface)

    def _attachment(self) -> Netlink:
        body = self._named() + u32(c.IFLA_MASTER, 0)
        # No fixup leaves index 0: off any bridge, which is how a rollback may have found it.
        fixups = ((len(body) - 4, self.bridge),) if self.bridge else ()
        return Netlink(HOST, c.RTM_NEWLINK, 0, body, fixups=fixups)

    def _host_settings(self, *, mended: bool = False) -> Netlink:
        settings = {c.IFLA_BRPORT_MODE: int(self.hairpin), **(c.USUAL_PORT if mended else {})}
        port = nest(c.IFLA_INFO_SLAVE_DATA, *(u8(kind, value) for kind, value in settings.items()))
        # Without a link-local address the host end starts no duplicate address detection.
        no_address = nest(c.AF_INET6, u8(c.IFLA_INET6_ADDR_GEN_MODE, c.ADDR_GEN_MODE_NONE))
        body = link_header(c.IFF_UP if self.host_up else 0, c.IFF_UP) + b"".join(
            (
                text(c.IFLA_IFNAME, self.host_interface),
                text(c.IFLA_IFALIAS, str(self.label)),
                u32(c.IFLA_MTU, self.mtu),
                nest(c.IFLA_AF_SPEC, no_address) if self.mtu >= IPV6_LEAST_MTU else b"",
                nest(c.IFLA_LINKINFO, _BRIDGE_PORT, port) if self.bridge else b"",
            )
        )
        return Netlink(HOST, c.RTM_NEWLINK, 0, body)

    def _inside(self, header: bytes, *more: bytes) -> Netlink:
        return Netlink(self.container, c.RTM_NEWLINK, 0, header + text(c.IFLA_IFNAME, self.interface) + b"".join(more))


IPV6_LEAST_MTU = 1280
"""A link with less has no IPv6 (RFC 8200, section 5)."""

_VETH = attribute(c.IFLA_INFO_KIND, b"veth\0")
_BRIDGE_PORT = attribute(c.IFLA_INFO_SLAVE_KIND, b"bridge\0")
_GONE = frozenset({ENODEV})
# An address that replaces another of the same subnet must outlive it (kernel: ip-sysctl, promote_secondaries).
_PROMOTE = nest(c.IFLA_AF_SPEC, nest(c.AF_INET, nest(c.IFLA_INET_CONF, u32(c.IPV4_DEVCONF_PROMOTE_SECONDARIES, 1))))
