"""``allow:``: members of one network may open connections to another's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.desired.known import Known
from reconciler.desired.members import Member
from reconciler.desired.networks import PlannedNetwork
from reconciler.desired.subnet import Subnet, parse_interface, text
from reconciler.desired.wired import Wired, in_order
from reconciler.errors import Problem
from reconciler.firewall.allow import AllowPolicy
from reconciler.firewall.spans import OpenSpan, disjoint
from reconciler.manifest.model import Allowance, Manifest
from reconciler.resources.address import address_key
from reconciler.resources.route import DEFAULT_METRIC, Route
from reconciler.state import Key, Resource

Pair = tuple[PlannedNetwork, PlannedNetwork]
"""From which network to which."""


def allowance_resources(
    wired: Sequence[Wired], manifests: Sequence[Manifest], known: Known, problems: list[Problem]
) -> Iterable[Resource]:
    """The policy of each allowance between networks that are in use, and the routes that their members need for it."""
    networks = {(each.stack, m.attachment.network): m.network for each in wired for m in each.members}
    pairs: list[Pair] = []
    for manifest in manifests:
        for network in manifest.networks:
            for allowance in network.allow:
                near = networks.get((manifest.stack, network.key))
                far = networks.get((manifest.stack, allowance.network))
                # A network that nobody is on is not made.
                if near is None or far is None or near.network == far.network:
                    continue
                fault = _fault(manifest, near, far)
                if fault:
                    problems.append(
                        Problem(fault, allowance.source or network.source, "allow it where both are bridges")
                    )
                    continue
                pairs.append((near, far))
                yield _policy(allowance, near, far)
    found: dict[Key, Route] = {}
    for each in wired:
        found |= {route.key: route for route in _routes(each, pairs, known)}
    yield from found.values()


def _fault(manifest: Manifest, near: PlannedNetwork, far: PlannedNetwork) -> str:
    for network in (near, far):
        if network.driver != "bridge":
            return f"nothing can be allowed between {near.name} and {far.name}: {network.name} is no bridge network"
    if near.owner != manifest.stack:
        return f"what members of network {near.name} may do is said where it is made, by stack {near.owner}"
    return ""


def _policy(allowance: Allowance, near: PlannedNetwork, far: PlannedNetwork) -> AllowPolicy:
    spans = disjoint(OpenSpan(span.protocol, span.first, span.last) for span in allowance.ports)
    return AllowPolicy(
        owner=near.owner,
        network=near.network,
        interface=near.interface,
        target_interface=far.interface,
        ports=tuple((span.protocol, span.first, span.last) for span in spans),
        subnets=_subnets(near),
        target_subnets=_subnets(far),
        target_name=far.network.partition("/")[2],
        source=allowance.source or near.source,
    )


def _subnets(network: PlannedNetwork) -> tuple[str, ...]:
    return tuple(str(pool.subnet) for pool in network.pools)


def _routes(wired: Wired, pairs: Sequence[Pair], known: Known) -> Iterator[Route]:
    """To where one may go, and back to who may come, where the default route does not lead there already."""
    joined = {member.network.network: member for member in wired.members}
    if any(member.attachment.gateway for member in wired.members):
        # Everything goes through another container, by the user's word.
        return
    for near, far in pairs:
        ways = ((near, far, True), (far, near, False))
        for home, other, opens in ways:
            member = joined.get(home.network)
            if member is None or other.network in joined:
                continue
            for pool in other.pools:
                if _is_needed(wired, member, pool.subnet, known, opens=opens):
                    yield from _route(wired, member, pool.subnet)


def _is_needed(wired: Wired, member: Member, subnet: Subnet, known: Known, *, opens: bool) -> bool:
    outward = [each for each in in_order(wired.members, subnet.family, known) if not each.network.internal]
    given = {route.destination for each in wired.members for route in each.attachment.routes}
    if str(subnet) in given or subnet.family not in member.addresses:
        return False
    # An answer finds its way by any default route: the host knows the connection.
    return not outward or (opens and outward[0].network.network != member.network.network)


def _route(wired: Wired, member: Member, destination: Subnet) -> Iterator[Route]:
    address = member.addresses[destination.family]
    near = parse_interface(address)[1]
    gateway = next((pool.gateway for pool in member.network.family(destination.family) if pool.subnet == near), None)
    if gateway is None:
        return
    interface = wired.interfaces[member.network.network]
    yield Route(
        owner=wired.stack,
        container=wired.identity,
        destination=str(destination),
        gateway=text(destination.family, gateway),
        interface=interface,
        metric=DEFAULT_METRIC[destination.family],
        reached_by=address_key(wired.identity, interface, address),
        source=member.attachment.source,
    )
