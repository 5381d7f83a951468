"""The state before a run, given what is there now: for `up --confirm`, which undoes a run that was over already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from reconciler.desired.host import host_resources
from reconciler.firewall.policy import FirewallBase, NetworkPolicy
from reconciler.observation import Observation
from reconciler.plan.change import Delete
from reconciler.plan.plan import Plan
from reconciler.resources.address import Address
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.joined import Joined
from reconciler.resources.namespace import Namespace
from reconciler.resources.process import Process
from reconciler.state import HOST_OWNER, Key, Resource, State


def backend_before(before: Observation) -> str:
    """The backend that held the rules before a run, whichever was chosen for it.

    Of two, after an interrupted switch, the one to which it led; where none did, the run's own.
    """
    held = [each.backend for each in before.state if isinstance(each, FirewallBase)]
    chosen = before.facts.backend
    return chosen if chosen in held or not held else held[0]


def undone(plan: Plan, before: State, now: Observation, *, host_rule: bool = True) -> State:
    """What is there ``now``, with everything that ``plan`` changed as it was ``before``.

    What others did meanwhile stays, and so do, of what the plan made, the networks that they stand on.
    The rules go to the backend of ``now``, which is to be the one of ``backend_before``.
    """
    touched = {resource.key for change in plan.changes for resource in _both(change)}
    made = {
        each.container
        for change in plan.changes
        if not isinstance(change, Delete)
        for each in [change.after]
        if isinstance(each, Namespace | Joined) and each.key not in before
    }
    kept = {key: each for key, each in now.state.items() if key not in touched and not _belongs(each, made)}
    kept |= {key: _sound(each) for key, each in before.items() if key in touched}
    kept = {key: each for key, each in kept.items() if not _is_base_of_another(each, now.facts.backend)}
    _add_needed(kept, now.state)
    stacks = State(each for each in kept.values() if each.owner != HOST_OWNER)
    needed = {each.key for each in host_resources(stacks, now, host_rule=host_rule)}
    kept |= {key: each for key, each in now.state.items() if key in needed and key not in kept}
    return State(kept.values())


def _both(change: object) -> Iterable[Resource]:
    """What a change is about; a port that moves has two keys."""
    for name in ("before", "after"):
        resource: Resource | None = getattr(change, name, None)
        if resource is not None:
            yield resource


def _belongs(resource: Resource, containers: set[str]) -> bool:
    """Whether it came up in, or was left by, a container that the run made."""
    return resource.sandbox in containers or getattr(resource, "container", None) in containers


def _is_base_of_another(resource: Resource, backend: str) -> bool:
    # One backend holds the rules of a host; what a switch left of the other is not put back.
    return isinstance(resource, FirewallBase) and resource.backend != backend


def _sound(resource: Resource) -> Resource:
    match resource:
        case Process():
            # A command that could not stay as it was cannot be made so again: it is started anew.
            return replace(resource, fault="")
        case FirewallBase():
            # Nobody wants back what somebody had broken, and no backend could write it.
            return replace(resource, intact=True, strays=())
        case _:
            return resource


def _add_needed(kept: dict[Key, Resource], now: State) -> None:
    """Take back the networks on which somebody else stands: a stack that came meanwhile."""
    bridges = {each.bridge for each in kept.values() if isinstance(each, Endpoint)}
    used = {each.network for each in now if isinstance(each, Bridge) and each.interface in bridges}
    for key, resource in now.items():
        match resource:
            case Bridge(network=network) | NetworkPolicy(network=network) if network in used:
                kept.setdefault(key, resource)
            case Address(place=network) if network in used and not resource.sandbox:
                kept.setdefault(key, resource)
            case _:
                pass
