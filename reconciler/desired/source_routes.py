"""Which containers need a way back of its own for each of their addresses: those on a LAN and on another network too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.desired.members import Member
from reconciler.desired.subnet import parse_interface, text
from reconciler.desired.wired import Wired
from reconciler.naming import digest
from reconciler.resources.source_route import SourceRoute
from reconciler.state import Resource

_FIRST_TABLE = 0x6E610000
"""Our tables: far from those that people number by hand, and from routing daemons'."""


def source_route_resources(wired: Sequence[Wired]) -> Iterable[Resource]:
    """A source route for each address of a container that stands on a LAN and elsewhere, in each family."""
    for each in wired:
        # What goes through another container must find no way past it.
        if not any(member.attachment.gateway for member in each.members):
            for family in (4, 6):
                yield from _of_container(each, family)


def _of_container(wired: Wired, family: int) -> Iterator[SourceRoute]:
    members = [member for member in wired.members if family in member.addresses]
    if len(members) < 2 or not any(member.network.on_parent for member in members):  # noqa: PLR2004  # one way, or two
        return
    taken: set[int] = set()
    for member in sorted(members, key=lambda member: member.network.network):
        if not member.network.internal:
            yield _of_member(wired, member, family, taken)


def _of_member(wired: Wired, member: Member, family: int, taken: set[int]) -> SourceRoute:
    network, address = member.network, member.addresses[family]
    subnet = parse_interface(address)[1]
    gateway = next(pool.gateway for pool in network.family(family) if pool.subnet == subnet)
    table = _FIRST_TABLE + digest("table", network.network) % 0xFFFF
    while table in taken:
        table += 1
    taken.add(table)
    return SourceRoute(
        owner=wired.stack,
        container=wired.identity,
        interface=wired.interfaces[network.network],
        address=address,
        gateway=text(family, gateway) if network.has_router else "",
        table=table,
        source=member.attachment.source,
    )
