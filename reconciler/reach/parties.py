"""Who asks and who is asked: what the words FROM and TO of the command line mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network
from typing import Final, NamedTuple

from reconciler.errors import NetapplyError
from reconciler.reach.packet import bare, family_of, is_loopback, network_of, within
from reconciler.reach.rules import Rules
from reconciler.reach.walk import Outsider
from reconciler.reach.world import HOST, OUTSIDE, Interface, Segment, World
from reconciler.resources.joined import FOREIGN
from reconciler.views.names import choose, named_containers

HOST_WORD: Final = "host"
_LOOPBACK: Final = ("127.0.0.1", "::1")
_EVERYBODY: Final = IPv4Address("255.255.255.255")
_POINT_TO_POINT: Final = 31
"""A subnet of two addresses has no broadcast address (RFC 3021)."""


class Origin(NamedTuple):
    """``place`` asks, as ``address`` if one was given. Outside, its address follows from whom it asks."""

    place: str
    address: str = ""


def origin_of(world: World, word: str) -> Origin:
    """Who ``word`` is: ``host``, ``outside``, an address, or a container.

    Raises NetapplyError: no container, or several, are called so; or an address is nobody's, or everybody's.
    """
    if word == HOST_WORD:
        return Origin(HOST)
    if word == OUTSIDE:
        return Origin(OUTSIDE)
    address = address_in(word)
    if address:
        _check_machine(world, address)
        if is_loopback(address):
            hint = "FROM is who asks: a container, host, outside, or an address that others know"
            raise NetapplyError.of(f"{address} is an address that every machine has for itself", hint=hint)
        owners = sorted(world.owners.get(address, {OUTSIDE}))
        return Origin(owners[0], address)
    return Origin(world.homes[container_of(world, word)])


def container_of(world: World, word: str) -> str:
    """``stack/name`` of the container that is meant. Raises NetapplyError: none or several are."""
    return choose(word, named_containers(world.homes), "container").identity


def address_in(word: str) -> str:
    """The address in its usual form, brackets and prefix length aside; empty: it is none."""
    try:
        return str(ip_address(word.strip("[]")))
    except ValueError:
        return ""


def _check_machine(world: World, address: str) -> None:
    """Raise NetapplyError for an address that no single machine has."""
    what = _no_machine(world, ip_address(address))
    if what:
        hint = "ask for a container, host, outside, or an address that one machine has"
        raise NetapplyError.of(f"{address} is {what}", hint=hint)


def _no_machine(world: World, address: IPv4Address | IPv6Address) -> str:
    if address.is_multicast:
        return "a multicast address, which goes to whoever listens"
    if address.is_unspecified:
        return "no machine's address: it stands for all of them, or for none yet"
    if address.version == 6:  # noqa: PLR2004  # the other family
        # Every link has its own fe80::/64 (RFC 4291, 2.5.6).
        return "a link-local address, which means another machine on every link" if address.is_link_local else ""
    if address == _EVERYBODY:
        return "the broadcast address, which is everybody's"
    for interfaces in world.interfaces.values():
        for interface in interfaces.values():
            for own in interface.of_family(4):
                subnet = IPv4Network(network_of(own)[0])
                if subnet.prefixlen < _POINT_TO_POINT and address == subnet.broadcast_address:
                    return f"the broadcast address of {subnet}"
    return ""


def destinations(world: World, rules: Rules, origin: Origin, target: str, port: tuple[int, str]) -> list[str]:
    """The addresses that ``target`` means for who asks, the likeliest first.

    ``port`` is number and protocol. Raises NetapplyError as ``origin_of``.
    """
    address = address_in(target)
    if address:
        _check_machine(world, address)
        return [address]
    if target == OUTSIDE:
        return [machine.address for family in (4, 6) if (machine := stranger(world, rules, family))]
    place = HOST if target == HOST_WORD else world.homes[container_of(world, target)]
    if place.startswith(FOREIGN):
        name = place.removeprefix(FOREIGN)
        hint = f"ask for an address in it; ip netns exec {name} ip address shows them"
        raise NetapplyError.of(
            f"{target} is in namespace {name}, which is not netapply's: its addresses are not known", None, hint
        )
    if place == HOST:
        return list(dict.fromkeys(_of_host(world, rules, origin, port)))
    if place == origin.place:
        return [_LOOPBACK[0]]
    return _of_sandbox(world, origin.place, place)


def _of_host(world: World, rules: Rules, origin: Origin, port: tuple[int, str]) -> Iterator[str]:
    """Its addresses, but for floating ones: those are a container's, at every port that is not published there."""
    if origin.place == HOST:
        yield _LOOPBACK[0]
    for uplink in world.uplinks.values():
        yield from _of_its_own(rules, uplink)
    number, protocol = port
    for published in rules.by_number.get((protocol, number), ()):
        address = published.host_address
        if world.owns(HOST, address) and not is_loopback(address):
            yield address
    here = {interface.segment for interface in world.interfaces[origin.place].values()}
    for interface in world.interfaces[HOST].values():
        if interface.segment in here or origin.place == HOST:
            yield from _of_its_own(rules, interface)
    if origin.place == HOST:
        yield _LOOPBACK[1]


def _of_its_own(rules: Rules, interface: Interface) -> Iterator[str]:
    return (address for address in map(bare, interface.addresses) if address not in rules.floating)


def _of_sandbox(world: World, origin: str, place: str) -> list[str]:
    """Its addresses: first on networks that both are on, IPv4 before IPv6."""
    here = {interface.segment for interface in world.interfaces[origin].values()}
    found = [
        (interface.segment not in here, family_of(address), bare(address))
        for interface in world.interfaces[place].values()
        for address in interface.addresses
    ]
    # Sorting is stable: within these the interfaces keep their order.
    return [address for _, _, address in sorted(found, key=lambda each: each[:2])]


def stranger(world: World, rules: Rules, family: int) -> Outsider | None:
    """Some machine on the host's LAN, of which no rule speaks; None: the host has no such network."""
    uplink = world.uplinks.get(family)
    if uplink is None or uplink.segment is None:
        return None
    for address in uplink.of_family(family):
        found = _free(world, rules, network_of(address)[0])
        if found:
            return Outsider(found, uplink.segment)
    return None


def outsider_for(world: World, rules: Rules, origin: Origin, destination: str) -> Outsider | DeadOutside:
    """The machine outside that asks for that address."""
    segment = _lan_with(world, origin.address or destination)
    if origin.address:
        uplink = world.uplinks.get(family_of(origin.address))
        segment = segment or (uplink.segment if uplink else None)
        return Outsider(origin.address, segment) if segment else DeadOutside(family_of(origin.address))
    if segment is not None:
        for subnet in _subnets(world.members[segment], destination):
            found = _free(world, rules, subnet)
            if found:
                return Outsider(found, segment)
    return stranger(world, rules, family_of(destination)) or DeadOutside(family_of(destination))


class DeadOutside(NamedTuple):
    """The host has no LAN of that family."""

    family: int


def _lan_with(world: World, address: str) -> Segment | None:
    for segment, members in world.members.items():
        if not segment.is_bridge and any(True for _ in _subnets(members, address)):
            return segment
    return None


def _subnets(members: Iterable[Interface], address: str) -> Iterator[str]:
    for member in members:
        for own in member.addresses:
            subnet = network_of(own)[0]
            if within(address, subnet):
                yield subnet


def _free(world: World, rules: Rules, subnet: str) -> str:
    """The last address of a subnet that nobody of ours has, if it can be outside of every list of sources."""
    network = ip_network(subnet)
    narrow = {source for port in rules.ports.values() for source in port.sources}
    narrow |= {source for opening in rules.openings for source in opening.sources}
    spare = ""
    for distance in range(1, min(network.num_addresses, 256)):
        address = str(network[-1] - distance) if network.version == 4 else str(network[-distance])  # noqa: PLR2004  # the broadcast address is no machine's
        if address in world.owners:
            continue
        if not any(within(address, source) for source in narrow):
            return address
        spare = spare or address
    return spare
