"""A host as a mapping of resources: what a plan does to it, and whether it could be done in that order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from reconciler.firewall.policy import NetworkPolicy
from reconciler.plan.change import Create, Delete, Update
from reconciler.plan.plan import Step
from reconciler.resources.sysctl import Sysctl
from reconciler.state import Key, Kind, Resource, State


def as_observed(state: State) -> State:
    """The state as a look at the host gives it: without what only a manifest knows."""
    return State(map(_observed, state))


def _observed(resource: Any) -> Resource:
    if isinstance(resource, Sysctl) and not resource.namespace:
        return replace(resource, source=None)  # the host's settings are ordered by their names alone
    if isinstance(resource, NetworkPolicy) and not (resource.masquerade4 or resource.masquerade6):
        resource = replace(resource, masquerade_ports=None)  # no rule would tell it
    unknown = [field for field in fields(resource) if not field.compare]
    return replace(resource, **{field.name: field.default for field in unknown})  # type: ignore[no-any-return]  # as given


def simulate(steps: Iterable[Step], observed: State, *, checked: bool = True) -> State:
    """The state after the steps.

    An AssertionError says where a step could not be done: what it makes is there already,
    what it changes or removes is not as it says, or, when ``checked``, something that it
    needs is missing, or something that still needs it is left behind.
    """
    host: dict[Key, Resource] = dict(observed.items())
    steps = list(steps)
    implied = {step.change.key for step in steps if isinstance(step.change, Delete) and step.change.implied}
    made = {step.change.key for step in steps if not isinstance(step.change, Delete)} | set(host)
    for step in steps:
        change = step.change
        if not isinstance(change, Create):
            assert host.pop(change.before.key, None) == change.before, f"{change.before.key} is not as the plan says"
        if isinstance(change, Update | Create):
            assert change.key not in host, f"{change.key} is there already"
            host[change.key] = change.after
            if checked:
                missing = [need for need in change.after.needs() if need in made and need not in host]
                assert not missing, f"{change.key} comes before {missing}"
        elif checked and not change.implied:
            # What a new agent holds is asked of it anew, whether it was asked to let go or not.
            left = [
                key
                for key, other in host.items()
                if change.key in other.needs() and key not in implied and key.kind is not Kind.AGENT
            ]
            assert not left, f"{change.key} goes before {left}"
    return State(host.values())
