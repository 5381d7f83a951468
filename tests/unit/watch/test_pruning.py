"""Which stacks go with their manifest."""

from __future__ import annotations

import pytest

from reconciler.resources.namespace import Namespace
from reconciler.state import State
from reconciler.watch.pruning import View, decide, origins

HERE = "0123456789abcdef"


def view(*stacks: str, unknown: int = 0, fault: str = "") -> View:
    return View("/m", HERE, frozenset(stacks), unknown, fault)


def standing(*stacks: str, origin: str = HERE) -> dict[str, str]:
    return dict.fromkeys(stacks, origin)


def test_a_stack_without_a_manifest_goes() -> None:
    assert decide(standing("a", "b", "c"), [view("a", "b")]).prune == {"c"}


def test_what_came_from_elsewhere_stays() -> None:
    assert decide(standing("a", origin="other") | standing("b"), [view("b")]).prune == frozenset()


def test_a_stack_that_moved_to_another_watched_directory_stays() -> None:
    other = View("/n", "fedcba9876543210", frozenset({"a"}))
    assert decide(standing("a", "b"), [view("b"), other]).prune == frozenset()


def test_a_stack_that_only_got_another_name_goes() -> None:
    assert decide(standing("old"), [view("new")]).prune == {"old"}


@pytest.mark.parametrize(
    ("present", "words"),
    [
        (view(), "empty"),
        (view("a"), "vanished at once"),
        (view("a", "b", unknown=1), "cannot be read"),
        (view("a", "b", fault="/m cannot be read: Input/output error"), "Input/output error"),
    ],
)
def test_what_may_be_a_mistake_is_no_order(present: View, words: str) -> None:
    decision = decide(standing("a", "b", "c"), [present])
    assert decision.prune == frozenset()
    assert decision.held[0][0] == "/m"
    assert words in decision.held[0][1]
    assert "kept: " in decision.held[0][1]


def test_it_is_one_where_it_was_allowed() -> None:
    assert decide(standing("a", "b"), [view()], allow_empty=True).prune == {"a", "b"}
    assert decide(standing("a", "b"), [view(fault="x")], allow_empty=True).prune == frozenset()


def test_origins_are_read_from_what_bears_one() -> None:
    state = State([Namespace("a", "a/x", HERE), Namespace("b", "b/x", "")])
    assert origins(state) == {"a": HERE}


def test_what_vanished_at_once_is_not_forgotten() -> None:
    first = decide(standing("a", "b", "c"), [view("c")])
    assert first.to_remember.keys() == {"a", "b"}
    more = decide(standing("a", "b", "c"), [view("c", "d", "e", "f")], first.to_remember)
    assert more.prune == frozenset()
    assert "2 of 3 stacks vanished at once" in more.held[0][1]
    assert decide(standing("a", "b", "c"), [view("a", "c")], more.to_remember).to_remember.keys() == {"b"}
    assert decide(standing("b", "c"), [view("c")], {}).prune == {"b"}
    assert decide(standing("c"), [view("c")], more.to_remember).to_remember == {}
    assert decide(standing("a", "b", "c"), [view("c")], first.to_remember, allow_empty=True).prune == {"a", "b"}


def test_one_more_that_goes_is_judged_by_itself() -> None:
    first = decide(standing("a", "b", "c"), [view("c")])
    later = decide(standing("a", "b", "c", "d", "e"), [view("c", "e")], first.to_remember)
    assert later.prune == {"d"}
    assert "d" not in later.held[0][1].partition("kept: ")[2]


def test_what_vanished_beside_a_broken_file_is_not_forgotten() -> None:
    broken = decide(standing("a", "b", "c"), [view("c", unknown=1)])
    assert "cannot be read" in broken.held[0][1]
    assert decide(standing("a", "b", "c"), [view("c", "d")], broken.to_remember).prune == frozenset()


def test_what_is_held_of_a_directory_that_is_not_watched_now_stays_so() -> None:
    other = view("x")
    held = decide(standing("a", origin="elsewhere"), [other], {"a": "why"})
    assert (held.to_remember, held.held) == ({"a": "why"}, ())


def test_the_reason_is_what_is_true_now() -> None:
    empty = decide(standing("a", "b", "c"), [view()])
    assert empty.stacks_held["c"].startswith("held: it is empty; ")
    back = decide(standing("a", "b", "c"), [view("a", "b")], empty.to_remember)
    assert back.held[0][1].startswith("it was empty, and not all of its stacks are back; ")
    assert back.stacks_held.keys() == {"c"}
    again = decide(standing("a", "b", "c"), [view()], back.to_remember)
    assert set(again.to_remember.values()) == {empty.to_remember["c"]}
