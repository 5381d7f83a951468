"""Where a place sends a packet: the longest matching route, and who hears it on that segment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from reconciler.errors import Source
from reconciler.reach.packet import Packet, bare, family_of, network_of, within
from reconciler.reach.world import HOST, OUTSIDE, Interface, Segment, World
from reconciler.resources.joined import FOREIGN
from reconciler.resources.route import UNICAST, Route

_IPV4, _IPV6 = 4, 6
_CONNECTED_METRIC = {4: 0, 6: 256}
"""The kernel's own, by family."""
_ADDRESS_BITS = {4: 32, 6: 128}


class Way(NamedTuple):
    """Out by ``interface`` to ``next_hop``; ``what`` is the route in words."""

    interface: Interface
    next_hop: str
    what: str
    source: Source | None = None


class DeadEnd(NamedTuple):
    """Why it goes no further."""

    what: str
    source: Source | None = None


class Neighbour(NamedTuple):
    """Who hears a frame: the place, and by which of its interfaces; None for a machine outside."""

    place: str
    interface: Interface | None


def way_of(world: World, place: str, packet: Packet) -> Way | DeadEnd:
    """Where ``place`` sends the packet, which is not for itself; an empty source is not chosen yet."""
    if place.startswith(FOREIGN):
        return DeadEnd("is not netapply's: what routes and rules stand in it is not known")
    if place == HOST:
        return _of_host(world, packet)
    by_source = _by_source(world, place, packet)
    return by_source or _of_sandbox(world, place, packet)


def source_for(way: Way, packet: Packet) -> str:
    """The address that the kernel chooses for what leaves by that way; empty: there is none."""
    own = way.interface.of_family(packet.family)
    near = (address for address in own if within(way.next_hop, network_of(address)[0]))
    return bare(next(near, own[0] if own else ""))


def hearer(world: World, way: Way, packet: Packet) -> Neighbour | DeadEnd:
    """Who takes the frame that leaves by that way."""
    sender, segment = way.interface, way.interface.segment
    if sender.trouble or segment is None:
        return DeadEnd(sender.trouble or f"{sender.name} leads nowhere", sender.source)
    candidates = [other for other in world.members[segment] if other is not sender and _answers(world, other, way.next_hop)]
    for other in candidates:
        apart = "" if segment.is_bridge else _apart(sender, other)
        if apart:
            return DeadEnd(apart, other.source or sender.source)
        if other.trouble:
            return DeadEnd(f"{world.label(other.place)} does not hear it: {other.trouble}", other.source)
        return Neighbour(other.place, other)
    if segment.is_bridge:
        return DeadEnd(f"nobody on {world.segment_label(segment)} has the address {way.next_hop}", sender.source)
    return _on_lan(world, way, packet)


def _on_lan(world: World, way: Way, packet: Packet) -> Neighbour | DeadEnd:
    owner = next((place for place, addresses in world.local.items() if way.next_hop in addresses), None)
    if owner is not None and within(way.next_hop, "fe80::/10"):
        owner = None
    if owner is not None:
        return DeadEnd(f"nobody on {world.segment_label(_segment(way))} has the address {way.next_hop}: it is {world.label(owner)}'s")
    del packet
    return Neighbour(OUTSIDE, None)


def _segment(way: Way) -> Segment:
    assert way.interface.segment is not None  # noqa: S101  # for the type checker: the caller looked
    return way.interface.segment


def _answers(world: World, interface: Interface, address: str) -> bool:
    """Whether who has that interface answers for the address there.

    In IPv4 for each of its own, on whichever interface (kernel: ip-sysctl, arp_ignore 0); in IPv6 for that interface's.
    """
    if family_of(address) == _IPV4 and interface.kind not in {"ipvlan"}:
        return bool(interface.of_family(_IPV4) or interface.place == HOST) and address in world.local[interface.place]
    return any(bare(own) == address for own in interface.addresses)


def _apart(sender: Interface, other: Interface) -> str:
    """Why two interfaces on one parent do not hear each other; empty: they do."""
    kinds = {sender.kind, other.kind}
    if kinds == {"host"} or not kinds & {"macvlan", "ipvlan"}:
        return ""
    if "host" in kinds:
        link = sender if other.kind == "host" else other
        return f"the host and {link.kind} links on its {link.segment.name if link.segment else ''} do not hear each other"
    for link in (sender, other):
        if link.mode.split()[-1:] != ["bridge"] and not link.mode.startswith("l3"):
            return f"{link.kind} links of mode {link.mode} do not hear each other"
    return ""


def _by_source(world: World, place: str, packet: Packet) -> Way | None:
    for route in world.source_routes.get(place, ()):
        if bare(route.address) == packet.source and route.whole:
            interface = world.interfaces[place].get(route.interface)
            if interface is None:
                continue
            near = within(packet.destination, network_of(route.address)[0])
            next_hop = packet.destination if near or not route.gateway else route.gateway
            return Way(interface, next_hop, route.describe(), route.source)
    return None


def _of_sandbox(world: World, place: str, packet: Packet) -> Way | DeadEnd:
    best: tuple[int, int, Way | DeadEnd] | None = None
    for length, metric, way in (*_connected(world, place, packet), *_routed(world, place, packet)):
        if best is None or (-length, metric) < best[:2]:
            best = (-length, metric, way)
    if best:
        return best[2]
    return _no_way(world, place, packet)


def _no_way(world: World, place: str, packet: Packet) -> DeadEnd:
    interfaces = world.interfaces[place].values()
    if not interfaces:
        return DeadEnd("has no network: only its own loopback")
    source = next(iter(interfaces)).source
    if not any(each.of_family(packet.family) for each in interfaces):
        return DeadEnd(f"has no IPv{packet.family} address", source)
    return DeadEnd(f"has no route to {packet.destination} (internal networks have no way out)", source)


def _connected(world: World, place: str, packet: Packet) -> Iterator[tuple[int, int, Way]]:
    for interface in world.interfaces[place].values():
        for address in interface.addresses:
            subnet, length = network_of(address)
            if length != _ADDRESS_BITS[family_of(address)] and within(packet.destination, subnet):
                what = f"{subnet} is on its {interface.name}"
                yield length, _CONNECTED_METRIC[packet.family], Way(interface, packet.destination, what, interface.source)


def _routed(world: World, place: str, packet: Packet) -> Iterator[tuple[int, int, Way | DeadEnd]]:
    for route in world.routes.get(place, ()):
        if not within(packet.destination, route.destination):
            continue
        length = network_of(route.destination)[1]
        if route.kind != UNICAST:
            yield length, route.metric, DeadEnd(route.describe(), route.source)
            continue
        interface = world.interfaces[place].get(route.interface)
        if interface:
            yield length, route.metric, Way(interface, _next_hop(route, packet), route.describe(), route.source)


def _next_hop(route: Route, packet: Packet) -> str:
    return route.gateway or packet.destination


def _of_host(world: World, packet: Packet) -> Way | DeadEnd:
    interfaces = world.interfaces[HOST]
    for route in world.shim_routes:
        if within(packet.destination, route.destination) and route.interface in interfaces:
            return Way(interfaces[route.interface], packet.destination, route.describe(), route.source)
    found = sorted(_connected(world, HOST, packet), key=lambda each: -each[0])
    if found:
        return found[0][2]
    uplink = world.uplinks.get(packet.family)
    if uplink is None:
        return DeadEnd(f"the host has no IPv{packet.family} network that leads to {packet.destination}")
    return Way(uplink, packet.destination, f"the host's own routes lead to {packet.destination} (by {uplink.name})")
