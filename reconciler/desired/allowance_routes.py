"""The routes that ``allow:`` needs: to where one may go, and back to who may come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from reconciler.desired.known import Known
from reconciler.desired.members import Member
from reconciler.desired.networks import PlannedNetwork
from reconciler.desired.subnet import Subnet, parse_interface, text
from reconciler.desired.wired import Wired, in_order
from reconciler.firewall.allow import AllowPolicy
from reconciler.resources.address import address_key
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.route import DEFAULT_METRIC, Route
from reconciler.state import Key


@dataclass(frozen=True, slots=True)
class Side:
    """A network at one end of an allowance: ``stack/key``, its real name, its subnets."""

    network: str
    name: str
    subnets: tuple[Subnet, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Members of ``near`` may open connections to those of ``far``."""

    near: Side
    far: Side

    def ways(self) -> Iterator[tuple[Side, Side, bool]]:
        """From where, to where, and whether connections are opened that way."""
        yield self.near, self.far, True
        yield self.far, self.near, False


def side_of(network: PlannedNetwork) -> Side:
    """A network of the run."""
    return Side(network.network, network.name, tuple(pool.subnet for pool in network.pools))


def pairs_of_others(networks: Iterable[PlannedNetwork], known: Known) -> Iterator[Pair]:
    """The allowances of stacks that are not in this run, to ``networks`` of it and to any others."""
    planned = {network.interface: side_of(network) for network in networks}
    bridges = {bridge.interface: bridge for bridge in known.bridges.values()}
    for policy in known.others:
        if isinstance(policy, AllowPolicy):
            near, far = (
                planned.get(interface) or (_observed(bridges[interface], known) if interface in bridges else None)
                for interface in (policy.interface, policy.target_interface)
            )
            if near and far:
                yield Pair(near, far)


def _observed(bridge: Bridge, known: Known) -> Side:
    return Side(bridge.network, bridge.network_name, tuple(dict.fromkeys(known.subnets_held(bridge.network))))


def allowance_routes(wired: Sequence[Wired], pairs: Sequence[Pair], known: Known) -> Iterable[Route]:
    """The routes of the run's containers, where the default route does not lead there already."""
    found: dict[Key, Route] = {}
    for each in wired:
        found |= {route.key: route for route in _routes(each, pairs, known)}
    return found.values()


def _routes(wired: Wired, pairs: Sequence[Pair], known: Known) -> Iterator[Route]:
    joined = {member.network.network: member for member in wired.members}
    if any(member.attachment.gateway for member in wired.members):
        # Everything goes through another container, by the user's word.
        return
    for home, other, opens in (way for pair in pairs for way in pair.ways()):
        member = joined.get(home.network)
        if member is None or other.network in joined:
            continue
        for subnet in other.subnets:
            if _is_needed(wired, member, subnet, known, opens=opens):
                yield from _route(wired, member, subnet)


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


def without_way(home: Side, other: Side, known: Known, *, opens: bool) -> Iterator[str]:
    """Containers of stacks not in this run that stand on ``home`` and do not find the way to ``other``, sorted."""
    routes = [route for route in known.others if isinstance(route, Route)]
    given = {(route.container, route.destination) for route in routes}
    ways_out = {(route.container, route.family): route for route in routes if route.is_way_out}
    for container, endpoints in sorted(known.endpoints.items()):
        standing = [each for each in endpoints if each.owner not in known.scope]
        endpoint = next((each for each in standing if each.network_name == home.name), None)
        if endpoint is None or any(each.network_name == other.name for each in standing):
            continue
        held = {
            parse_interface(address)[1].family for address in known.addresses.get((container, endpoint.interface), ())
        }
        for subnet in other.subnets:
            way_out = ways_out.get((container, subnet.family))
            led = way_out and (
                not opens or way_out.interface == endpoint.interface or _is_led(way_out, standing, known)
            )
            if subnet.family in held and not led and (container, str(subnet)) not in given:
                yield container
                break


def _is_led(way_out: Route, endpoints: Sequence[Endpoint], known: Known) -> bool:
    """Whether a default route leads through another container, not to the host."""
    bridges = [each.bridge for each in endpoints if each.interface == way_out.interface]
    networks = [bridge.network for bridge in known.bridges.values() if bridge.interface in bridges]
    hosts = {text(subnet.family, address) for network in networks for address, subnet in known.subnets_of(network)}
    return bool(hosts) and way_out.gateway not in hosts
