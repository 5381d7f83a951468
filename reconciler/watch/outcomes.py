"""What came of applying a round's plan: what of it stands, and whose each problem is."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.errors import Problem
from reconciler.plan.change import Create, Delete
from reconciler.plan.plan import Plan, Step, owner_of
from reconciler.reconcile import Outcome
from reconciler.state import HOST_OWNER, Key


def standing(steps: Iterable[Step]) -> tuple[Step, ...]:
    """The steps without those that made something which a later one took away again."""
    kept: dict[int, Step] = {}
    made: dict[Key, int] = {}
    for number, step in enumerate(steps):
        key = step.change.key
        if isinstance(step.change, Delete) and key in made:
            del kept[made.pop(key)]
            continue
        if isinstance(step.change, Create):
            made[key] = number
        kept[number] = step
    return tuple(kept.values())


def faults(plan: Plan, outcome: Outcome) -> dict[str, tuple[Problem, ...]]:
    """By stack, the problems of its own transaction; what failed for all is everybody's who was to change and did not."""
    found = {owner: problems for owner, problems in outcome.faults.items() if owner != HOST_OWNER}
    own = {problem for problems in found.values() for problem in problems}
    shared = tuple(problem for problem in outcome.problems if problem not in own)
    untouched = set(plan.owners) - {owner_of(step.change) for step in outcome.done} - found.keys()
    if shared or untouched:
        for name in untouched or found.keys() or set(plan.owners) or {HOST_OWNER}:
            found[name] = (*found.get(name, ()), *shared) or outcome.problems
    return found
