"""Who is called what: the names of each network, and what one container sees of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from reconciler.agent.dns import message


class Registration(NamedTuple):
    """The names, lower case, that a container has on a network (its real name), and its addresses there."""

    network: str
    names: tuple[str, ...]
    addresses: tuple[str, ...]


Link = tuple[str, tuple[str, ...]]
"""A name for one container alone, and the addresses."""


class Zone:
    """The names of one network, of all stacks: records by name and record type, and names by address."""

    __slots__ = ("_records", "_reverse")

    def __init__(self) -> None:
        self._records: dict[bytes, dict[int, dict[bytes, None]]] = {}
        self._reverse: dict[bytes, dict[bytes, None]] = {}

    def add(self, name: str, addresses: Iterable[str]) -> None:
        """Give the name these addresses beside those that it has."""
        records = self._records.setdefault(name.lower().encode(), {})
        for address in addresses:
            packed = ip_address(address).packed
            kind = message.TYPE_A if len(packed) == 4 else message.TYPE_AAAA  # noqa: PLR2004 - the bytes of IPv4
            # As keys, for a name of many containers may come with an address twice.
            records.setdefault(kind, {})[message.record(kind, packed)] = None

    def add_reverse(self, name: str, addresses: Iterable[str]) -> None:
        """Say this name of these addresses."""
        encoded = message.wire_name(name)
        if encoded:
            for address in addresses:
                pointer = message.record(message.TYPE_PTR, encoded)
                self._reverse.setdefault(reverse_name(address), {})[pointer] = None

    def find(self, name: bytes) -> dict[int, dict[bytes, None]] | None:
        """The records of a name by type; None where nobody is called so."""
        return self._records.get(name)

    def find_reverse(self, name: bytes) -> Iterable[bytes]:
        """The PTR records of a name below in-addr.arpa or ip6.arpa."""
        return self._reverse.get(name, ())


def reverse_name(address: str) -> bytes:
    """The name that the address is asked for by (RFC 1035, 3.5; RFC 3596, 2.5)."""
    return ip_address(address).reverse_pointer.lower().encode()


def zones(registrations: Iterable[Registration]) -> dict[str, Zone]:
    """The zones of all networks that anybody is on."""
    found: dict[str, Zone] = {}
    for network, names, addresses in registrations:
        zone = found.setdefault(network, Zone())
        for name in names:
            zone.add(name, addresses)
            zone.add(f"{name}.{network}", addresses)
        if names:
            zone.add_reverse(f"{names[0]}.{network}", addresses)
    return found


class View:
    """What a container may ask for: its links, then the zones of its networks. ``cache`` holds replies by request."""

    __slots__ = ("_links", "_zones", "cache")

    def __init__(self, visible: Sequence[Zone], links: Iterable[Link]) -> None:
        self._zones = visible
        self._links = Zone()
        for alias, addresses in links:
            self._links.add(alias, addresses)
        self.cache: dict[bytes, list[bytes]] = {}

    def find(self, name: bytes, kind: int) -> list[bytes] | None:
        """The records of a name, of one type or any (``TYPE_ANY``); None where there is no such name.

        A link goes before a container of the same name; one of several networks has the addresses on all.
        """
        if kind == message.TYPE_PTR:
            pointers = [record for zone in self._zones for record in zone.find_reverse(name)]
            if pointers:
                return pointers
        link = self._links.find(name)
        found = [link] if link else [each for zone in self._zones if (each := zone.find(name)) is not None]
        if not found:
            return None
        wanted = (message.TYPE_A, message.TYPE_AAAA) if kind == message.TYPE_ANY else (kind,)
        return list(dict.fromkeys(record for each in found for one in wanted for record in each.get(one, ())))
