"""What differs, what goes with what, and what a change does to traffic."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.firewall.allow import AllowPolicy
from reconciler.firewall.policy import NetworkPolicy, PublishedPort
from reconciler.firewall.translation import FloatingPolicy
from reconciler.plan.change import Change, Create, Delete, Disruption, Update
from reconciler.plan.diff import changed_fields, diff
from reconciler.resources.address import Address
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.joined import Joined
from reconciler.resources.namespace import Namespace
from reconciler.resources.process import Process
from reconciler.resources.route import Route
from reconciler.state import Resource, State

WEB = Namespace("shop", "shop/web", "")
LINK = Endpoint("shop", "shop/web", "eth0", "nv-web", "shop_front", "na-front", "02:00:00:00:00:02", "")
HALF = replace(LINK, interface="")
ADDRESS = Address("shop", "shop/web", "shop/web", "eth0", "10.7.0.2/24")
ROUTE = Route("shop", "shop/web", "0.0.0.0/0", "10.7.0.1", "eth0", 0)
PROCESS = Process("shop", "shop/web", ("sleep", "1"), "shop/web")
PORT = PublishedPort("shop", "shop/web", "tcp", "0.0.0.0", 8080, "10.7.0.2", 80)
POLICY = NetworkPolicy("shop", "shop/front", "na-front", ("10.7.0.0/24",))
ALLOW = AllowPolicy("shop", "shop/front", "na-front", "na-back", (("tcp", 80, 81),))
STATIC = replace(ROUTE, destination="10.9.0.0/16", gateway="10.7.0.3")
BLACKHOLE = replace(STATIC, gateway="", interface="", kind="blackhole")
FLOATING = FloatingPolicy("shop", "shop/web", "192.0.2.60", "10.7.0.2")


def implied(*gone: Resource) -> set[type]:
    return {type(c.before) for c in diff(State(gone), State()) if isinstance(c, Delete) and c.implied}


def test_what_stands_in_a_namespace_goes_with_it() -> None:
    assert implied(WEB, LINK, ADDRESS, ROUTE, PROCESS, PORT) == {Endpoint, Address, Route}
    assert implied(LINK, ADDRESS, ROUTE) == {Address, Route}
    assert implied(ADDRESS, ROUTE, PROCESS) == set()


def test_a_half_that_lost_its_other_half_does_not_go_by_itself() -> None:
    assert implied(WEB, HALF) == set()


def kinds(changes: tuple[Change, ...]) -> list[tuple[type, type]]:
    return [(type(change), type(change.before if isinstance(change, Delete) else change.after)) for change in changes]


def test_what_needs_a_replaced_object_is_replaced_with_it() -> None:
    before = State([Joined("shop", WEB.container, "", WEB.origin), LINK, ADDRESS, ROUTE, PROCESS, PORT])
    after = State([WEB, LINK, ADDRESS, ROUTE, PROCESS, PORT])
    replaced: list[tuple[type, type]] = [
        *((each, kind) for kind in (Endpoint, Address, Route, Process) for each in (Delete, Create)),
        (Delete, Joined),
        (Create, Namespace),
    ]
    assert sorted(kinds(diff(before, after)), key=str) == sorted(replaced, key=str)


@pytest.mark.parametrize(
    ("before", "after", "disruption"),
    [
        (LINK, replace(LINK, mtu=1400), Disruption.NONE),
        (LINK, replace(LINK, bridge="na-side"), Disruption.FLAP),
        (LINK, replace(LINK, mac="02:00:00:00:00:03"), Disruption.FLAP),
        (PORT, replace(PORT, target_port=81), Disruption.RESET),
        (ROUTE, replace(ROUTE, gateway="10.7.0.9"), Disruption.RESET),
        (replace(ROUTE, protocol=3), ROUTE, Disruption.NONE),
        (replace(WEB, origin="1"), WEB, Disruption.NONE),
        (POLICY, replace(POLICY, internal=True), Disruption.RESET),
        (replace(POLICY, internal=True), POLICY, Disruption.NONE),
        (POLICY, replace(POLICY, icc=False), Disruption.RESET),
        (replace(POLICY, icc=False), POLICY, Disruption.NONE),
        (POLICY, replace(POLICY, masquerade4=False), Disruption.NONE),
        (ALLOW, replace(ALLOW, ports=(("tcp", 80, 90),)), Disruption.NONE),
        (ALLOW, replace(ALLOW, ports=()), Disruption.NONE),
        (ALLOW, replace(ALLOW, ports=(("tcp", 81, 90),)), Disruption.RESET),
        (replace(ALLOW, ports=()), ALLOW, Disruption.RESET),
    ],
)
def test_what_changes_in_place(before: Resource, after: Resource, disruption: Disruption) -> None:
    (change,) = diff(State([before]), State([after]))
    assert change == Update(before, after, change.reason, disruption)
    assert set(changed_fields(before, after)) <= after.live


@pytest.mark.parametrize(
    ("standing", "after", "disruption"),
    [
        ([], FLOATING, Disruption.NONE),
        ([WEB], FLOATING, Disruption.RESET),
        ([], BLACKHOLE, Disruption.NONE),
        ([WEB], BLACKHOLE, Disruption.RESET),
        # Without a default route nothing went there.
        ([WEB], STATIC, Disruption.NONE),
        ([WEB, ROUTE], STATIC, Disruption.RESET),
        ([WEB], ROUTE, Disruption.NONE),
        ([WEB], PORT, Disruption.NONE),
    ],
)
def test_what_is_made_beside_what_stands(standing: list[Resource], after: Resource, disruption: Disruption) -> None:
    assert diff(State(standing), State([*standing, after])) == (
        Create(after, f"wanted by {after.subject}", disruption),
    )


@pytest.mark.parametrize(
    ("before", "disruption"),
    [
        (ROUTE, Disruption.RESET),
        (STATIC, Disruption.RESET),
        (BLACKHOLE, Disruption.NONE),
        (ALLOW, Disruption.RESET),
        (POLICY, Disruption.NONE),
        (PORT, Disruption.RESET),
    ],
)
def test_what_goes(before: Resource, disruption: Disruption) -> None:
    assert [change.disruption for change in diff(State([before]), State([]))] == [disruption]


def test_a_command_is_replaced_and_its_secrets_are_not_told() -> None:
    secret = replace(PROCESS, environment=(("TOKEN", "canary"),))
    first, second = diff(State([PROCESS]), State([secret]))
    assert (type(first), type(second)) == (Delete, Create)
    assert first.reason == "environment changed"
    assert first.disruption == second.disruption == Disruption.RECREATE
    assert "canary" not in f"{first} {second}"


def test_nothing_differs_from_itself() -> None:
    state = State([WEB, LINK, ADDRESS, ROUTE, PROCESS, PORT])
    assert diff(state, state) == ()
