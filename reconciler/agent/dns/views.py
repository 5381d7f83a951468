"""The views of all containers, made when somebody asks, shared by those who see the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from reconciler.agent.dns.zones import Link, Registration, View, Zone, zones

KEPT_REPLIES = 16384
_LONGEST_KEPT_REQUEST = 300  # the longest name, and EDNS


class Views:
    """``registrations`` gives those of all containers of all stacks."""

    def __init__(self, registrations: Callable[[], Iterable[Registration]]) -> None:
        self._registrations = registrations
        self._zones: dict[str, Zone] | None = None
        self._views: dict[tuple[tuple[str, ...], tuple[Link, ...]], View] = {}
        self._kept = 0

    def renew(self) -> None:
        """Something changed: the next question finds it."""
        self._zones = None
        self._views = {}
        self._kept = 0

    def view(self, networks: tuple[str, ...], links: tuple[Link, ...]) -> View:
        """What a container on these networks, with these links, sees."""
        found = self._views.get((networks, links))
        if found is None:
            if self._zones is None:
                self._zones = zones(self._registrations())
            visible = [self._zones[network] for network in networks if network in self._zones]
            found = self._views[networks, links] = View(visible, links)
        return found

    def keep(self, view: View, key: bytes, variants: list[bytes]) -> None:
        """Remember the replies to a request; with too many of all views together they are all forgotten."""
        if len(key) > _LONGEST_KEPT_REQUEST or key in view.cache:
            return
        if self._kept + len(variants) > KEPT_REPLIES:
            for each in self._views.values():
                each.cache.clear()
            self._kept = 0
        view.cache[key] = variants
        self._kept += len(variants)
