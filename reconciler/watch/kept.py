"""Stacks that stand while nothing says what they shall be: they are kept as they were when that was first seen.

Their manifest cannot be used, or is gone in a way that was no order to remove them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from reconciler.kernel.runtime import ENDED
from reconciler.observation import Observation
from reconciler.resources.process import Process
from reconciler.state import Resource, State
from reconciler.watch.manifests import Manifests
from reconciler.watch.pruning import origins
from reconciler.watch.remembered import Remembered


class KeptStacks:
    """Remembers how such stacks stood, by stack in ``states``, until a manifest of theirs can be used."""

    def __init__(self, manifests: Manifests, remembered: Remembered) -> None:
        self._manifests = manifests
        self._remembered = remembered
        self.states: dict[str, State] = {}

    def see(self, before: State, now: State, held: Collection[str]) -> None:
        """How the host was and is: whatever is new among them, or ``held`` without a manifest, is to stay as before."""
        unusable = self._manifests.unusable()
        waiting = set(held) - self._manifests.stacks().keys() - unusable.keys()
        waiting -= self._given_up(waiting & self.states.keys(), now)
        self.states = {name: kept for name, kept in self.states.items() if name in unusable or name in waiting}
        new = (unusable.keys() | waiting) - self.states.keys()
        standing = origins(before) if new else {}
        for name in standing.keys() & new:
            if name in waiting or self._is_ours(name, standing, unusable[name]):
                self.states[name] = State(map(_lasting, before.owned_by(frozenset({name}))))

    def _given_up(self, names: set[str], now: State) -> set[str]:
        """Those that somebody took down, as the reason for holding them says, or made his own."""
        if not names:
            return set()
        owners, standing = {resource.owner for resource in now}, origins(now)
        kept = {name: origins(self.states[name]).get(name, "") for name in names}
        # What is left of one may not tell where it came from.
        return {name for name in names if name not in owners or standing.get(name, kept[name]) != kept[name]}

    def commands(self) -> list[str]:
        """``stack/container`` of the commands that belong to them."""
        return [each.container for state in self.states.values() for each in state if isinstance(each, Process)]

    def _is_ours(self, name: str, standing: Mapping[str, str], paths: tuple[str, ...]) -> bool:
        """Whether it came from these files: another one of that name is none of our business."""
        return name in self._remembered.of(standing) or standing[name] in self._manifests.origins_of(paths)


def as_kept(observation: Observation, states: Mapping[str, State]) -> Observation:
    """The host as if these stacks stood as they did; of a command that did not run then, as it does now."""
    if not states:
        return observation
    others = observation.state.where(lambda resource: resource.owner not in states)
    kept = (_as_kept(resource, observation.state) for state in states.values() for resource in state)
    return replace(observation, state=others.merged(State(resource for resource in kept if resource)))


def _as_kept(resource: Resource, now: State) -> Resource | None:
    return now.get(resource.key) if isinstance(resource, Process) and resource.fault else resource


def _lasting(resource: Resource) -> Resource:
    """One that is to run always runs again, though it had just ended; how often another may is not known any more."""
    if isinstance(resource, Process) and resource.fault.startswith(ENDED) and resource.restart != "on-failure":
        return replace(resource, fault="")
    return resource
