"""A plan to put back what others changed, when what is wanted is known already: only what differs is compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from reconciler.observation import Observation
from reconciler.plan.diff import diff
from reconciler.plan.plan import Plan, order
from reconciler.state import Key, State


class Dependents:
    """Which objects of a state need which others: an object that is made anew takes those that need it along."""

    def __init__(self, state: State) -> None:
        self._needed_by: dict[Key, list[Key]] = defaultdict(list)
        for key, resource in state.items():
            for need in resource.needs():
                self._needed_by[need].append(key)

    def with_dependents(self, keys: Iterable[Key]) -> set[Key]:
        """These, those that need them, and so on."""
        found: set[Key] = set()
        waiting = list(keys)
        while waiting:
            key = waiting.pop()
            if key not in found:
                found.add(key)
                waiting.extend(self._needed_by.get(key, ()))
        return found


def plan_back(observation: Observation, wanted: State, dependents: Dependents) -> Plan:
    """The plan that a comparison of both whole states would give."""
    observed = observation.state
    concerned = dependents.with_dependents(differences(observed, wanted))
    steps = order(diff(_part(observed, concerned), _part(wanted, concerned)), observed, wanted)
    return Plan(steps, observation.facts.warnings, (observation.facts.backend, observation.facts.backend_reason))


def differences(observed: State, wanted: State) -> dict[Key, str]:
    """The keys at which they differ, with the owner of what is there, or should be."""
    found = {key: resource.owner for key, resource in wanted.items() if not _same(observed, key, resource)}
    return found | {key: resource.owner for key, resource in observed.items() if key not in wanted}


def _same(state: State, key: Key, resource: object) -> bool:
    found = state.get(key)
    return found is resource or found == resource


def _part(state: State, keys: Iterable[Key]) -> State:
    return State(resource for key in sorted(keys) if (resource := state.get(key)))
