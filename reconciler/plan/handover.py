"""What one stack gives up and another takes within one plan: the two are one transaction then.

A port of the host, an address or a subnet has one holder at a time. Were the taker's transaction the first, it would
meet what the giver still has; were it the second, a failure would leave the giver without.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from ipaddress import ip_network

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
    for subnet in (claim for claim in given if isinstance(claim, str)):
        for other in (claim for claim in taken if isinstance(claim, str) and claim != subnet):
            if _overlap(subnet, other):
                yield from _pairs(given[subnet], taken[other])


def _pairs(givers: Iterable[str], takers: Iterable[str]) -> Iterator[tuple[str, str]]:
    return (
        (giver, taker) for giver in givers for taker in takers if giver != taker and HOST_OWNER not in {giver, taker}
    )


def _claims(resource: Resource | None) -> Iterator[Hashable]:
    """What only one can have: a port by protocol and number, a subnet or an address by its text."""
    match resource:
        case PublishedPort():
            yield (resource.protocol, resource.host_port)
        case HeldPorts():
            yield from ((protocol, port) for protocol, _, port in resource.pins)
        case NetworkPolicy():
            yield from resource.subnets
        case FloatingPolicy():
            yield resource.address
        case _:
            pass


def _overlap(one: str, other: str) -> bool:
    first, second = ip_network(one, strict=False), ip_network(other, strict=False)
    return first.version == second.version and first.overlaps(second)


def _head(heads: Mapping[str, str], owner: str) -> str:
    while heads.get(owner, owner) != owner:
        owner = heads[owner]
    return owner


def _unite(heads: dict[str, str], one: str, other: str) -> None:
    first, second = sorted((_head(heads, one), _head(heads, other)))
    heads.setdefault(one, one)
    heads.setdefault(other, other)
    heads[second] = heads[first] = first
