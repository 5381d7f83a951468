"""Forwarding through the host: kept for as long as it may be needed, also where the firewall was flushed."""

from __future__ import annotations

from dataclasses import replace

from reconciler.firewall.policy import FirewallBase, HostAccept, StackPolicy
from reconciler.observation import Observation
from reconciler.resources.sysctl import Sysctl
from reconciler.state import State
from tests.unit.desired.runs import plan, up

SHOP = "name: shop\nnetworks: {n: {enable_ipv6: true}}\ncontainers: {a: {networks: [n], ports: ['80:80']}}\n"
CLOSED = "name: closed\nnetworks: {n: {internal: true}}\ncontainers: {a: {networks: [n]}}\n"
ALONE = "name: alone\ncontainers: {a: {network_mode: none}}\n"


def flushed(host: Observation) -> Observation:
    left = [each for each in host.state if not isinstance(each, FirewallBase | HostAccept | StackPolicy)]
    return replace(host, state=State(left))


def forwarding(state: State) -> set[tuple[str, str]]:
    names = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")
    return {(each.name, each.value) for each in state if isinstance(each, Sysctl) and each.name in names}


def test_a_flushed_firewall_takes_nothing_from_stacks_that_run_on() -> None:
    host = up(SHOP, CLOSED)
    both = {("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1")}
    assert forwarding(host.state) == both
    assert forwarding(plan(on=flushed(host))) == both
    assert forwarding(plan(ALONE, on=flushed(host))) == both
    # What the run knows of its own network says nothing of the other's.
    assert forwarding(plan(CLOSED, on=flushed(host))) == both
    assert forwarding(plan(down="closed", on=flushed(host))) == both


def test_it_goes_with_the_last_network_that_needs_it() -> None:
    host = up(SHOP, CLOSED)
    assert forwarding(plan(down="shop", on=host)) == set()
    gone = up(on=flushed(up(SHOP, ALONE)), down="shop")
    assert forwarding(gone.state) == set()
    assert forwarding(plan(on=flushed(up(CLOSED)))) == set()
