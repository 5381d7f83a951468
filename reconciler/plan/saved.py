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
from reconciler.observation import Observation
from reconciler.plan.diff import changed_fields
from reconciler.plan.plan import Plan, action_of
from reconciler.resources.process import Process
from reconciler.snapshot import comparable, concealed, state_from_document, state_to_document
from reconciler.state import HOST_OWNER, Key, Resource, State

FORMAT_VERSION = 1
MARK = "netapply_plan"
"""The first key of the document: what tells it from a manifest."""
_MOST_SHOWN = 20
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
    host_id = observation.facts.host_id
    return Saved(host_id, firewall, scope.stacks, scope.adopt, scope.host_rule, arguments, before, after, _steps(plan))


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
        "steps": [list(step) for step in plan.steps],
        "before": state_to_document(plan.before, key),
        "after": state_to_document(plan.after, key),
    }


def from_document(document: Any) -> Saved:
    """What ``to_document`` was given, with secrets concealed. Raises NetapplyError for anything else."""
    if not isinstance(document, Mapping) or document.get(MARK) != FORMAT_VERSION:
        raise NetapplyError.of("this is not a plan that this netapply can read", hint="save it anew: plan --out FILE")
    match document:
        case {
            "host_id": str(host_id),
            "firewall": str(firewall),
            "stacks": list(stacks),
            "adopt": bool(adopt),
            "host_rule": bool(host_rule),
            "arguments": Mapping() as arguments,
            "key_mark": str(key_mark),
            "steps": list(steps),
            "before": before,
            "after": after,
        } if all(isinstance(each, str) for each in stacks):
            names = tuple(_step(each) for each in steps)
            states = state_from_document(before), state_from_document(after)
            return Saved(
                host_id, firewall, frozenset(stacks), adopt, host_rule, arguments, *states, names, key_mark=key_mark
            )
    raise NetapplyError.of("a part of this saved plan is missing", hint="save it anew: netapply plan --out FILE")


def _step(value: Any) -> StepName:
    match value:
        case [str(action), str(kind), str(name)]:
            return action, kind, name
    raise NetapplyError.of("a step of this saved plan is not one")


def is_done(reviewed: Saved, wanted: State, plan: Plan, key: bytes) -> bool:
    """Whether the host is already what the reviewed plan makes of it."""
    after = _now(wanted, reviewed, reviewed.after, key)
    return not plan.steps and not list(_differences(reviewed.after, after, "", "", ""))


def objections(reviewed: Saved, observation: Observation, wanted: State, plan: Plan, key: bytes) -> tuple[Problem, ...]:
    """Why ``plan``, made now, is not the reviewed one: each object of the host, or of the manifests, that differs."""
    if reviewed.host_id != observation.facts.host_id:
        return (Problem("the plan was made for another host, or for this one before it was made anew", hint=_AGAIN),)
    found = list(
        _differences(
            reviewed.before,
            _now(observation.state, reviewed, reviewed.before, key),
            "the host has changed since the plan was made: {what} is there now",
            "the host has changed since the plan was made: {what} is gone",
            "the host has changed since the plan was made: {what} differs in {names}",
        )
    )
    # What the host lets be chosen follows from it; where that is as it was, it is the manifests that differ.
    found = found or list(
        _differences(
            reviewed.after,
            _now(wanted, reviewed, reviewed.after, key),
            "the plan does not have what the manifest asks for now: {what}",
            "the manifest does not ask any more for what the plan has: {what}",
            "the manifest asks for {what} with another {names} than the plan",
        )
    )
    found = found or list(_other_steps(reviewed.steps, _steps(plan)))
    if len(found) > _MOST_SHOWN:
        found[_MOST_SHOWN:] = [f"{len(found) - _MOST_SHOWN} more differences"]
    return tuple(Problem(text, hint=_AGAIN if text is found[-1] else "") for text in found)


def _now(state: State, reviewed: Saved, then: State, key: bytes) -> State:
    """The same part of a state, concealed in the same way."""
    return comparable(concealed(state.owned_by(reviewed.stacks | {HOST_OWNER}), key), then)


def _differences(then: State, now: State, new: str, gone: str, changed: str) -> Iterator[str]:
    for key in sorted({*then.keys(), *now.keys()}):
        before, after = _of_anywhere(then.get(key)), _of_anywhere(now.get(key))
        if before is None and after is not None:
            yield new.format(what=_named(key, after.describe()))
        elif before is not None and after is None:
            yield gone.format(what=_named(key, before.describe()))
        elif before is not None and after is not None and before != after:
            names = ", ".join(changed_fields(before, after))
            yield changed.format(what=_named(key, after.describe()), names=names)


def _of_anywhere(resource: Any) -> Resource | None:
    """Where the manifest stands is not what was reviewed: it may be applied on another machine than it was planned on."""
    found: Resource | None = replace(resource, origin="") if getattr(resource, "origin", "") else resource
    return found


def _named(key: Key, described: str) -> str:
    return f"{key.name.partition(':')[0]}: {described}"


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
