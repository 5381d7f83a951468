"""Routes of containers: one default route in each family, and those that the manifest gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from reconciler.desired.gateways import FORWARDING, Hop, place_of
from reconciler.desired.known import Known
from reconciler.desired.members import Member
from reconciler.desired.subnet import parse_interface, parse_subnet, text
from reconciler.desired.wired import Wired, in_order
from reconciler.errors import Problem, Source
from reconciler.manifest.model import StaticRoute
from reconciler.resources.address import address_key
from reconciler.resources.route import DEFAULT_DESTINATION, DEFAULT_METRIC, UNICAST, Route
from reconciler.resources.router_rules import router_rules_key
from reconciler.state import Key, Kind, Resource

_LINK_LOCAL = parse_subnet("fe80::/10")


def route_resources(
    wired: Sequence[Wired], hops: Mapping[str, Sequence[Hop]], known: Known, problems: list[Problem]
) -> Iterable[Resource]:
    """All routes of the run's containers; one that the manifest gives takes the place of a default route of ours."""
    for each in wired:
        gateways = hops.get(each.identity, ())
        guarded = any(member.attachment.gateway for member in each.members)
        found = {route.key: route for route in _defaults(each, gateways, known, guarded=guarded)}
        _add_static_routes(each, found, problems, guarded=guarded)
        yield from found.values()


def _defaults(wired: Wired, gateways: Sequence[Hop], known: Known, *, guarded: bool) -> Iterator[Route]:
    for family in (4, 6):
        if guarded:
            # No other way out in either family: what the router does not take must not leak.
            hop = next((hop for hop in gateways if family in hop.addresses), None)
            if hop:
                after = (router_rules_key(hop.router), Key(Kind.SYSCTL, f"{hop.router}:{FORWARDING[family]}"))
                yield _default(wired, hop.member, family, hop.addresses[family], after, hop.source)
            continue
        member = next((m for m in in_order(wired.members, family, known) if not m.network.internal), None)
        if member:
            subnet = parse_interface(member.addresses[family])[1]
            gateway = next(pool.gateway for pool in member.network.family(family) if pool.subnet == subnet)
            via = text(family, gateway) if member.network.has_router else ""
            yield _default(wired, member, family, via, (), member.attachment.source)


def _default(
    wired: Wired, member: Member, family: int, gateway: str, after: tuple[Key, ...], source: Source | None
) -> Route:
    interface = wired.interfaces[member.network.network]
    return Route(
        owner=wired.stack,
        container=wired.identity,
        destination=DEFAULT_DESTINATION[family],
        gateway=gateway,
        interface=interface,
        metric=DEFAULT_METRIC[family],
        reached_by=address_key(wired.identity, interface, member.addresses[family]),
        source=source,
        after=after,
    )


def _add_static_routes(wired: Wired, found: dict[Key, Route], problems: list[Problem], *, guarded: bool) -> None:
    given: dict[Key, Source | None] = {}
    for member in wired.members:
        for static in member.attachment.routes:
            route = _static(wired, member, static)
            fault = _fault(wired, member, route)
            if route.key in given:
                message = f"there are two routes to {route.destination} of one metric; first at {given[route.key]}"
                fault = (message, "give one of them another metric")
            elif guarded and _is_default(route) and (route.kind == UNICAST or route.key in found):
                where = next(place_of(each) for each in wired.members if each.attachment.gateway)
                message = f"everything goes through its gateway ({where}), so it can have no other default route"
                fault = (message, "remove the route, or the gateway")
            if fault:
                problems.append(Problem(f"container {wired.spec.name}: {fault[0]}", route.source, fault[1]))
            given.setdefault(route.key, route.source)
            found[route.key] = route


def _is_default(route: Route) -> bool:
    return route.destination in DEFAULT_DESTINATION.values()


def _static(wired: Wired, member: Member, static: StaticRoute) -> Route:
    subnet = parse_subnet(static.destination)
    interface = wired.interfaces[member.network.network] if static.via else ""
    address = member.addresses.get(subnet.family)
    return Route(
        owner=wired.stack,
        container=wired.identity,
        destination=str(subnet),
        gateway=static.via or "",
        interface=interface,
        # For IPv6, 0 means none given too.
        metric=static.metric or DEFAULT_METRIC[subnet.family],
        reached_by=address_key(wired.identity, interface, address) if address and interface else None,
        source=static.source or member.attachment.source,
        kind=static.kind,
    )


def _fault(wired: Wired, member: Member, route: Route) -> tuple[str, str] | None:
    """What is wrong with a static route, and what to do; None: nothing, or what is said elsewhere."""
    family = parse_subnet(route.destination).family
    if not route.gateway:
        sound = family == 4 or wired.ipv6 or not member.addresses  # noqa: PLR2004  # the family
        hint = "remove the route, or join a network with enable_ipv6"
        return None if sound else (f"no route to {route.destination} is needed: it has no IPv6 at all", hint)
    if not member.addresses:
        return None
    via, subnet = parse_interface(route.gateway)
    subnets = {of: parse_interface(address) for of, address in member.addresses.items()}
    if subnet.family != family:
        return f"{route.gateway} cannot be the way to {route.destination}: it is of the other address family", ""
    if _LINK_LOCAL.overlaps(subnet):
        return None if wired.ipv6 else (f"{route.gateway} cannot be a next hop: it has no IPv6 at all", "")
    own, near = subnets.get(family, (-1, None))
    if near is None or via not in near:
        what = f"which its address there is in ({near})" if near else f"as it has no IPv{family} address there"
        message = f"{route.gateway} is not in the subnet of network {member.network.name} {what}"
        return message, "put the route on the network that its next hop is on"
    if family == 4 and not near.usable[0] <= via <= near.usable[1]:  # noqa: PLR2004  # IPv6 has no broadcast address
        return f"{route.gateway} is the first or last of {near}, no machine can have it", "name one on that network"
    if via == own:
        return f"{route.gateway} is its own address, and leads nowhere", "name another one on that network"
    return None
