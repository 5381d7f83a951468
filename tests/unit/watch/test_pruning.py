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
