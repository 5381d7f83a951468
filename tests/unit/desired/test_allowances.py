"""``allow:`` to networks of other stacks: found, or refused, and the same whichever stacks a run names."""

from __future__ import annotations

import pytest

from reconciler.firewall.allow import AllowPolicy
from reconciler.plan.diff import diff
from reconciler.resources.bridge import Bridge
from reconciler.state import State
from tests.unit.desired.runs import message, plan, routes, up

SHARED = "networks: {shared: {name: shared, ipam: {config: [{subnet: 10.1.0.0/24}]}%s}}\n"
OWNER = "name: s1\ncontainers: {x: {networks: {shared: {ipv4_address: 10.1.0.9}}}}\n" + SHARED
FAR = """
name: s2
containers: {y: {networks: [n]}%s}
networks: {n: {ipam: {config: [{subnet: 10.2.0.0/24}]}, allow: [shared]}, shared: {external: true}}
"""
OUTSIDE = FAR % ""
"""Allows to a network that it has no container on."""
BOTH = FAR % ", z: {networks: [shared]}"


def allowed(state: State) -> list[tuple[str, bool]]:
    """Which network's containers are let into another one, and whether that one stands."""
    bridges = {each.interface for each in state if isinstance(each, Bridge)}
    return [(each.network, each.target_interface in bridges) for each in state if isinstance(each, AllowPolicy)]


def test_an_external_network_that_nobody_of_the_stack_is_on() -> None:
    owner = OWNER % ""
    words = [("s2/n", True)]
    assert allowed(plan(owner, OUTSIDE)) == words
    after = up(OUTSIDE, on=up(owner))
    assert allowed(after.state) == words
    assert diff(after.state, plan(owner, on=after)) == ()


def test_an_external_network_that_is_nowhere_is_refused_at_the_line() -> None:
    text = message(OUTSIDE)
    assert text.startswith("-:4:65: error: network n allows external network shared, which does not exist")
    # Where a container joins it, that says it.
    assert "external network shared does not exist" in message(BOTH)


def test_a_network_that_another_stack_is_let_into_cannot_go() -> None:
    host = up(OWNER % "", OUTSIDE)
    assert "network shared is in use by network s2_n, whose containers may open connections to it" in message(
        on=host, down="s1"
    )
    assert plan(on=up(on=host, down="s2"), down="s1") == State()


@pytest.mark.parametrize("order", [["both"], ["s1", "s2"], ["s2", "s1"], ["s2"], ["s1"]])
def test_the_way_home_from_an_internal_network_stays_whichever_stack_is_run(order: list[str]) -> None:
    owner = OWNER % ", internal: true"
    host = up(owner, BOTH)
    assert routes(host.state, "s1/x") == routes(host.state, "s2/z") == {"10.2.0.0/24": "10.1.0.1"}
    texts = {"s1": (owner,), "s2": (BOTH,), "both": (owner, BOTH)}
    for run in order:
        assert diff(host.state, plan(*texts[run], on=host)) == ()


def test_whoever_cannot_answer_because_its_stack_is_not_in_the_run_is_named() -> None:
    owner = OWNER % ", internal: true"
    for text in (BOTH, OUTSIDE):
        told = message(text, on=up(owner))
        assert told.startswith("-:4:65: error: network s2_n allows network shared, but s1/x has no route back")
        assert "name both manifests in one run" in told
    # With a way out of its own whoever is asked answers by that.
    up(OUTSIDE, on=up(OWNER % ""))


def test_a_container_that_comes_later_gets_its_way_home() -> None:
    owner = OWNER % ", internal: true"
    host = up(owner, OUTSIDE)
    more = owner.replace("}}}\nnetworks", "}}, w: {networks: [shared]}}\nnetworks")
    host = up(more, on=host)
    assert routes(host.state, "s1/w") == {"10.2.0.0/24": "10.1.0.1"}
    third = "name: s3\ncontainers: {v: {networks: [shared]}}\nnetworks: {shared: {external: true}}\n"
    host = up(third, on=host)
    assert routes(host.state, "s3/v") == {"10.2.0.0/24": "10.1.0.1"}
    # With the allowance the ways home go, each in its stack's next run.
    host = up(on=host, down="s2")
    assert routes(plan(third, on=host), "s3/v") == {}


def test_who_opens_connections_from_another_stack_gets_its_way_too() -> None:
    inner = OUTSIDE.replace("allow: [shared]", "allow: [shared], internal: true, name: n")
    host = up(OWNER % ", internal: true", inner)
    third = "name: s3\ncontainers: {v: {networks: [n]}}\nnetworks: {n: {external: true}}\n"
    assert routes(plan(third, on=host), "s3/v") == {"10.1.0.0/24": "10.2.0.1"}
