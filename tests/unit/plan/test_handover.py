"""Which stacks of a plan are one transaction: those that hand something to each other."""

from __future__ import annotations

from dataclasses import replace

from reconciler.firewall.policy import NetworkPolicy, PublishedPort
from reconciler.firewall.translation import FloatingPolicy
from reconciler.plan.change import Change, Create, Delete, Update
from reconciler.plan.plan import Plan, Stage, Step
from reconciler.resources.endpoint import Endpoint
from reconciler.state import Resource


def port(stack: str, number: int) -> PublishedPort:
    return PublishedPort(stack, f"{stack}/web", "tcp", "0.0.0.0", number, "172.18.0.2", 80)


def network(stack: str, *subnets: str) -> NetworkPolicy:
    return NetworkPolicy(stack, f"{stack}/front", f"na-{stack}", subnets)


def transactions(*changes: Change) -> tuple[tuple[str, ...], ...]:
    return Plan(tuple(Step(Stage.BUILD, change) for change in changes)).transactions


def update(before: Resource, after: Resource) -> Change:
    return Update(before, after)


def test_each_stack_is_one_by_itself() -> None:
    assert transactions(Create(port("b", 80)), Create(port("a", 81)), Delete(port("c", 82))) == (("a",), ("b",), ("c",))
    assert transactions(Create(port("a", 80))) == (("a",),)


def test_those_that_hand_something_over_are_one() -> None:
    moved = update(network("b", "10.0.0.0/24"), network("b", "10.0.9.0/24"))
    assert transactions(Delete(port("c", 80)), Create(port("a", 80)), Create(port("b", 81))) == (("a", "c"), ("b",))
    # A subnet is handed over where one of the two lies in the other.
    assert transactions(moved, Create(network("a", "10.0.0.0/16"))) == (("a", "b"),)
    floating = FloatingPolicy("a", "a/web", "192.0.2.50", "172.18.0.2")
    other = replace(floating, owner="d", container="d/web")
    assert transactions(Delete(floating), Create(other), Create(port("b", 1))) == (("a", "d"), ("b",))


def test_what_stays_with_its_stack_ties_nobody() -> None:
    kept = update(port("a", 80), replace(port("a", 80), target_address="172.18.0.3"))
    assert transactions(kept, Create(port("b", 81)), Delete(port("b", 82))) == (("a",), ("b",))
    assert transactions(Create(network("a", "10.0.0.0/24")), Create(network("b", "10.0.0.0/16"))) == (("a",), ("b",))


def test_a_chain_of_hand_overs_is_one_and_comes_after_what_it_needs() -> None:
    joins = Endpoint("a", "a/web", "eth0", "nv-web", "z_front", "na-z", "02:00:00:00:00:01", "o")
    changes = (Delete(port("a", 1)), Create(port("b", 1)), Delete(port("b", 2)), Create(port("c", 2)), Create(joins))
    assert transactions(*changes, Create(port("aa", 9))) == (("a", "b", "c"), ("aa",))
