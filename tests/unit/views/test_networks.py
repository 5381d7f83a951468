"""What ``network ls`` and ``network inspect`` show."""

from __future__ import annotations

from reconciler.firewall.policy import NetworkPolicy
from reconciler.observation import Observation
from reconciler.resources.bridge import Bridge
from reconciler.state import State
from reconciler.views.networks import NetworkView, details, networks, render, render_details


def called(state: State, name: str) -> NetworkView:
    return next(view for view in networks(state) if view.name == name)


def test_a_network_and_its_members_have_the_fields_of_the_contract(observation: Observation) -> None:
    front = called(observation.state, "shop_front")
    assert front.network == "shop/front"
    shown = details(observation.state, front)
    members = shown.pop("containers")
    assert shown == {
        "name": "shop_front",
        "stack": "shop",
        "driver": "bridge",
        "scope": "local",
        "interface": "na-front",
        "internal": False,
        "subnets": (
            {"subnet": "172.18.0.0/16", "gateway": "172.18.0.1"},
            {"subnet": "fd00::/64", "gateway": "fd00::1"},
        ),
    }
    assert members == {
        # A container of another stack may have the same name, so that one is told in full.
        "blog/web": {"ipv4": "172.18.0.9/16", "ipv6": None, "mac": "02:00:00:00:00:02"},
        "web": {"ipv4": "172.18.0.2/16", "ipv6": "fd00::2/64", "mac": "02:00:00:00:00:02"},
    }


def test_the_predefined_networks_are_always_there() -> None:
    assert [(view.name, view.driver, view.scope, view.stack) for view in networks(State())] == [
        ("bridge", "bridge", "local", None),
        ("host", "host", "local", None),
        ("none", "null", "local", None),
    ]


def test_a_predefined_network_has_no_members(observation: Observation) -> None:
    assert details(observation.state, called(observation.state, "none"))["containers"] == {}


def test_internal_comes_from_the_policy_and_subnets_survive_without_it(observation: Observation) -> None:
    back = called(observation.state, "data")
    assert back.internal
    flushed = State(each for each in observation.state if not isinstance(each, NetworkPolicy))
    assert called(flushed, "data").subnets == back.subnets
    assert called(flushed, "shop_front").subnets == called(observation.state, "shop_front").subnets


def test_a_subnet_where_the_host_has_no_address_has_no_gateway() -> None:
    bridge = Bridge("a", "a/b", "a_b", "na-b", "02:00:00:00:00:01", "origin")
    state = State([bridge, NetworkPolicy("a", "a/b", "na-b", ("10.0.0.0/24",))])
    assert [each.gateway for each in called(state, "a_b").subnets] == [None]


def test_the_tables(observation: Observation) -> None:
    assert render(networks(observation.state)) == (
        "NETWORK      STACK   DRIVER   INTERFACE   SUBNETS\n"
        "bridge       -       bridge   -           -\n"
        "host         -       host     -           -\n"
        "none         -       null     -           -\n"
        "data         shop    bridge   na-back     172.19.0.0/16 (internal)\n"
        "shop_front   shop    bridge   na-front    172.18.0.0/16, fd00::/64\n"
    )
    text = render_details(observation.state, called(observation.state, "data"))
    assert "subnet:    172.19.0.0/16, gateway 172.19.0.1\n" in text
    assert text.endswith("web         172.19.0.2/16   -      02:00:00:00:00:02\n")
