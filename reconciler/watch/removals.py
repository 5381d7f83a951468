"""Stacks whose manifest is gone: which of them go now, which a little later, and which not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from reconciler.manifest.model import Manifest
from reconciler.naming import origin_of
from reconciler.observation import Observation
from reconciler.watch import pruning
from reconciler.watch.manifests import Manifests
from reconciler.watch.records import Policy
from reconciler.watch.remembered import Remembered


class Removals:
    """Remembers since when each stack is without a manifest. ``decision`` is the last one."""

    def __init__(self, manifests: Manifests, policy: Policy, remembered: Remembered) -> None:
        self._manifests = manifests
        self._policy = policy
        self._remembered = remembered
        self.decision = pruning.Decision()
        self._missing_since: dict[str, float] = {}

    def due(self, observation: Observation, manifests: Mapping[str, Manifest], now: float) -> set[str]:
        """The stacks to remove now."""
        if not self._policy.prune:
            return set()
        views = self._views(manifests)
        standing = pruning.origins(observation.state)
        # What a watcher kept in one directory came from there, even if another one made it.
        came_from = {name: origin_of(place.directory) for name, place in self._remembered.of(standing).items()}
        self.decision = pruning.decide(
            standing | came_from, views, self._remembered.held, allow_empty=self._policy.allow_empty
        )
        self._remembered.held = dict(self.decision.to_remember)
        self._missing_since = {name: self._missing_since.get(name, now) for name in self.decision.prune}
        return {name for name, first in self._missing_since.items() if now - first >= self._policy.prune_after}

    def missing(self) -> Iterable[str]:
        """Those that go now or later."""
        return self._missing_since.keys()

    def times(self, now: float) -> Iterator[float]:
        """When those that go later are due."""
        grace = self._policy.prune_after
        yield from (since + grace for since in self._missing_since.values() if since + grace > now)

    def _views(self, manifests: Mapping[str, Manifest]) -> Iterator[pruning.View]:
        for directory in self._manifests.directories.values():
            stacks = {name for name, manifest in manifests.items() if manifest.origin == directory.path}
            unusable = self._manifests.unusable().items()
            stacks |= {name for name, paths in unusable if not directory.files.keys().isdisjoint(paths)}
            unknown = sum(1 for file in directory.files.values() if file.manifest is None)
            origin = origin_of(directory.path)
            yield pruning.View(directory.path, origin, frozenset(stacks), unknown, directory.fault)
