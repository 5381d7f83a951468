"""Where a place sends a packet: the longest matching route, and who hears it on that segment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from reconciler.errors import Source
from reconciler.reach.packet import Packet, bare, family_of, network_of, within
from reconciler.reach.world import HOST, OUTSIDE, Interface, Segment, World
from reconciler.resources.joined import FOREIGN
from reconciler.resources.route import UNICAST

_IPV4 = 4
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
    """Who hears a frame: the place, and by which of its interfaces."""

    place: str
    interface: str


def way_of(world: World, place: str, packet: Packet) -> Way | DeadEnd:
    """Where ``place`` sends the packet, which is not for itself; an empty source is not chosen yet."""
    if place.startswith(FOREIGN):
        return DeadEnd("it is not netapply's: what stands in it is not known")
    if place == HOST:
        return _of_host(world, packet)
    return _by_source(world, place, packet) or _of_sandbox(world, place, packet)


def source_for(way: Way, packet: Packet) -> str:
    """The address that the kernel chooses for what leaves by that way; empty: there is none."""
    own = way.interface.of_family(packet.family)
    near = (address for address in own if within(way.next_hop, network_of(address)[0]))
    return bare(next(near, own[0] if own else ""))


def hearer(world: World, way: Way) -> Neighbour | DeadEnd:
    """Who takes the frame that leaves by that way."""
    sender, segment = way.interface, way.interface.segment
    if sender.trouble or segment is None:
        return DeadEnd(sender.trouble or f"{sender.name} leads nowhere", sender.source)
    bridge = world.bridges.get(segment.name) if segment.is_bridge else None
    if bridge and not bridge.up:
        return DeadEnd(f"bridge {bridge.interface} is down", bridge.source)
    fault: DeadEnd | None = None
    for other in _answering(world, segment, way.next_hop):
        apart = "" if segment.is_bridge or other is sender else _apart(sender, other)
        if other is sender:
            continue
        if not apart and not other.trouble:
            return Neighbour(other.place, other.name)
        fault = fault or DeadEnd(apart or f"{world.label(other.place)} does not hear it: {other.trouble}", other.source)
    if fault:
        return fault
    return _nobody(world, segment, way.next_hop, sender.source) or Neighbour(OUTSIDE, "eth0")


def hearer_of_outside(world: World, segment: Segment, destination: str) -> Neighbour | DeadEnd:
    """Who takes what a machine on that LAN sends: it routes to the host whatever is not on the LAN."""
    on_lan = any(
        within(destination, network_of(address)[0]) for member in world.members[segment] for address in member.addresses
    )
    found = list(_answering(world, segment, destination))
    if not on_lan or (found and found[0].place == HOST):
        own = [each for each in world.members[segment] if each.place == HOST and each.of_family(family_of(destination))]
        # Where the host has a link of its own beside the parent, the parent's own address is the one that is known.
        own.sort(key=lambda each: each.kind != "host")
        found = [each for each in found if each.place == HOST] or own
        if not found:
            return DeadEnd(f"the host has no IPv{family_of(destination)} address on the {world.segment_label(segment)}")
    for each in found:
        if each.trouble:
            return DeadEnd(f"{world.label(each.place)} does not hear it: {each.trouble}", each.source)
        return Neighbour(each.place, each.name)
    return _nobody(world, segment, destination, None) or Neighbour(OUTSIDE, "eth0")


def _nobody(world: World, segment: Segment, address: str, source: Source | None) -> DeadEnd | None:
    """Why nobody hears; None: on a LAN some other machine may have the address."""
    what = f"nobody on the {world.segment_label(segment)} has the address {address}"
    owners = world.owners.get(address)
    if owners:
        what += f": it is of {' and '.join(sorted(world.label(owner) for owner in owners))}"
    return DeadEnd(what, source) if owners or segment.is_bridge else None


def _answering(world: World, segment: Segment, address: str) -> Iterator[Interface]:
    """Who answers for the address on that segment.

    In IPv4 a place answers for each of its addresses on whichever interface (kernel: ip-sysctl, arp_ignore 0), in
    IPv6 for the interface's own.
    """
    own = world.holders.get((segment, address), ())
    yield from own
    if family_of(address) == _IPV4:
        for place in world.owners.get(address, ()):
            for interface in world.interfaces[place].values():
                arp = interface.kind != "ipvlan" and interface.of_family(_IPV4)
                if interface.segment == segment and arp and interface not in own:
                    yield interface


def _apart(sender: Interface, other: Interface) -> str:
    """Why two interfaces on one parent do not hear each other; empty: they do."""
    kinds = {sender.kind, other.kind}
    if not kinds & {"macvlan", "ipvlan"}:
        return ""
    if "host" in kinds:
        link = sender if other.kind == "host" else other
        parent = link.segment.name if link.segment else ""
        return f"the host itself and the {link.kind} links on its {parent} do not hear each other (host_access would)"
    for link in (sender, other):
        if link.mode.split()[-1:] != ["bridge"]:
            return f"{link.kind} links of mode {link.mode} do not hear each other"
    return ""


def _by_source(world: World, place: str, packet: Packet) -> Way | None:
    for route in world.source_routes.get(place, ()):
        interface = world.interfaces[place].get(route.interface)
        if bare(route.address) == packet.source and route.whole and interface:
            near = within(packet.destination, network_of(route.address)[0])
            next_hop = packet.destination if near or not route.gateway else route.gateway
            return Way(interface, next_hop, route.describe(), route.source)
    return None


def _of_sandbox(world: World, place: str, packet: Packet) -> Way | DeadEnd:
    found = (*_connected(world, world.interfaces[place].values(), packet), *_routed(world, place, packet))
    if found:
        return min(found, key=lambda each: (-each[0], each[1]))[2]
    interfaces = list(world.interfaces[place].values())
    if not interfaces:
        return DeadEnd("it has no network, only its own loopback", _source_of(world, place))
    if not any(each.of_family(packet.family) for each in interfaces):
        return DeadEnd(f"it has no IPv{packet.family} address", interfaces[0].source)
    return DeadEnd(f"it has no route to {packet.destination}: none of its networks leads there", interfaces[0].source)


def _source_of(world: World, place: str) -> Source | None:
    sandbox = world.sandboxes.get(place)
    return sandbox.source if sandbox else None


def _connected(
    world: World, interfaces: Iterable[Interface], packet: Packet
) -> Iterator[tuple[int, int, Way | DeadEnd]]:
    for interface in interfaces:
        for address in interface.addresses:
            subnet, length = network_of(address)
            if world.is_unrouted(interface, address):
                continue
            if length != _ADDRESS_BITS[family_of(address)] and within(packet.destination, subnet):
                way = Way(interface, packet.destination, f"{subnet} is on its {interface.name}", interface.source)
                yield length, _CONNECTED_METRIC[packet.family], way


def _routed(world: World, place: str, packet: Packet) -> Iterator[tuple[int, int, Way | DeadEnd]]:
    for route in world.routes.get(place, ()):
        if not within(packet.destination, route.destination):
            continue
        length = network_of(route.destination)[1]
        interface = world.interfaces[place].get(route.interface)
        if route.kind != UNICAST:
            yield length, route.metric, DeadEnd(route.describe(), route.source)
        elif interface:
            way = Way(interface, route.gateway or packet.destination, route.describe(), route.source)
            yield length, route.metric, way


def _of_host(world: World, packet: Packet) -> Way | DeadEnd:
    interfaces = world.interfaces[HOST]
    for route in world.shim_routes:
        if within(packet.destination, route.destination) and route.interface in interfaces:
            return Way(interfaces[route.interface], packet.destination, route.describe(), route.source)
    found = list(_connected(world, interfaces.values(), packet))
    if found:
        return min(found, key=lambda each: -each[0])[2]
    uplink = world.uplinks.get(packet.family)
    if uplink is None:
        return DeadEnd(f"no IPv{packet.family} network of the host leads to {packet.destination}")
    return Way(uplink, packet.destination, f"the host's own routes lead there, by {uplink.name} probably")
