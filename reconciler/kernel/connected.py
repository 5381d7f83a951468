"""Whether an address has its connected route: the one that the kernel makes with it, and that anybody can delete."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from reconciler.netlink.decode import RouteRecord
from reconciler.netlink.encode import packed

_NONE: frozenset[str] = frozenset()


class ConnectedRoutes:
    """Of one namespace, from its main table; ``is_up`` are its links, by index."""

    def __init__(self, routes: Iterable[RouteRecord], is_up: Mapping[int, bool]) -> None:
        self._is_up = is_up
        self._destinations: dict[int, set[str]] = defaultdict(set)
        for route in routes:
            if not route.gateway:
                self._destinations[route.link_index].add(route.destination)

    def leads_to(self, link_index: int, address: str) -> bool:
        """Whether the subnet of ``address`` (with prefix length) is reached by that link.

        A single address has no subnet, and of a link that is down the kernel takes the routes away until it is up.
        """
        text, _, length = address.partition("/")
        raw = packed(text)
        host_bits = len(raw) * 8 - int(length)
        if not host_bits or not self._is_up.get(link_index, False):
            return True
        prefix = int.from_bytes(raw) >> host_bits
        return any(
            _prefix(destination, host_bits) == prefix
            for destination in self._destinations.get(link_index, _NONE)
            if destination.endswith(f"/{length}") and (":" in destination) == (":" in text)
        )


def _prefix(destination: str, host_bits: int) -> int:
    return int.from_bytes(packed(destination.partition("/")[0])) >> host_bits
