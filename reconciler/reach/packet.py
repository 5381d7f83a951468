"""What travels: addresses and ports, and questions about them that are asked often."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final, NamedTuple

CLIENT_PORT: Final = 0
"""The port of who asks: some free one, which no rule names."""
_MANY: Final = 1 << 16


class Packet(NamedTuple):
    """Addresses without prefix length; ``protocol`` is tcp, udp or sctp."""

    protocol: str
    source: str
    source_port: int
    destination: str
    destination_port: int

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.destination else 4

    def answer(self) -> Packet:
        """What who gets it sends back."""
        return Packet(self.protocol, self.destination, self.destination_port, self.source, self.source_port)

    def __str__(self) -> str:
        host = f"[{self.destination}]" if ":" in self.destination else self.destination
        return f"{host}:{self.destination_port}/{self.protocol}"


@lru_cache(_MANY)
def within(address: str, subnet: str) -> bool:
    """Whether an address lies in a subnet; of another family it does not."""
    return ip_address(address) in ip_network(subnet, strict=False)


@lru_cache(_MANY)
def bare(address: str) -> str:
    """The address without its prefix length."""
    return address.partition("/")[0]


@lru_cache(_MANY)
def network_of(address: str) -> tuple[str, int]:
    """The subnet of an address with prefix length, and that length."""
    network = ip_network(address, strict=False)
    return str(network), network.prefixlen


@lru_cache(_MANY)
def is_loopback(address: str) -> bool:
    """Of 127/8, or ::1."""
    return ip_address(address).is_loopback


def family_of(address: str) -> int:
    """4 or 6, also with a prefix length."""
    return 6 if ":" in address else 4
