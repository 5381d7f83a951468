"""What ``ls`` shows."""

from __future__ import annotations

from dataclasses import replace

from reconciler.firewall.policy import FirewallBase
from reconciler.observation import Observation
from reconciler.resources.namespace import Namespace
from reconciler.state import State
from reconciler.views.stacks import details, render, stacks
from tests.unit.views.somewhere import PATHS


def test_every_stack_with_how_much_it_has(observation: Observation) -> None:
    with_host = replace(observation, state=observation.state.merged(State([FirewallBase("nftables")])))
    assert [view.record() for view in stacks(with_host)] == [
        {"name": "blog", "containers": 1, "networks": 0},
        {"name": "shop", "containers": 3, "networks": 2},
    ]


def test_a_stack_of_which_only_wreckage_is_left_is_still_a_stack() -> None:
    wreck = Observation(State([Namespace("shop", "shop/web", "", pinned=False)]))
    assert [view.record() for view in stacks(wreck)] == [{"name": "shop", "containers": 0, "networks": 0}]


def test_the_table(observation: Observation) -> None:
    assert render(stacks(observation)) == (
        "STACK   CONTAINERS   NETWORKS\n"
        "blog    1            0\n"
        "shop    3            2\n"
    )  # fmt: skip
    assert render(()) == "STACK   CONTAINERS   NETWORKS\n"


def test_inspect_shows_what_is_of_the_stack_and_nothing_else(observation: Observation) -> None:
    shown = details(observation, "shop", PATHS)
    assert [each["name"] for each in shown["containers"]] == ["box", "job", "web"]
    assert [each["name"] for each in shown["networks"]] == ["data", "shop_front"]
