"""An address of ours on an interface of the host that is not ours."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from errno import EADDRNOTAVAIL, EEXIST, ENODEV
from typing import Any, ClassVar

from reconciler.actions import Action, AnnounceAddress, ClaimAddress, Netlink
from reconciler.errors import Source
from reconciler.naming import ADDRESS_PROTOCOL
from reconciler.netlink import constants as c
from reconciler.netlink.encode import address_header, attribute, packed, u8, u32
from reconciler.resources.parts import Part
from reconciler.state import HOST_OWNER, Key, Kind, subject_of

_FOREVER = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class HostAddress(Part):
    """``address`` (without prefix length) on ``interface``, for ``container`` (``stack/name``).

    It stands alone, without its subnet, and bears our protocol number. ``owner`` is the host where
    nothing says any more whose it is.
    """

    owner: str
    container: str
    interface: str
    address: str
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset({"owner", "container"})

    @property
    def key(self) -> Key:
        # Not by container: it may move from one to another, and the address stays.
        return Key(Kind.ADDRESS, f"host:{self.interface} {self.address}")

    @property
    def subject(self) -> str:
        return subject_of("container", self.container) if self.container else HOST_OWNER

    def describe(self) -> str:
        return f"address {self.address} on the host's {self.interface}"

    def record(self) -> Mapping[str, Any]:
        return {"container": self.container, "interface": self.interface, "address": self.address}

    def create(self) -> tuple[Action, ...]:
        request = self._request(c.RTM_NEWADDR, c.NLM_F_CREATE | c.NLM_F_EXCL, frozenset({EEXIST}))
        return (
            ClaimAddress(self.interface, self.address),
            request,
            AnnounceAddress("", self.interface, self.address),
        )

    def update(self, before: HostAddress) -> tuple[Action, ...]:
        del before  # whose it is stands in the firewall
        return ()

    def delete(self) -> tuple[Action, ...]:
        return (self._request(c.RTM_DELADDR, 0, frozenset({EADDRNOTAVAIL, ENODEV})),)

    def _request(self, kind: int, flags: int, tolerate: frozenset[int]) -> Netlink:
        raw, once = packed(self.address), b""
        if ":" in self.address:
            body = address_header(c.AF_INET6, 128) + attribute(c.IFA_ADDRESS, raw)
            # nodad: it was asked for before. Deprecated (a preferred lifetime of 0), so that the host
            # does not choose it for what it says itself (RFC 6724, 5, rule 3).
            once = u32(c.IFA_FLAGS, c.IFA_F_NODAD) + attribute(c.IFA_CACHEINFO, _lifetimes(0, _FOREVER))
        else:
            body = address_header(c.AF_INET, 32) + attribute(c.IFA_LOCAL, raw) + attribute(c.IFA_ADDRESS, raw)
        if kind == c.RTM_NEWADDR:
            body += once + u8(c.IFA_PROTO, ADDRESS_PROTOCOL)
        return Netlink("", kind, flags, body, fixups=((4, self.interface),), tolerate=tolerate)


def _lifetimes(preferred: int, valid: int) -> bytes:
    """struct ifa_cacheinfo: seconds, then two times of change that only the kernel sets."""
    return struct.pack("=IIII", preferred, valid, 0, 0)
