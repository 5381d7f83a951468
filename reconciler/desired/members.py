"""Who stands on a network with which addresses: static ones first, then what is there, then free choices by hash."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.desired.host_addresses import holders_on_host
from reconciler.desired.known import Known
from reconciler.desired.networks import PlannedNetwork, PlannedPool
from reconciler.desired.subnet import in_hash_order, number, parse_interface, text
from reconciler.errors import Problem
from reconciler.manifest.model import Attachment, Container

MOST_PORTS = 1023
"""How many links one bridge takes (kernel: net/bridge/br_private.h, BR_MAX_PORTS)."""


@dataclass(frozen=True, slots=True)
class Member:
    """A container's place on a planned network. ``addresses``: by family, with prefix length."""

    container: str
    spec: Container
    attachment: Attachment
    network: PlannedNetwork
    addresses: dict[int, str] = field(default_factory=dict)


def place_members(members: Iterable[Member], known: Known, problems: list[Problem]) -> None:
    """Fill in the addresses of all members; a pool that is full is a problem at the member that finds it so."""
    by_network: dict[str, list[Member]] = defaultdict(list)
    floating: dict[str, str] = {}
    for member in members:
        by_network[member.network.network].append(member)
        for given in member.spec.floating_addresses:
            floating[given.address] = f"the floating address of container {member.spec.name}, at {given.source}"
    for network_members in by_network.values():
        network_members.sort(key=lambda member: member.container)
        _count_links(network_members, known, problems)
        network = network_members[0].network
        # A network on a parent is one with the host's own.
        held = {**holders_on_host(known), **floating} if network.on_parent else {}
        for family in (4, 6):
            pools = network.family(family)
            if pools:
                _place_family(family, pools, network_members, known, problems, held)


def _count_links(members: list[Member], known: Known, problems: list[Problem]) -> None:
    network = members[0].network
    if network.on_parent:
        return
    total = len(members) + sum(
        endpoint.network_name == network.name and endpoint.owner not in known.scope
        for endpoints in known.endpoints.values()
        for endpoint in endpoints
    )
    if total > MOST_PORTS:
        message = f"network {network.name} has {total} containers; a bridge takes {MOST_PORTS}"
        problems.append(Problem(message, network.source, "divide them among several networks"))


def _place_family(
    family: int,
    pools: tuple[PlannedPool, ...],
    members: list[Member],
    known: Known,
    problems: list[Problem],
    held: Mapping[str, str],
) -> None:
    network = members[0].network
    holders: dict[int, str] = dict.fromkeys(known.foreign_members(network.name), "a container of another stack")
    held = {**dict.fromkeys(network.host_addresses, "the host"), **held}
    holders.update((number(each), who) for each, who in held.items() if (":" in each) == (family == 6))  # noqa: PLR2004  # the family
    for pool in pools:
        holders[pool.gateway] = "the gateway"
        holders.update(dict.fromkeys(pool.reserved, "an aux address"))
    waiting = []
    for member in members:
        given = _given(family, member.attachment)
        if given is None:
            waiting.append(member)
        else:
            _claim(family, number(given), pools, member, holders, problems)
    waiting = [member for member in waiting if not _keep(family, pools, member, known, holders)]
    for member in waiting:
        _choose(family, pools, member, holders, problems)


def _given(family: int, attachment: Attachment) -> str | None:
    return attachment.ipv4_address if family == 4 else attachment.ipv6_address  # noqa: PLR2004  # the family


def _claim(
    family: int,
    address: int,
    pools: tuple[PlannedPool, ...],
    member: Member,
    holders: dict[int, str],
    problems: list[Problem],
) -> None:
    place = member.attachment.source
    pool = next((pool for pool in pools if address in pool.subnet), None)
    if pool is None:
        subnets = ", ".join(str(pool.subnet) for pool in pools)
        message = f"address {text(family, address)} is outside network {member.network.name} ({subnets})"
        problems.append(Problem(message, place))
        return
    first, last = pool.subnet.usable
    if not first <= address <= last:
        message = f"address {text(family, address)} is the first or last of {pool.subnet}, no container can have it"
        problems.append(Problem(message, place, "choose another address"))
        return
    if address in holders:
        message = f"address {text(family, address)} on network {member.network.name} is taken by {holders[address]}"
        problems.append(Problem(message, place, "choose another address"))
        return
    _give(family, address, pool, member, holders)


def _give(family: int, address: int, pool: PlannedPool, member: Member, holders: dict[int, str]) -> None:
    holders[address] = f"container {member.spec.name}"
    member.addresses[family] = pool.subnet.with_length(text(family, address))


def _keep(family: int, pools: tuple[PlannedPool, ...], member: Member, known: Known, holders: dict[int, str]) -> bool:
    """Whether the member has an address already that it may keep."""
    interface = known.interface(member.container, member.network.name)
    if interface is None:
        return False
    for value in known.addresses.get((member.container, interface), ()):
        address, subnet = parse_interface(value)
        for pool in pools:
            in_range = subnet == pool.subnet and pool.first <= address <= pool.last
            if subnet.family == family and in_range and address not in holders:
                _give(family, address, pool, member, holders)
                return True
    return False


def _candidates(family: int, pool: PlannedPool, member: Member) -> Iterator[int]:
    """Last of all what ends in .0 or .255: where the subnet grows from a /24, the kernel gives that one no route.

    It is still the broadcast address of the old one while both stand (kernel: net/ipv4/fib_frontend.c).
    """
    for last in (False, True):
        for address in in_hash_order(pool.first, pool.last, "address", member.container, member.network.network):
            if (family == 4 and address & 255 in {0, 255}) == last:  # noqa: PLR2004  # the family
                yield address


def _choose(
    family: int, pools: tuple[PlannedPool, ...], member: Member, holders: dict[int, str], problems: list[Problem]
) -> None:
    for pool in pools:
        if pool.last < pool.first:
            continue
        for address in _candidates(family, pool, member):
            if address not in holders:
                _give(family, address, pool, member, holders)
                return
    subnets = ", ".join(str(pool.subnet) for pool in pools)
    message = f"network {member.network.name} ({subnets}) has no free address left for container {member.spec.name}"
    problems.append(Problem(message, member.attachment.source, "give the network a larger subnet"))
