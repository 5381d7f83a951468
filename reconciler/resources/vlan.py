"""A VLAN sub-interface of a host interface, made where a network asks for ``parent: eth0.10`` and there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from errno import ENETDOWN, ENODEV, EOPNOTSUPP
from typing import Any, ClassVar

from reconciler.actions import HOST, Action, Netlink
from reconciler.errors import Source
from reconciler.naming import LINK_GROUP, Label
from reconciler.netlink import constants as c
from reconciler.netlink.encode import link_header, text, u32
from reconciler.netlink.sub_interface_kinds import vlan_info
from reconciler.resources.parts import Part
from reconciler.state import HOST_OWNER, Key, Kind

LABEL = "vlan"
_HIGHEST = 4094
"""IEEE 802.1Q: 0 and 4095 are reserved."""


def vlan_key(interface: str) -> Key:
    """The key of the VLAN sub-interface of that name."""
    return Key(Kind.LINK, f"{HOST_OWNER}:{interface}")


def vlan_of(interface: str) -> tuple[str, int] | None:
    """Parent and number of a name such as ``eth0.10``; None for any other name."""
    parent, dot, number = interface.rpartition(".")
    if not (parent and dot and number.isascii() and number.isdecimal()) or not 1 <= int(number) <= _HIGHEST:
        return None
    return parent, int(number)


@dataclass(frozen=True, slots=True)
class Vlan(Part):
    """``interface`` is VLAN ``number`` (802.1Q) of ``parent``. Stacks share it, so it is the host's, and goes last."""

    owner: str
    interface: str
    parent: str
    number: int
    up: bool = True
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset({"up"})

    @property
    def key(self) -> Key:
        return vlan_key(self.interface)

    @property
    def label(self) -> Label:
        """What stands in its alias."""
        return Label(LABEL, "", self.owner, self.interface, "", "")

    @property
    def subject(self) -> str:
        return HOST_OWNER

    def describe(self) -> str:
        return f"VLAN interface {self.interface} on {self.parent}"

    def record(self) -> Mapping[str, Any]:
        return {"interface": self.interface, "parent": self.parent, "number": self.number, "up": self.up}

    def create(self) -> tuple[Action, ...]:
        head = link_header() + text(c.IFLA_IFNAME, self.interface) + u32(c.IFLA_LINK, 0)
        body = head + u32(c.IFLA_GROUP, LINK_GROUP) + vlan_info(self.number)
        flags, fixups = c.NLM_F_CREATE | c.NLM_F_EXCL, ((len(head) - 4, self.parent),)
        # Label and birth go in one send, which no kill can part.
        return (Netlink(HOST, c.RTM_NEWLINK, flags, body, fixups=fixups, explained=_REFUSALS), self._settings())

    def update(self, before: Vlan) -> tuple[Action, ...]:
        del before  # only its state changes in place
        return (self._settings(),)

    def delete(self) -> tuple[Action, ...]:
        body = link_header() + text(c.IFLA_IFNAME, self.interface)
        return (Netlink(HOST, c.RTM_DELLINK, 0, body, tolerate=frozenset({ENODEV})),)

    def _settings(self) -> Netlink:
        body = link_header(c.IFF_UP if self.up else 0, c.IFF_UP) + b"".join(
            (text(c.IFLA_IFNAME, self.interface), text(c.IFLA_IFALIAS, str(self.label)))
        )
        return Netlink(HOST, c.RTM_NEWLINK, 0, body, explained=((ENETDOWN, f"{self.parent} is down"),))


_REFUSALS = (
    (EOPNOTSUPP, "the kernel has no VLAN interfaces: load them with modprobe 8021q, or name a parent that is none"),
)
