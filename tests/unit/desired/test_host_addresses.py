"""Addresses that stand for one container: who may have them, and where they have no effect."""

from __future__ import annotations

import pytest

from reconciler.desired.routing import unanswered
from reconciler.errors import Problem
from reconciler.firewall.translation import EgressPolicy
from reconciler.resources.address import Address
from reconciler.resources.host_address import HostAddress
from reconciler.state import State
from tests.unit.desired.runs import message, plan, up

LAN = """
networks:
  lan:
    driver: macvlan
    driver_opts: {parent: lan0}%s
    ipam: {config: [{subnet: 192.0.2.0/24, gateway: 192.0.2.254, ip_range: 192.0.2.48/29}]}
"""
FLOATING = "name: shop\ncontainers: {a: {floating_ip: 192.0.2.50}}\n"
ON_LAN = "name: blog\ncontainers: {b: {networks: {lan: {ipv4_address: 192.0.2.50}}}}" + LAN % ""
TOGETHER = "name: shop\ncontainers:\n  a: {%s}\n  b: {networks: {lan: %s}}" + LAN


def addresses(state: State, container: str) -> list[str]:
    found = [each for each in state if isinstance(each, HostAddress | Address)]
    return [each.address for each in found if getattr(each, "namespace", "") == container]


def test_one_address_is_a_container_s_place_on_the_lan_or_leads_to_one() -> None:
    told = message(TOGETHER % ("floating_ip: 192.0.2.50", "{ipv4_address: 192.0.2.50}", ""))
    assert told.startswith("-:4:18: error: address 192.0.2.50 on network shop_lan is taken by")
    assert "the floating address of container a, at -:3:20" in told
    told = message(FLOATING, ON_LAN)
    assert "taken by the floating address of container a, at -:2:31" in told


def test_an_address_that_another_stack_has_is_not_taken_twice() -> None:
    told = message(ON_LAN, on=up(FLOATING))
    assert "address 192.0.2.50 on network blog_lan is taken by the floating address of container shop/a" in told
    told = message(FLOATING, on=up(ON_LAN))
    assert told.startswith("-:2:31: error: floating address 192.0.2.50 of container a is blog/b's on network blog_lan")


def test_the_host_s_own_address_on_a_lan_does_not_float() -> None:
    told = message(TOGETHER % ("floating_ip: 192.0.2.50", "", "\n    host_address: 192.0.2.50"))
    assert "floating address 192.0.2.50 of container a is the host's on network shop_lan, at -:6:3" in told


def test_an_address_moves_between_both_in_one_run() -> None:
    before = TOGETHER % ("floating_ip: 192.0.2.50", "{ipv4_address: 192.0.2.49}", "")
    after = TOGETHER % ("", "{ipv4_address: 192.0.2.50}", "")
    host = up(before)
    assert addresses(host.state, "shop/b") == ["192.0.2.49/24"]
    moved = up(after, on=host)
    assert addresses(moved.state, "shop/b") == ["192.0.2.50/24"]
    assert not any(isinstance(each, HostAddress) for each in moved.state)
    assert any(isinstance(each, HostAddress) for each in plan(before, on=moved))


def test_an_address_that_is_chosen_is_none_that_floats() -> None:
    floating = ", ".join(f"192.0.2.{n}" for n in range(48, 55))
    state = plan(TOGETHER % (f"floating_ip: [{floating}]", "", ""))
    assert addresses(state, "shop/b") == ["192.0.2.55/24"]


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("192.0.2.0", "the first or last of 192.0.2.0/24"),
        ("192.0.2.255", "the first or last of 192.0.2.0/24"),
        ("{address: 192.0.2.255, interface: lan0}", "the first or last of 192.0.2.0/24"),
        ("'2001:db8::'", "the first or last of 2001:db8::/64"),
    ],
)
def test_what_no_machine_can_have_does_not_float(given: str, what: str) -> None:
    text = f"name: shop\nnetworks: {{default: {{enable_ipv6: true}}}}\ncontainers: {{a: {{floating_ip: {given}}}}}\n"
    assert what in message(text)


THROUGH = """
name: shop
networks: {n: {ipam: {config: [{subnet: 10.2.0.0/24}]}}}
containers:
  r: {networks: [n]}
  a:
    networks: {n: {gateway: service:r%s}}
    %s
"""
BACK = ", routes: [{to: 198.51.100.0/24, via: 10.2.0.1}]"


def warnings(text: str) -> list[Problem]:
    return list(unanswered(plan(text)))


def test_no_address_of_the_host_is_borne_by_what_goes_through_another_container() -> None:
    told = message(THROUGH % ("", "egress_ip: 192.0.2.1"))
    assert told.startswith("-:8:16: error: egress_ip 192.0.2.1 of container a has no effect: ")
    assert "everything goes through its gateway (-:7:29)" in told
    # What goes there by the network's own gateway bears it.
    state = plan(THROUGH % (BACK, "egress_ip: 192.0.2.1"))
    assert any(isinstance(each, EgressPolicy) for each in state)


def test_a_floating_address_of_who_answers_by_another_container_is_warned_of() -> None:
    text = THROUGH % ("", "floating_ip: 192.0.2.50")
    (warning,) = warnings(text)
    assert "floating address 192.0.2.50 of container a is not reached from other machines" in warning.message
    assert str(warning.source) == "-:8:18"
    assert not any(isinstance(each, EgressPolicy) for each in plan(text))
    assert warnings(THROUGH % (BACK, "floating_ip: 192.0.2.50")) == []
