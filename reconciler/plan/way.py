"""One way to reach something, in one family and from one source: so that ways can be compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Final

from reconciler.errors import Source
from reconciler.firewall.allow import Span

ANY_MACHINE: Final = "any machine"
THIS_HOST: Final = "this host only"
EVERY_PORT: Final = "every port"


@dataclass(frozen=True, slots=True)
class Way:
    """``port`` of ``target`` is reached from ``origin``: any machine, this host, a subnet, or who in words.

    ``side`` is how it is met, for members of a network as its members; only ways of one side compare. ``at`` is where, in words, and ``addresses`` the same
    as a subnet, empty where none matters. ``span``: the ports that are met where they may be a part of others;
    None: all. ``wildcard``: 4 or 6, at every address of the host of that family.
    """

    target: str
    port: str
    side: str
    at: str
    origin: str
    addresses: str = field(default="", compare=False)
    span: Span | None = field(default=None, compare=False)
    wildcard: int = field(default=0, compare=False)
    source: Source | None = field(default=None, compare=False)

    def covers(self, other: Way) -> bool:
        """Whether all that goes the other way can go this one."""
        return self == other or (
            (self.target, self.side) == (other.target, other.side)
            and _has_addresses(self, other)
            and _has_ports(self.span, other.span)
            and (self.origin in {ANY_MACHINE, other.origin} or _is_within(other.origin, self.origin))
        )


def _has_addresses(wide: Way, narrow: Way) -> bool:
    if wide.addresses and narrow.addresses:
        return _is_within(narrow.addresses, wide.addresses)
    return wide.at == narrow.at


def _has_ports(wide: Span | None, narrow: Span | None) -> bool:
    if wide is None or narrow is None:
        return wide is None
    return wide[0] == narrow[0] and wide[1] <= narrow[1] and narrow[2] <= wide[2]


def _is_within(narrow: str, wide: str) -> bool:
    """Of two subnets. An origin in words has nothing else in it."""
    if not (is_subnet(narrow) and is_subnet(wide)):
        return False
    inner, outer = ip_network(narrow), ip_network(wide)
    if inner.version != outer.version:
        return False
    return outer.prefixlen <= inner.prefixlen and inner.network_address in outer


def is_subnet(origin: str) -> bool:
    """Whether the origin is a subnet, and not words."""
    return origin[:1].isdigit() or ":" in origin
