"""The Plan: changes in the order in which they are made, and the point up to which they can be undone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from reconciler.errors import Problem
from reconciler.plan.change import Change, Create, Delete, Disruption, Update, worst
from reconciler.plan.handover import entangled
from reconciler.resources.agent import HeldPorts
from reconciler.resources.source_route import SourceRoute
from reconciler.state import HOST_OWNER, Key, Kind, State


class Stage(IntEnum):
    """When a change is made. What can be undone comes first; from STOP on there is no way back."""

    HOST = 0
    FENCE = 1
    CLEAR = 2
    BUILD = 3
    TRIM = 4
    HOLD = 5
    PUBLISH = 6
    START = 7
    STOP = 8
    SILENCE = 9
    REMOVE = 10
    DISMANTLE = 11
    UNFENCE = 12
    HOST_REMOVE = 13


_STAGE_OF_CHANGE = {
    Kind.NAMESPACE: Stage.BUILD,
    Kind.LINK: Stage.BUILD,
    Kind.ADDRESS: Stage.BUILD,
    Kind.ROUTE: Stage.BUILD,
    Kind.ROUTER: Stage.BUILD,
    Kind.SYSCTL: Stage.BUILD,
    Kind.FILE: Stage.BUILD,
    Kind.RULE: Stage.FENCE,
    Kind.POLICY: Stage.FENCE,
    Kind.AGENT: Stage.HOLD,
    Kind.PORT: Stage.PUBLISH,
    Kind.PROCESS: Stage.START,
}
_STAGE_OF_DELETE = {
    Kind.NAMESPACE: Stage.REMOVE,
    Kind.LINK: Stage.CLEAR,
    Kind.ADDRESS: Stage.TRIM,
    Kind.ROUTE: Stage.TRIM,
    Kind.ROUTER: Stage.TRIM,
    Kind.SYSCTL: Stage.TRIM,
    Kind.FILE: Stage.UNFENCE,
    Kind.RULE: Stage.UNFENCE,
    Kind.POLICY: Stage.UNFENCE,
    Kind.AGENT: Stage.UNFENCE,
    Kind.PORT: Stage.PUBLISH,
    Kind.PROCESS: Stage.STOP,
}


_KIND_ORDER = {kind: place for place, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class Step:
    """One change at its place in the order."""

    stage: Stage
    change: Change


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in order; ``firewall`` (backend and why) and ``warnings`` are for the reader."""

    steps: tuple[Step, ...]
    warnings: tuple[Problem, ...] = ()
    firewall: tuple[str, str] = ("", "")

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes in the order in which they are made."""
        return tuple(step.change for step in self.steps)

    @property
    def owners(self) -> tuple[str, ...]:
        """The stacks that change, without the host, in the order of their transactions."""
        return tuple(owner for owners in self.transactions for owner in owners)

    @property
    def transactions(self) -> tuple[tuple[str, ...], ...]:
        """The stacks that change, without the host: those that hand something to each other are one transaction.

        Who makes what another one needs comes first, else by name.
        """
        owners = {owner_of(step.change) for step in self.steps} - {HOST_OWNER}
        if len(owners) < 2:  # noqa: PLR2004  # one alone has nobody to hand anything to
            return tuple((owner,) for owner in owners)
        heads = entangled(self.changes)
        members: dict[str, list[str]] = {}
        for owner in sorted(owners):
            members.setdefault(heads.get(owner, owner), []).append(owner)
        needs: dict[str, set[str]] = {}
        for owner, found in self._needs_between(owners).items():
            needs.setdefault(heads.get(owner, owner), set()).update(heads.get(each, each) for each in found)
        ordered: list[str] = []
        for head in sorted(members):
            _add_after_needs(head, needs, set(), ordered)
        return tuple(tuple(members[head]) for head in ordered)

    def _needs_between(self, owners: set[str]) -> dict[str, set[str]]:
        """By stack, those that make what it needs: a network that it joins."""
        resources = [step.change.after for step in self.steps if not isinstance(step.change, Delete)]
        makers = {resource.key: resource.owner for resource in resources}
        needs: dict[str, set[str]] = {owner: set() for owner in owners}
        for resource in resources:
            if resource.owner in owners:
                needs[resource.owner].update(makers[need] for need in resource.needs() if need in makers)
        return {owner: (found & owners) - {owner} for owner, found in needs.items()}

    def of(self, *owners: str) -> tuple[Step, ...]:
        """The steps of these owners, in order."""
        return tuple(step for step in self.steps if owner_of(step.change) in owners)

    @property
    def summary(self) -> dict[str, int]:
        """How many changes of each action."""
        return counted(self.changes)

    @property
    def disruption(self) -> Disruption:
        """The worst class among the changes."""
        return worst(self.changes)


def _add_after_needs(owner: str, needs: dict[str, set[str]], waiting: set[str], ordered: list[str]) -> None:
    if owner in ordered or owner in waiting:
        return  # two that need each other: one has to begin
    waiting.add(owner)
    for other in sorted(needs.get(owner, ())):
        _add_after_needs(other, needs, waiting, ordered)
    ordered.append(owner)


def counted(changes: Iterable[Change]) -> dict[str, int]:
    """How many changes of each action."""
    count = Counter(action_of(change) for change in changes)
    return {action: count[action] for action in ("create", "update", "delete")}


def owner_of(change: Change) -> str:
    """The owner of what changes."""
    return (change.before if isinstance(change, Delete) else change.after).owner


def action_of(change: Change) -> str:
    """``create``, ``update`` or ``delete``."""
    return {Create: "create", Update: "update", Delete: "delete"}[type(change)]


def order(changes: tuple[Change, ...], observed: State, desired: State) -> tuple[Step, ...]:
    """Changes by stage; within one, what an object needs before it, deletes the other way round."""
    recreated = {change.key for change in changes if isinstance(change, Create) and change.key in observed}
    by_stage: dict[Stage, list[Change]] = {}
    for change in changes:
        by_stage.setdefault(_stage(change, recreated, observed, desired), []).append(change)
    return tuple(Step(stage, change) for stage in sorted(by_stage) for change in _sorted(by_stage[stage]))


def _stage(change: Change, recreated: set[Key], observed: State, desired: State) -> Stage:
    kind = change.key.kind
    if isinstance(change, Update) and kind is Kind.NAMESPACE:
        return Stage.FENCE  # whatever is done inside needs its name
    if not isinstance(change, Delete):
        return Stage.HOST if owner_of(change) == HOST_OWNER else _STAGE_OF_CHANGE[kind]
    if owner_of(change) == HOST_OWNER:
        return Stage.HOST if change.key in recreated else Stage.HOST_REMOVE
    if change.key in recreated or not recreated.isdisjoint(change.before.needs()):
        return Stage.PUBLISH if kind is Kind.PORT else Stage.CLEAR
    if isinstance(change.before, HeldPorts):
        return Stage.HOLD  # before another stack of the transaction takes them
    if kind is Kind.AGENT and change.before.sandbox:
        return Stage.SILENCE  # what the agent has open in a namespace would keep it; of all sandboxes in one go
    if kind is Kind.LINK and not change.before.sandbox:
        return Stage.DISMANTLE  # a bridge: its ports leave before, and its policy stays until it is gone
    sandbox = Key(Kind.NAMESPACE, change.before.sandbox)
    if sandbox in observed and sandbox not in desired:
        # It goes with its namespace, after the point of no return, unless it stands in the way now.
        return max(_STAGE_OF_DELETE[kind], Stage.REMOVE)
    if change.implied or isinstance(change.before, SourceRoute):
        # It goes with its link, and next to it, so that a rollback makes the link before it.
        return Stage.CLEAR if change.before.sandbox else Stage.DISMANTLE
    return _STAGE_OF_DELETE[kind]


def _sorted(changes: list[Change]) -> Iterator[Change]:
    by_key: dict[Key, list[Change]] = {}
    for change in changes:
        by_key.setdefault(change.key, []).append(change)
    done: set[Key] = set()
    ordered: list[Change] = []
    for key in sorted(by_key, key=_reading_order):
        _visit(key, by_key, done, ordered)
    deletes = [change for change in ordered if isinstance(change, Delete)]
    yield from reversed(deletes)
    yield from (change for change in ordered if not isinstance(change, Delete))


def _reading_order(key: Key) -> tuple[str, int, str]:
    """Container by container, so that what belongs together is made, and read, together."""
    return (key.name.partition(":")[0], _KIND_ORDER[key.kind], key.name)


def _visit(key: Key, by_key: dict[Key, list[Change]], done: set[Key], ordered: list[Change]) -> None:
    if key in done:
        return
    done.add(key)
    for change in by_key[key]:
        resource = change.before if isinstance(change, Delete) else change.after
        for need in resource.needs():
            if need in by_key:
                _visit(need, by_key, done, ordered)
    ordered.extend(by_key[key])
