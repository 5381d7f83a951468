"""What becomes reachable from where, and what stops being so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.firewall.allow import AllowPolicy
from reconciler.firewall.opening import Opening
from reconciler.firewall.policy import NetworkPolicy, PublishedPort
from reconciler.firewall.translation import FloatingPolicy
from reconciler.plan.exposure import difference, exposed, lines
from reconciler.resources.address import Address
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.joined import Joined
from reconciler.resources.route import Route
from reconciler.resources.sub_interface import SubInterface
from reconciler.state import Resource, State

MAC = "02:00:00:00:00:01"
WEB = "shop/web"
PORT = PublishedPort("shop", WEB, "tcp", "0.0.0.0", 8080, "172.18.0.2", 80)
PORT6 = PublishedPort("shop", WEB, "tcp", "::", 8080, "fd00::2", 80)
BRIDGE = Bridge("shop", "shop/front", "shop_front", "na-front", MAC, "o")
POLICY = NetworkPolicy("shop", "shop/front", "na-front", ("172.18.0.0/16",))
ENDPOINT = Endpoint("shop", WEB, "eth0", "nv-web", "shop_front", "na-front", MAC, "o")
GATEWAY = Address("shop", "shop/front", "", "na-front", "172.18.0.1/16")
ROUTED = replace(PORT, host_address="172.18.0.2", host_port=80, routed=True)
FLOATING = FloatingPolicy("shop", WEB, "192.0.2.9", "172.18.0.2")
SUB = SubInterface("shop", WEB, "eth0", "shop/lan", "shop_lan", "macvlan", "bridge", "eth1", MAC)
MEMBERS = "from members of network shop_front: every port of shop/web"


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ([PORT], ["from any machine: 8080/tcp on every IPv4 address of the host -> 80/tcp of shop/web"]),
        ([PORT6], ["from any machine: 8080/tcp on every IPv6 address of the host -> 80/tcp of shop/web"]),
        ([PORT, PORT6], ["from any machine: 8080/tcp on every address of the host -> 80/tcp of shop/web"]),
        (
            [replace(PORT, host_address="127.0.0.1")],
            ["from this host only: 8080/tcp on 127.0.0.1 -> 80/tcp of shop/web"],
        ),
        # The kernel drops the answers of what is reached there.
        ([replace(PORT6, host_address="::1")], []),
        ([replace(PORT, host_address="192.0.2.1")], ["from any machine: 8080/tcp on 192.0.2.1 -> 80/tcp of shop/web"]),
        (
            [replace(PORT, sources=("10.0.0.0/8", "192.0.2.0/24"))],
            [
                (
                    "from 10.0.0.0/8, 192.0.2.0/24 and this host: 8080/tcp on every IPv4 address of the host"
                    " -> 80/tcp of shop/web"
                )
            ],
        ),
        (
            [ROUTED],
            ["from any machine: its own address 172.18.0.2 -> 80/tcp of shop/web"],
        ),
        (
            [Opening("shop", WEB, "udp", 53, 60, ("10.0.0.0/8",))],
            ["from 10.0.0.0/8 and this host: every address of the host -> 53-60/udp of shop/web"],
        ),
        (
            [FLOATING],
            ["from any machine: 192.0.2.9 -> every port of shop/web"],
        ),
        ([BRIDGE, POLICY, ENDPOINT], [MEMBERS]),
        ([BRIDGE, replace(POLICY, icc=False), ENDPOINT], []),
        # Whose other half is gone, or what is on no bridge, is reached by nobody; the repair makes it reachable.
        ([BRIDGE, POLICY, replace(ENDPOINT, interface="")], []),
        ([BRIDGE, POLICY, replace(ENDPOINT, host_interface="", bridge="")], []),
        ([BRIDGE, POLICY, replace(ENDPOINT, bridge="")], []),
        (
            [BRIDGE, GATEWAY, replace(POLICY, mode4="nat-unprotected", icc=False), ENDPOINT],
            ["from any machine: its own IPv4 address on shop_front -> every port of shop/web"],
        ),
        # Nothing of that family is there to be reached.
        ([BRIDGE, GATEWAY, replace(POLICY, mode6="nat-unprotected", icc=False), ENDPOINT], []),
        (
            [BRIDGE, GATEWAY, replace(POLICY, trusted_interfaces=("eth1",), icc=False), ENDPOINT],
            ["from machines behind eth1: its own address on shop_front -> every port of shop/web"],
        ),
        (
            [SUB],
            [
                (
                    "from members of network shop_lan and machines on the host's eth1: its own address on shop_lan"
                    " -> every port of shop/web"
                )
            ],
        ),
        (
            [replace(SUB, internal=True)],
            ["from members of network shop_lan: its own address on shop_lan -> every port of shop/web"],
        ),
        (
            [Joined("shop", WEB, "", "o")],
            ["from wherever the host's own firewall lets in: the host's addresses -> every port of shop/web"],
        ),
        ([Joined("shop", WEB, "shop/other", "o")], []),
        (
            [BRIDGE, AllowPolicy("shop", "shop/side", "na-side", "na-front", (("tcp", 80, 81),))],
            ["from members of network shop/side: 80-81/tcp of network shop_front"],
        ),
    ],
)
def test_from_where(resources: list[Resource], expected: list[str]) -> None:
    assert list(lines(exposed(State(resources)))) == expected


def test_what_several_networks_may_use_is_told_apart() -> None:
    side = AllowPolicy("shop", "shop/side", "na-side", "na-front", (("tcp", 80, 80), ("tcp", 443, 443)))
    back = AllowPolicy("shop", "shop/back", "na-back", "na-front", (("udp", 53, 53),))
    assert lines(exposed(State([BRIDGE, side, back]))) == (
        "from members of network shop/back: 53/udp of network shop_front",
        "from members of network shop/side: 80/tcp, 443/tcp of network shop_front",
    )


def test_families_with_other_sources_are_told_apart() -> None:
    assert len(exposed(State([PORT, replace(PORT6, sources=("fd00::/8",))]))) == 2


def test_only_what_differs_is_told() -> None:
    other = replace(PORT, host_port=9090)
    change = difference(State([BRIDGE, POLICY, ENDPOINT, PORT]), State([BRIDGE, POLICY, ENDPOINT, other]))
    assert [way.at for way in change.opened] == ["9090/tcp on every IPv4 address of the host"]
    assert [way.at for way in change.closed] == ["8080/tcp on every IPv4 address of the host"]
    assert not difference(State([PORT]), State([PORT]))


def told(before: list[Resource], after: list[Resource]) -> tuple[list[str], list[str]]:
    change = difference(State(before), State(after))
    return list(lines(change.opened)), list(lines(change.closed))


SUBNETS = ("10.0.0.0/8", "192.0.2.0/24")
FEWER = replace(PORT, sources=("10.0.0.0/8",))
LOCAL = replace(PORT, host_address="127.0.0.1")
ANY4 = "from any machine: 8080/tcp on every IPv4 address of the host -> 80/tcp of shop/web"
ANY6 = ANY4.replace("IPv4", "IPv6")


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        # One family goes, the other one stays as it was.
        ([PORT, PORT6], [PORT], [ANY6]),
        ([PORT, PORT6], [PORT6], [ANY4]),
        ([PORT, PORT6], [LOCAL, PORT6], [f"{ANY4}; as before from this host only: 8080/tcp on 127.0.0.1"]),
        ([PORT], [FEWER], [f"{ANY4}; as before from 10.0.0.0/8 and this host"]),
        (
            [PORT],
            [replace(PORT, host_address="192.0.2.1")],
            [f"{ANY4}; as before from any machine: 8080/tcp on 192.0.2.1"],
        ),
        (
            [PORT],
            [replace(FEWER, host_address="192.0.2.1")],
            [f"{ANY4}; as before from 10.0.0.0/8 and this host: 8080/tcp on 192.0.2.1"],
        ),
        ([replace(PORT, sources=SUBNETS)], [FEWER], [ANY4.replace("any machine", "192.0.2.0/24")]),
        (
            [FEWER],
            [replace(PORT, sources=("10.9.0.0/16",))],
            [f"{ANY4.replace('any machine', '10.0.0.0/8')}; as before from 10.9.0.0/16"],
        ),
        (
            [Opening("shop", WEB, "udp", 53, 60)],
            [Opening("shop", WEB, "udp", 53, 53)],
            [
                (
                    "from any machine: every address of the host -> 53-60/udp of shop/web;"
                    " as before from any machine -> 53/udp"
                )
            ],
        ),
        (
            [AllowPolicy("shop", "shop/side", "na-side", "na-front", (("tcp", 80, 80), ("tcp", 443, 443)))],
            [AllowPolicy("shop", "shop/side", "na-side", "na-front", (("tcp", 80, 80),))],
            ["from members of network shop/side: 443/tcp of network na-front"],
        ),
        (
            [SUB],
            [replace(SUB, internal=True)],
            ["from machines on the host's eth1: its own address on shop_lan -> every port of shop/web"],
        ),
        (
            [BRIDGE, GATEWAY, replace(POLICY, mode4="nat-unprotected", icc=False), ENDPOINT],
            [BRIDGE, GATEWAY, replace(POLICY, mode4="routed", icc=False), ENDPOINT, ROUTED],
            [
                (
                    "from any machine: its own IPv4 address on shop_front -> every port of shop/web;"
                    " as before from any machine: its own address 172.18.0.2 -> 80/tcp"
                )
            ],
        ),
    ],
)
def test_what_becomes_narrower_only_closes(wide: list[Resource], narrow: list[Resource], expected: list[str]) -> None:
    assert told(wide, narrow) == ([], expected)
    # And what becomes wider only opens.
    assert told(narrow, wide) == (expected, [])


def test_other_sources_open_and_close() -> None:
    opened, closed = told([FEWER], [replace(PORT, sources=("192.0.2.0/24",))])
    assert opened == [ANY4.replace("any machine", "192.0.2.0/24")]
    assert closed == [ANY4.replace("any machine", "10.0.0.0/8")]


def test_an_address_that_leads_to_another_port_is_another_way() -> None:
    opened, closed = told([PORT], [replace(PORT, host_address="192.0.2.1", target_port=81)])
    assert (len(opened), closed) == (1, [ANY4])


ROUTER = Endpoint("shop", "shop/r", "eth0", "nv-r", "shop_front", "na-front", MAC, "o")
INSIDE = Address("shop", WEB, WEB, "eth0", "172.18.0.2/16")
BASE: list[Resource] = [
    *(BRIDGE, GATEWAY, replace(POLICY, icc=False), ENDPOINT, ROUTER, INSIDE),
    *(Address("shop", "shop/r", "shop/r", "eth0", "172.18.0.9/16"), PORT, FLOATING),
]
BY_HOST = Route("shop", WEB, "0.0.0.0/0", "172.18.0.1", "eth0", 0)
BY_ROUTER = replace(BY_HOST, gateway="172.18.0.9")
BACK = Route("shop", WEB, "198.51.100.0/24", "172.18.0.1", "eth0", 0)
FLOATS = "from any machine: 192.0.2.9 -> every port of shop/web"


def test_who_answers_through_a_gateway_is_reached_by_the_host_alone() -> None:
    opened, closed = told([*BASE, BY_HOST], [*BASE, BY_ROUTER])
    assert opened == []
    assert closed == [f"{FLOATS}; as before from this host only", f"{ANY4}; as before from this host only"]
    # A route of its own may lead back; and of the other family nothing was said.
    assert told([*BASE, BY_HOST], [*BASE, BY_ROUTER, BACK]) == ([], [])
    assert told([*BASE, PORT6, BY_HOST], [*BASE, PORT6, BY_ROUTER])[1] == closed


def test_without_an_address_of_the_hosts_nobody_gets_at_the_ports() -> None:
    unprotected = replace(POLICY, icc=False, mode4="nat-unprotected", trusted_interfaces=("eth1",))
    resources = [*(each for each in BASE if each != GATEWAY and not isinstance(each, NetworkPolicy)), unprotected]
    opened, closed = told([*resources, GATEWAY], resources)
    assert opened == []
    assert [line.partition(":")[0] for line in closed] == [*["from any machine"] * 3, "from machines behind eth1"]


def test_members_apart_close_what_a_network_opened() -> None:
    change = difference(State([BRIDGE, POLICY, ENDPOINT]), State([BRIDGE, replace(POLICY, icc=False), ENDPOINT]))
    assert list(lines(change.closed)) == [MEMBERS]
    assert change.opened == ()


def test_many_that_are_reached_alike_are_one_line() -> None:
    ends = [replace(ENDPOINT, container=f"shop/c{number:02}") for number in range(12)]
    (line,) = lines(exposed(State([BRIDGE, POLICY, *ends])))
    assert line.endswith("shop/c06, shop/c07 and 4 more")
