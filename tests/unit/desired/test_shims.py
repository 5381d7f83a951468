"""The host's own way into a macvlan network: which addresses and routes ``host_address`` gives it."""

from __future__ import annotations

import pytest

from reconciler import manifest
from reconciler.desired.build import desired
from reconciler.desired.scope import Scope
from reconciler.errors import NetapplyError
from reconciler.observation import Facts, HostLink, Observation
from reconciler.resources.address import Address
from reconciler.resources.shim import Shim, ShimRoute
from reconciler.state import State

STACK = """\
name: home
networks:
  lan:
    driver: macvlan
    driver_opts: {parent: eth0}
    enable_ipv6: true
    ipam: {config: [{subnet: 192.0.2.0/24}, {subnet: "2001:db8:7::/64"}]}
    host_address: HERE
containers:
  hub: {networks: {lan: {ipv4_address: 192.0.2.10, ipv6_address: "2001:db8:7::10"}}}
"""
FACTS = Facts(interfaces=frozenset({"eth0"}), links=(HostLink("eth0", mac="02:00:00:00:00:01"),))


def made(host_address: str) -> State:
    stack = manifest.load(["-"], environment={}, stdin=STACK.replace("HERE", host_address))
    return desired(Scope(frozenset({stack.stack}), (stack,)), Observation(State(), FACTS))


@pytest.mark.parametrize(
    ("host_address", "addresses", "routes", "ipv6"),
    [
        ("192.0.2.200", ["192.0.2.200/32"], ["192.0.2.10/32"], False),
        (
            '[192.0.2.200, "2001:db8:7::200"]',
            ["192.0.2.200/32", "2001:db8:7::200/128"],
            ["192.0.2.10/32", "2001:db8:7::10/128"],
            True,
        ),
    ],
)
def test_the_host_reaches_members_in_the_families_of_its_own_addresses(
    host_address: str, addresses: list[str], routes: list[str], *, ipv6: bool
) -> None:
    """A link without an IPv6 address has no IPv6 at all, and the kernel refuses a route of it there."""
    state = made(host_address)
    (shim,) = (each for each in state if isinstance(each, Shim))
    assert shim.ipv6 is ipv6
    own = [each for each in state if isinstance(each, Address) and each.interface == shim.interface]
    assert sorted(each.address for each in own) == addresses
    assert all(each.announced for each in own)
    assert sorted(each.destination for each in state if isinstance(each, ShimRoute)) == routes


@pytest.mark.parametrize(
    ("host_address", "fault"),
    [
        ("198.51.100.1", "is in no subnet of network .lan."),
        ("192.0.2.10", "is taken by the host itself, host_address of network .lan."),
    ],
)
def test_an_address_that_cannot_be_the_hosts(host_address: str, fault: str) -> None:
    with pytest.raises(NetapplyError, match=fault):
        made(host_address)
