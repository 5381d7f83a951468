"""``allow:``: members of one network may open connections to another's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from reconciler.desired.allowance_routes import Pair, allowance_routes, pairs_of_others, side_of, without_way
from reconciler.desired.known import Known
from reconciler.desired.networks import PlannedNetwork, external_network, used_networks
from reconciler.desired.wired import Wired
from reconciler.errors import Problem
from reconciler.firewall.allow import AllowPolicy
from reconciler.firewall.spans import OpenSpan, disjoint
from reconciler.manifest.model import Allowance, Manifest, Network
from reconciler.state import Resource


@dataclass(frozen=True, slots=True)
class _Granted:
    """An allowance of the run between networks that there are."""

    manifest: Manifest
    allowance: Allowance
    near: PlannedNetwork
    far: PlannedNetwork


def allowance_resources(
    wired: Sequence[Wired], manifests: Sequence[Manifest], known: Known, problems: list[Problem]
) -> Iterable[Resource]:
    """The policy of each allowance between networks that there are, and the routes that their members need for it.

    Allowances of stacks that are not in the run need them as well.
    """
    networks = {member.network.network: member.network for each in wired for member in each.members}
    problems.extend(_going(networks, known))
    pairs = list(pairs_of_others(networks.values(), known))
    for granted in _granted(wired, manifests, known, problems):
        fault = _fault(granted)
        if fault:
            problems.append(fault)
            continue
        pair = Pair(side_of(granted.near), side_of(granted.far))
        problems.extend(_halves(granted, pair, known))
        pairs.append(pair)
        yield _policy(granted.allowance, granted.near, granted.far)
    yield from allowance_routes(wired, pairs, known)


def _granted(
    wired: Sequence[Wired], manifests: Sequence[Manifest], known: Known, problems: list[Problem]
) -> Iterator[_Granted]:
    """A network of the stack that nobody is on is not made; an external one may have members elsewhere."""
    joined = {(each.stack, m.attachment.network): m.network for each in wired for m in each.members}
    planned = {network.network: network for network in joined.values() if network.made_here}
    for manifest in manifests:
        external = {network.key: network for network in manifest.networks if network.external}
        for network in manifest.networks:
            near = joined.get((manifest.stack, network.key))
            for allowance in network.allow if near else ():
                far = joined.get((manifest.stack, allowance.network))
                other = external.get(allowance.network)
                if far is None and other and other not in used_networks(manifest):
                    far = external_network(other, known, planned)
                    problems.extend(() if far else [_absent(network, other, allowance)])
                if near and far and near.network != far.network:
                    yield _Granted(manifest, allowance, near, far)


def _absent(network: Network, other: Network, allowance: Allowance) -> Problem:
    message = f"network {network.key} allows external network {other.name}, which does not exist on this host"
    hint = "bring up the stack that makes it first, or name both manifests in one run"
    return Problem(message, allowance.source or network.source, hint)


def _fault(granted: _Granted) -> Problem | None:
    near, far = granted.near, granted.far
    place = granted.allowance.source or near.source
    for network in (near, far):
        if network.driver != "bridge":
            message = f"nothing can be allowed between {near.name} and {far.name}: {network.name} is no bridge network"
            return Problem(message, place, "allow it where both are bridges")
    if near.owner != granted.manifest.stack:
        message = f"what members of network {near.name} may do is said where it is made, by stack {near.owner}"
        return Problem(message, place, f"write allow in the manifest of stack {near.owner}")
    return None


def _halves(granted: _Granted, pair: Pair, known: Known) -> Iterator[Problem]:
    """Members of other stacks that have no route for it, which only a run of their own stack gives them."""
    for home, other, opens in pair.ways():
        lacking = list(without_way(home, other, known, opens=opens))
        if lacking:
            near, far = granted.near.name, granted.far.name
            word = "have" if len(lacking) > 1 else "has"
            message = f"network {near} allows network {far}, but {', '.join(lacking)} {word} no route "
            message += "there" if opens else "back"
            stacks = ", ".join(sorted({container.partition("/")[0] for container in lacking}))
            hint = f"name both manifests in one run, with that of stack {stacks}"
            yield Problem(message, granted.allowance.source or granted.near.source, hint)


def _going(networks: dict[str, PlannedNetwork], known: Known) -> Iterator[Problem]:
    """A network that another stack's may open connections to cannot go, as one with its containers cannot."""
    kept = {network.interface for network in networks.values()}
    going = {b.interface: b for b in known.bridges.values() if b.owner in known.scope and b.interface not in kept}
    users: dict[str, list[str]] = defaultdict(list)
    for policy in known.others:
        if isinstance(policy, AllowPolicy) and policy.target_interface in going:
            bridge = known.bridges.get(policy.network)
            users[policy.target_interface].append(bridge.network_name if bridge else policy.network)
    for interface, names in sorted(users.items()):
        message = f"network {going[interface].network_name} is in use by network {', '.join(sorted(names))}"
        message += ", whose containers may open connections to it"
        yield Problem(message, hint="remove it from allow there, or take that stack down, first")


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
