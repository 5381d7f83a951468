"""An address on a link of ours, in a sandbox or on a bridge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from errno import EADDRNOTAVAIL, EEXIST, ENODEV
from typing import Any, ClassVar

from reconciler.actions import Action, AnnounceAddress, Netlink
from reconciler.errors import Source
from reconciler.netlink import constants as c
from reconciler.netlink.encode import address_header, attribute, packed, u32
from reconciler.state import Key, Kind, subject_of


def address_key(place: str, interface: str, address: str) -> Key:
    """The key of ``address`` (with prefix length) on ``interface`` of ``stack/name``."""
    return Key(Kind.ADDRESS, f"{place}:{interface} {address}")


@dataclass(frozen=True, slots=True)
class Address:
    """``address`` (``172.18.0.2/16``) on ``interface``.

    ``after`` are objects that must stand before it. ``place`` is ``stack/container`` or ``stack/network``; ``namespace`` is the sandbox it is
    in, empty for the host. ``announced``: others are on the network, which may know it from somebody before.
    """

    owner: str
    place: str
    namespace: str
    interface: str
    address: str
    source: Source | None = field(default=None, compare=False)
    announced: bool = field(default=False, compare=False)
    after: tuple[Key, ...] = field(default=(), compare=False)
    live: ClassVar[frozenset[str]] = frozenset()

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
        return {"place": self.place, "interface": self.interface, "address": self.address}

    def create(self) -> tuple[Action, ...]:
        made = self._request(c.RTM_NEWADDR, c.NLM_F_CREATE | c.NLM_F_EXCL, frozenset({EEXIST}))
        if not self.announced:
            return (made,)
        return (made, AnnounceAddress(self.namespace, self.interface, self.address.partition("/")[0]))

    def update(self, before: Address) -> tuple[Action, ...]:
        del before  # nothing of an address changes in place
        return ()

    def delete(self) -> tuple[Action, ...]:
        return (self._request(c.RTM_DELADDR, 0, frozenset({EADDRNOTAVAIL, ENODEV})),)

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
