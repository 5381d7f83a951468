"""What one stack gives up and another takes within one plan: the two are one transaction then.

A port of the host, an address or a subnet has one holder at a time. Were the taker's transaction the first, it would
meet what the giver still has; were it the second, a failure would leave the giver without.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network

from reconciler.firewall.policy import NetworkPolicy, PublishedPort
from reconciler.firewall.translation import FloatingPolicy
from reconciler.plan.change import Change, Create, Delete
from reconciler.resources.agent import HeldPorts
from reconciler.state import HOST_OWNER, Resource


def entangled(changes: Iterable[Change]) -> Mapping[str, str]:
    """By owner, who stands for all that hand something to each other, directly or not; only those that do."""
    given: dict[Hashable, set[str]] = defaultdict(set)
    taken: dict[Hashable, set[str]] = defaultdict(set)
    for change in changes:
        before = None if isinstance(change, Create) else change.before
        after = None if isinstance(change, Delete) else change.after
        had, has = set(_claims(before)), set(_claims(after))
        for claim in had - has:
            given[claim].add(before.owner if before else "")
        for claim in has - had:
            taken[claim].add(after.owner if after else "")
    heads: dict[str, str] = {}
    for one, other in _handed(given, taken):
        _unite(heads, one, other)
    return {owner: _head(heads, owner) for owner in heads}


def _handed(given: Mapping[Hashable, set[str]], taken: Mapping[Hashable, set[str]]) -> Iterator[tuple[str, str]]:
    """Pairs of giver and taker."""
    for claim in given.keys() & taken.keys():
        yield from _pairs(given[claim], taken[claim])
    wanted = [claim for claim in taken if isinstance(claim, IPv4Network | IPv6Network)]
    for subnet in (claim for claim in given if isinstance(claim, IPv4Network | IPv6Network)):
        for other in wanted:
            if subnet.version == other.version and subnet.overlaps(other):
                yield from _pairs(given[subnet], taken[other])


def _pairs(givers: Iterable[str], takers: Iterable[str]) -> Iterator[tuple[str, str]]:
    return (
        (giver, taker) for giver in givers for taker in takers if giver != taker and HOST_OWNER not in {giver, taker}
    )


def _claims(resource: Resource | None) -> Iterator[Hashable]:
    """What only one can have: a port by protocol and number, a subnet, an address as a subnet of one."""
    match resource:
        case PublishedPort():
            yield (resource.protocol, resource.host_port)
        case HeldPorts():
            yield from ((protocol, port) for protocol, _, port in resource.pins)
        case NetworkPolicy():
            yield from map(ip_network, resource.subnets)
        case FloatingPolicy():
            yield ip_network(resource.address)
        case _:
            pass


def _head(heads: Mapping[str, str], owner: str) -> str:
    while heads.get(owner, owner) != owner:
        owner = heads[owner]
    return owner


def _unite(heads: dict[str, str], one: str, other: str) -> None:
    first, second = sorted((_head(heads, one), _head(heads, other)))
    heads.setdefault(one, one)
    heads.setdefault(other, other)
    heads[second] = heads[first] = first
