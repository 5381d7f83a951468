"""A plan that was reviewed: what it was made from and for, as plain data, and whether it still is what would be done.

Nothing that a saved plan holds is ever carried out. `up` plans again, from the manifests and the host as they
are then, and goes on only if that is the reviewed plan, object by object: so a forged file can do no harm.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconciler.desired.scope import Scope
from reconciler.errors import NetapplyError, Problem
from reconciler.firewall.policy import FirewallBase, HostAccept, PublishedPort
from reconciler.observation import Observation
from reconciler.plan.diff import changed_fields
from reconciler.plan.plan import Plan, action_of
from reconciler.resources.agent import HeldPorts
from reconciler.resources.process import Process
from reconciler.snapshot import comparable, concealed, state_from_document, state_to_document
from reconciler.state import HOST_OWNER, Resource, State

FORMAT_VERSION = 2
MARK = "netapply_plan"
"""The first key of the document: what tells it from a manifest."""
_MOST_SHOWN = 20
_ANOTHER = {"pins": "list of ports", "registrations": "list of names"}
"""Fields whose names say nothing to people."""
_AGAIN = "look at what has become of it, and save it anew: netapply plan --out FILE"

StepName = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Saved:
    """``before`` and ``after`` are what the host had and was to get, of the stacks and of its own, with secrets concealed.

    ``steps`` are action, kind and name of each change, in order. ``arguments`` say where the manifests are, as the
    command line's side wants it. ``key_mark`` tells the key that the secrets were concealed with; empty: there are none.
    """

    host_id: str
    firewall: str
    stacks: frozenset[str]
    adopt: bool
    host_rule: bool
    arguments: Mapping[str, Any]
    before: State
    after: State
    steps: tuple[StepName, ...]
    key_mark: str = ""
    accepts: frozenset[str] = frozenset()
    """The rules that the host's own firewall called for, by the names of their keys."""

    def environment(self) -> tuple[str, ...]:
        """``stack/container: NAME, …`` of the variables whose values it does not hold."""
        commands = (each for each in self.after if isinstance(each, Process) and each.environment)
        return tuple(f"{each.container}: {', '.join(name for name, _ in each.environment)}" for each in commands)


def saved(
    scope: Scope, firewall: str, arguments: Mapping[str, Any], observation: Observation, wanted: State, plan: Plan
) -> Saved:
    """What has to be kept of a plan. Its states still hold secrets, which ``to_document`` conceals."""
    owners = scope.stacks | {HOST_OWNER}
    before, after = observation.state.owned_by(owners), wanted.owned_by(owners)
    facts, steps = observation.facts, _steps(plan)
    given = scope.stacks, scope.adopt, scope.host_rule, arguments
    return Saved(facts.host_id, firewall, *given, before, after, steps, accepts=_accepts(observation))


def _accepts(observation: Observation) -> frozenset[str]:
    return frozenset(accept.key.name for accept in observation.facts.wanted_accepts)


def mark_of(key: bytes) -> str:
    """What tells this key from others, and nothing about it."""
    return hmac.new(key, b"netapply saved plan", "sha256").hexdigest()[:16] if key else ""


def to_document(plan: Saved, key: bytes) -> dict[str, Any]:
    """The plan as JSON has it, its secrets concealed with ``key``."""
    return {
        MARK: FORMAT_VERSION,
        "host_id": plan.host_id,
        "firewall": plan.firewall,
        "stacks": sorted(plan.stacks),
        "adopt": plan.adopt,
        "host_rule": plan.host_rule,
        "arguments": dict(plan.arguments),
        "key_mark": mark_of(key),
        "accepts": sorted(plan.accepts),
        "steps": [list(step) for step in plan.steps],
        "before": state_to_document(plan.before, key),
        "after": state_to_document(plan.after, key),
    }


def from_document(document: Any) -> Saved:
    """What ``to_document`` was given, with secrets concealed. Raises NetapplyError for anything else."""
    if not isinstance(document, Mapping) or document.get(MARK) != FORMAT_VERSION:
        raise NetapplyError.of("this is not a plan that this netapply can read")
    match document:
        case {
            "host_id": str(host_id),
            "firewall": str(firewall),
            "stacks": list(stacks),
            "adopt": bool(adopt),
            "host_rule": bool(host_rule),
            "arguments": Mapping() as arguments,
            "key_mark": str(key_mark),
            "accepts": list(accepts),
            "steps": list(steps),
            "before": before,
            "after": after,
        } if all(isinstance(each, str) for each in (*stacks, *accepts)):
            given = frozenset(stacks), adopt, host_rule, arguments
            states = state_from_document(before), state_from_document(after)
            names = tuple(_step(each) for each in steps)
            return Saved(host_id, firewall, *given, *states, names, key_mark, frozenset(accepts))
    raise NetapplyError.of("a part of this saved plan is missing")


def _step(value: Any) -> StepName:
    match value:
        case [str(action), str(kind), str(name)]:
            return action, kind, name
    raise NetapplyError.of("a step of this saved plan is not one")


def is_done(reviewed: Saved, wanted: State, plan: Plan, key: bytes) -> bool:
    """Whether the host is already what the reviewed plan makes of it."""
    after = _now(wanted, reviewed, reviewed.after, key)
    return not plan.steps and not list(_differences(reviewed.after, after, "", "", ""))


def objection(
    name: str, reviewed: Saved, observation: Observation, wanted: State, plan: Plan, key: bytes
) -> Problem | None:
    """Why ``plan``, made now, is not the reviewed one, of that ``name``; None: it is.

    Each object that differs is in the details: of the host where that has changed, else of the manifests.
    """
    facts = observation.facts
    message, hint = f"{name} is not what would be done now, so nothing is", _AGAIN
    if reviewed.host_id != facts.host_id:
        return _refused(message, ["the plan was made for another host, or for this one before it was made anew"], hint)
    backend = next((each.backend for each in reviewed.after if isinstance(each, FirewallBase)), facts.backend)
    if backend != facts.backend:
        why = f"the plan was made for {backend}, this run is for {facts.backend}: {facts.backend_reason}"
        hint = f"netapply --firewall {backend} up {name}, or save it anew: netapply plan --out FILE"
        return _refused(message, [why], hint)
    # What the host lets be chosen follows from it; where that is as it was, it is the manifests that differ.
    found = (
        _changes_of_host(reviewed, observation, wanted, key)
        or _changes_of_manifests(reviewed, wanted, key)
        or list(_other_steps(reviewed.steps, _steps(plan)))
    )
    return _refused(message, found, hint) if found else None


def _refused(message: str, found: list[str], hint: str) -> Problem:
    more = [f"{len(found) - _MOST_SHOWN} more differences"] if len(found) > _MOST_SHOWN else []
    return Problem(message, hint=hint, details=(*found[:_MOST_SHOWN], *more))


def _changes_of_host(reviewed: Saved, observation: Observation, wanted: State, key: bytes) -> list[str]:
    since = "has changed since the plan was made"
    found = list(
        _differences(
            reviewed.before,
            _now(observation.state, reviewed, reviewed.before, key),
            f"the host {since}: {{what}} is there now",
            f"the host {since}: {{what}} is gone",
            f"the host {since}: {{what}} differs in {{names}}",
        )
    )
    # Rules for chains of others, which no manifest names.
    then, now = reviewed.accepts, _accepts(observation)
    for names, state, amount in ((now - then, wanted, "one rule more"), (then - now, reviewed.after, "one rule less")):
        rules = (each for each in state if isinstance(each, HostAccept) and each.key.name in names)
        found += sorted(f"the host's own firewall {since}, and needs {amount}: {rule.describe()}" for rule in rules)
    return found


def _changes_of_manifests(reviewed: Saved, wanted: State, key: bytes) -> list[str]:
    return list(
        _differences(
            reviewed.after,
            _now(wanted, reviewed, reviewed.after, key),
            "the plan does not have what the manifest asks for now: {what}",
            "the manifest does not ask any more for what the plan has: {what}",
            "the manifest asks for {what} with another {names} than the plan",
        )
    )


def _now(state: State, reviewed: Saved, then: State, key: bytes) -> State:
    """The same part of a state, concealed in the same way."""
    return comparable(concealed(state.owned_by(reviewed.stacks | {HOST_OWNER}), key), then)


def _differences(then: State, now: State, new: str, gone: str, changed: str) -> Iterator[str]:
    pairs = {key: (_of_anywhere(then.get(key)), _of_anywhere(now.get(key))) for key in {*then.keys(), *now.keys()}}
    different = {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
    publishing = {each.owner for pair in different.values() for each in pair if isinstance(each, PublishedPort)}
    for key, (before, after) in sorted(different.items()):
        found = after or before
        if found is None or (isinstance(found, HeldPorts) and found.owner in publishing):
            # What is held follows from what is published.
            continue
        what = f"{key.name.partition(':')[0]}: {found.describe()}"
        if before is None or after is None:
            yield (gone if after is None else new).format(what=what)
        else:
            names = (_ANOTHER.get(name, name.replace("_", " ")) for name in changed_fields(before, after))
            yield changed.format(what=what, names=", ".join(names))


def _of_anywhere(resource: Any) -> Resource | None:
    """Where the manifest stands is not what was reviewed: it may be applied on another machine than it was planned on."""
    found: Resource | None = replace(resource, origin="") if getattr(resource, "origin", "") else resource
    return found


def _other_steps(then: tuple[StepName, ...], now: tuple[StepName, ...]) -> Iterator[str]:
    for action, kind, name in now:
        if (action, kind, name) not in then:
            yield f"the plan has no such step: {action} {kind} {name}"
    for action, kind, name in then:
        if (action, kind, name) not in now:
            yield f"a step of the plan is not needed any more: {action} {kind} {name}"
    if sorted(then) == sorted(now) and then != now:
        yield "the plan's steps come in another order now: it was made by another version of netapply"


def _steps(plan: Plan) -> tuple[StepName, ...]:
    return tuple((action_of(change), str(change.key.kind), change.key.name) for change in plan.changes)
