"""What becomes reachable from where, and what stops being so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.firewall.allow import AllowPolicy
from reconciler.firewall.opening import Opening
from reconciler.firewall.policy import NetworkPolicy, PublishedPort
from reconciler.firewall.translation import FloatingPolicy
from reconciler.plan.exposure import difference, exposed, lines
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.joined import Joined
from reconciler.resources.sub_interface import SubInterface
from reconciler.state import Resource, State

MAC = "02:00:00:00:00:01"
WEB = "shop/web"
PORT = PublishedPort("shop", WEB, "tcp", "0.0.0.0", 8080, "172.18.0.2", 80)
PORT6 = PublishedPort("shop", WEB, "tcp", "::", 8080, "fd00::2", 80)
BRIDGE = Bridge("shop", "shop/front", "shop_front", "na-front", MAC, "o")
POLICY = NetworkPolicy("shop", "shop/front", "na-front", ("172.18.0.0/16",))
ENDPOINT = Endpoint("shop", WEB, "eth0", "nv-web", "shop_front", "na-front", MAC, "o")
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
            [replace(PORT, host_address="172.18.0.2", host_port=80, routed=True)],
            ["from any machine: its own address 172.18.0.2 -> 80/tcp of shop/web"],
        ),
        (
            [Opening("shop", WEB, "udp", 53, 60, ("10.0.0.0/8",))],
            ["from 10.0.0.0/8 and this host: every address of the host -> 53-60/udp of shop/web"],
        ),
        (
            [FloatingPolicy("shop", WEB, "192.0.2.9", "172.18.0.2")],
            ["from any machine: 192.0.2.9 -> every port of shop/web"],
        ),
        ([BRIDGE, POLICY, ENDPOINT], [MEMBERS]),
        ([BRIDGE, replace(POLICY, icc=False), ENDPOINT], []),
        # Whose other half is gone, or what is on no bridge, is reached by nobody; the repair makes it reachable.
        ([BRIDGE, POLICY, replace(ENDPOINT, interface="")], []),
        ([BRIDGE, POLICY, replace(ENDPOINT, host_interface="", bridge="")], []),
        ([BRIDGE, POLICY, replace(ENDPOINT, bridge="")], []),
        (
            [BRIDGE, replace(POLICY, mode4="nat-unprotected", icc=False), ENDPOINT],
            ["from any machine: its own IPv4 address on shop_front -> every port of shop/web"],
        ),
        # Nothing of that family is there to be reached.
        ([BRIDGE, replace(POLICY, mode6="nat-unprotected", icc=False), ENDPOINT], []),
        (
            [BRIDGE, replace(POLICY, trusted_interfaces=("eth1",), icc=False), ENDPOINT],
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


def test_families_with_other_sources_are_told_apart() -> None:
    assert len(exposed(State([PORT, replace(PORT6, sources=("fd00::/8",))]))) == 2


def test_only_what_differs_is_told() -> None:
    other = replace(PORT, host_port=9090)
    change = difference(State([BRIDGE, POLICY, ENDPOINT, PORT]), State([BRIDGE, POLICY, ENDPOINT, other]))
    assert [way.at for way in change.opened] == ["9090/tcp on every IPv4 address of the host"]
    assert [way.at for way in change.closed] == ["8080/tcp on every IPv4 address of the host"]
    assert not difference(State([PORT]), State([PORT]))


def test_a_narrower_source_closes_the_wide_one() -> None:
    change = difference(State([PORT]), State([replace(PORT, sources=("10.0.0.0/8",))]))
    assert [way.origin for way in change.opened] == ["10.0.0.0/8 and this host"]
    assert [way.origin for way in change.closed] == ["any machine"]


def test_members_apart_close_what_a_network_opened() -> None:
    change = difference(State([BRIDGE, POLICY, ENDPOINT]), State([BRIDGE, replace(POLICY, icc=False), ENDPOINT]))
    assert list(lines(change.closed)) == [MEMBERS]
    assert change.opened == ()


def test_many_that_are_reached_alike_are_one_line() -> None:
    ends = [replace(ENDPOINT, container=f"shop/c{number:02}") for number in range(12)]
    (line,) = lines(exposed(State([BRIDGE, POLICY, *ends])))
    assert line.endswith("shop/c06, shop/c07 and 4 more")
