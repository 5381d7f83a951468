"""What ``network ls`` and ``network inspect`` show."""

from __future__ import annotations

import pytest

from reconciler.firewall.policy import NetworkPolicy
from reconciler.observation import Observation
from reconciler.resources.address import Address
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.namespace import Namespace
from reconciler.resources.route import Route
from reconciler.resources.shim import Shim
from reconciler.resources.sub_interface import SubInterface
from reconciler.state import State
from reconciler.views.networks import NetworkView, details, networks, render, render_details


def called(state: State, name: str) -> NetworkView:
    return next(view for view in networks(state) if view.name == name)


def test_a_network_and_its_members_have_the_fields_of_the_contract(observation: Observation) -> None:
    front = called(observation.state, "shop_front")
    assert front.id == "shop/front"
    shown = details(observation.state, front)
    members = shown.pop("containers")
    assert shown.pop("bridge") == {"id": "8000.020000000001", "ports": ("nv-1", "nv-1")}
    assert shown == {
        "id": "shop/front",
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


@pytest.mark.founding("S3-04")
def test_the_predefined_networks_are_always_there() -> None:
    assert [(view.id, view.driver, view.scope, view.stack) for view in networks(State())] == [
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
        "ID           NAME         DRIVER   SCOPE   INTERFACE   SUBNETS\n"
        "bridge       bridge       bridge   local   -           -\n"
        "host         host         host     local   -           -\n"
        "none         none         null     local   -           -\n"
        "shop/back    data         bridge   local   na-back     172.19.0.0/16 (internal)\n"
        "shop/front   shop_front   bridge   local   na-front    172.18.0.0/16, fd00::/64\n"
    )
    text = render_details(observation.state, called(observation.state, "data"))
    assert "subnet:    172.19.0.0/16, gateway 172.19.0.1\n" in text
    assert text.endswith("web         172.19.0.2/16   -      02:00:00:00:00:02\n")


def test_the_hosts_own_network_takes_the_place_of_the_predefined_one_once_it_is_made() -> None:
    state = State(
        [
            Bridge("host", "host/bridge", "bridge", "na-bridge", "02:42:ac:11:00:01", ""),
            Address("host", "host/bridge", "", "na-bridge", "172.17.0.1/16"),
            Namespace("shop", "shop/web", ""),
            Endpoint("shop", "shop/web", "eth0", "nv-1", "bridge", "na-bridge", "02:00:00:00:00:02", ""),
            Address("shop", "shop/web", "shop/web", "eth0", "172.17.0.2/16"),
        ]
    )
    assert [(view.id, view.driver, view.scope, view.stack, view.interface) for view in networks(state)] == [
        ("bridge", "bridge", "local", None, "na-bridge"),
        ("host", "host", "local", None, None),
        ("none", "null", "local", None, None),
    ]
    shown = details(state, called(state, "bridge"))
    assert shown["subnets"] == ({"subnet": "172.17.0.0/16", "gateway": "172.17.0.1"},)
    assert list(shown["containers"]) == ["shop/web"]
    assert shown["bridge"] == {"id": "8000.0242ac110001", "ports": ("nv-1",)}
    assert "bridge id: 8000.0242ac110001\nports:     nv-1\n" in render_details(state, called(state, "bridge"))


def test_a_network_on_a_parent_is_known_by_who_stands_on_it() -> None:
    def link(name: str) -> SubInterface:
        mac = "02:00:00:00:00:02"
        return SubInterface("shop", f"shop/{name}", "eth0", "shop/lan", "shop_lan", "macvlan", "bridge", "eth1", mac)

    def address(name: str, text: str) -> Address:
        return Address("shop", f"shop/{name}", f"shop/{name}", "eth0", text)

    state = State(
        [
            link("a"),
            link("b"),
            address("a", "192.0.2.10/24"),
            address("b", "192.0.2.11/24"),
            Route("shop", "shop/a", "0.0.0.0/0", "192.0.2.254", "eth0", 0),
        ]
    )
    (lan,) = (view for view in networks(state) if view.stack)
    assert (lan.id, lan.name, lan.driver, lan.interface) == ("shop/lan", "shop_lan", "macvlan", "eth1")
    shown = details(state, lan)
    assert shown["subnets"] == ({"subnet": "192.0.2.0/24", "gateway": "192.0.2.254"},)
    assert {name: each["ipv4"] for name, each in shown["containers"].items()} == {
        "a": "192.0.2.10/24",
        "b": "192.0.2.11/24",
    }
    assert shown["bridge"] is None


def test_a_network_on_a_parent_where_only_the_host_stands() -> None:
    mac = "02:00:00:00:00:03"
    shim = Shim("shop", "shop/lan", "shop_lan", "na-lan", "macvlan", "bridge", "eth1", mac, "origin")
    (lan,) = (view for view in networks(State([shim])) if view.stack)
    assert (lan.driver, lan.subnets) == ("macvlan", ())
