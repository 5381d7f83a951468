"""Stacks that stand while nothing says what they shall be: they are kept as they were when that was first seen."""

from __future__ import annotations

from collections.abc import Mapping
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

    def see(self, state: State) -> None:
        """How the host is: whatever is new among them is to stay so."""
        unusable = self._manifests.unusable()
        self.states = {name: kept for name, kept in self.states.items() if name in unusable}
        new = unusable.keys() - self.states.keys()
        standing = origins(state) if new else {}
        for name in standing.keys() & new:
            if self._is_ours(name, standing, unusable[name]):
                self.states[name] = State(map(_lasting, state.owned_by(frozenset({name}))))

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
