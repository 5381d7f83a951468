"""Arithmetic on subnets and addresses as integers: allocation for a thousand containers runs on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_interface, ip_network

from reconciler.naming import digest

_ATTEMPTS = 64


@dataclass(frozen=True, slots=True, order=True)
class Subnet:
    """``base``/``length`` of ``family`` 4 or 6."""

    family: int
    base: int
    length: int

    @property
    def bits(self) -> int:
        """How long an address is."""
        return 32 if self.family == 4 else 128  # noqa: PLR2004  # the family

    @property
    def last(self) -> int:
        """The highest address in it."""
        return self.base | ((1 << (self.bits - self.length)) - 1)

    def __contains__(self, address: int) -> bool:
        return self.base <= address <= self.last

    def __str__(self) -> str:
        return f"{text(self.family, self.base)}/{self.length}"

    def overlaps(self, other: Subnet) -> bool:
        """Whether they share an address."""
        return self.family == other.family and self.base <= other.last and other.base <= self.last

    def with_length(self, address: str) -> str:
        """An address of it with its prefix length."""
        return f"{address}/{self.length}"

    @property
    def usable(self) -> tuple[int, int]:
        """First and last address for hosts: not the network's own nor the broadcast's (RFC 3021, RFC 4291 2.6.1)."""
        if self.length >= self.bits - 1:
            return self.base, self.last
        return self.base + 1, self.last - 1 if self.family == 4 else self.last  # noqa: PLR2004  # the family


@lru_cache(maxsize=4096)
def parse_subnet(value: str) -> Subnet:
    """``172.18.0.0/16`` as a Subnet."""
    network = ip_network(value, strict=False)
    return Subnet(network.version, int(network.network_address), network.prefixlen)


@lru_cache(maxsize=16384)
def parse_interface(value: str) -> tuple[int, Subnet]:
    """``172.18.0.2/16`` as an address and the subnet it is in."""
    interface = ip_interface(value)
    network = interface.network
    return int(interface.ip), Subnet(network.version, int(network.network_address), network.prefixlen)


def number(address: str) -> int:
    """An address without prefix length as an integer."""
    return int(ip_interface(address).ip)


def text(family: int, value: int) -> str:
    """Canonical text of an address."""
    if family == 4:  # noqa: PLR2004  # the family
        return str(IPv4Address(value))
    return str(IPv6Address(value))


def in_hash_order(first: int, last: int, *names: str) -> Iterator[int]:
    """Every integer of the range once: some by hash of the names, then the rest in order.

    The first free one of this order depends on the names alone as long as its place is
    free, so a neighbour that comes or goes moves nobody.
    """
    size = last - first + 1
    seen = set()
    for attempt in range(_ATTEMPTS):
        choice = first + digest("choice", *names, str(attempt)) % size
        if choice not in seen:
            seen.add(choice)
            yield choice
    for choice in range(first, last + 1):
        if choice not in seen:
            yield choice
