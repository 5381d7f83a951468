"""What of a round stands, and whose its problems are."""

from __future__ import annotations

from reconciler.errors import Problem
from reconciler.plan.change import Create, Delete, Disruption
from reconciler.plan.plan import Plan, Stage, Step
from reconciler.reconcile import Outcome
from reconciler.resources.namespace import Namespace
from reconciler.state import HOST_OWNER
from reconciler.watch.outcomes import faults, standing


def create(owner: str) -> Step:
    return Step(Stage.BUILD, Create(Namespace(owner, f"{owner}/x", "o"), "new", Disruption.NONE))


def delete(owner: str) -> Step:
    return Step(Stage.REMOVE, Delete(Namespace(owner, f"{owner}/x", "o"), "gone", Disruption.NONE))


PLAN = Plan((create("a"), create("b"), create("c")), (), ("nftables", ""))
ONE, TWO, ALL = Problem("one"), Problem("two"), Problem("all")


def test_what_was_made_and_taken_away_again_does_not_stand() -> None:
    steps = (create("a"), create("b"), delete("a"))
    assert standing(steps) == (create("b"),)
    # What is made anew was taken away before.
    again = (delete("a"), create("a"))
    assert standing(again) == again


def test_each_stack_has_its_own_problems() -> None:
    outcome = Outcome((create("c"),), (), (ONE, TWO), {"a": (ONE,), "b": (TWO,)})
    assert faults(PLAN, outcome) == {"a": (ONE,), "b": (TWO,)}


def test_what_the_host_lacks_is_the_problem_of_all_that_need_it() -> None:
    outcome = Outcome((), (), (ALL,), {HOST_OWNER: (ALL,)})
    assert faults(PLAN, outcome) == {"a": (ALL,), "b": (ALL,), "c": (ALL,)}
    done = Outcome(PLAN.steps, (), (ALL,), {HOST_OWNER: (ALL,)})
    assert faults(PLAN, done) == {"a": (ALL,), "b": (ALL,), "c": (ALL,)}
    assert faults(Plan((), (), ("", "")), done) == {HOST_OWNER: (ALL,)}


def test_what_cannot_be_settled_is_said_beside_what_failed() -> None:
    outcome = Outcome((create("b"), create("c")), (), (ONE, ALL), {"a": (ONE,)})
    assert faults(PLAN, outcome) == {"a": (ONE, ALL)}
