"""Whether the host, looked at again, is as it should be by now."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from reconciler.errors import Problem
from reconciler.plan.change import Create, Delete
from reconciler.plan.diff import changed_fields, diff
from reconciler.plan.plan import Step
from reconciler.state import Resource, State


def touched_sandboxes(steps: Sequence[Step]) -> frozenset[str]:
    """The sandboxes in which the steps do something."""
    resources = (step.change.before if isinstance(step.change, Delete) else step.change.after for step in steps)
    return frozenset(resource.sandbox for resource in resources) - {""}


def differences(
    now: State,
    wanted: State,
    steps: Sequence[Step],
    pending: Sequence[Step],
    owners: Collection[str],
    sandboxes: frozenset[str],
) -> tuple[Problem, ...]:
    """What of ``owners`` still differs, where ``pending`` deletes have not happened yet.

    ``now`` is a look at the host that entered ``sandboxes`` only.
    """
    expected = wanted.where(lambda r: r.owner in owners and _is_visible(r, sandboxes))
    seen = now.where(lambda r: r.owner in owners and _is_visible(r, sandboxes) and not _passes_on(r, wanted))
    going = (s.change.before for s in pending if isinstance(s.change, Delete))
    # What goes anyway may have changed meanwhile: a command ends when it likes.
    waiting = State(seen.get(each.key) or each for each in going if _is_visible(each, sandboxes))
    sources = {s.change.key: s.change.after.source for s in steps if not isinstance(s.change, Delete)}
    problems = []
    for change in diff(seen, expected.merged(waiting)):
        if isinstance(change, Create):
            text = f"{change.key.name} ({change.after.describe()}) is not there after it was made"
        elif isinstance(change, Delete):
            text = f"{change.key.name} ({change.before.describe()}) is there although it should not be"
        else:
            names = ", ".join(changed_fields(change.before, change.after))
            text = f"{change.key.name} ({change.after.describe()}) is not as it was made: {names}"
        problems.append(Problem(text, sources.get(change.key), "something else on this host may be changing it"))
    return tuple(problems)


def _passes_on(resource: Resource, wanted: State) -> bool:
    """Whether another owner takes the object over, in a transaction of its own."""
    after = wanted.get(resource.key)
    return after is not None and after.owner != resource.owner


def _is_visible(resource: Resource, sandboxes: frozenset[str]) -> bool:
    return not resource.sandbox or resource.sandbox in sandboxes
