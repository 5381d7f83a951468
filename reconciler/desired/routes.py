"""Default routes of a container: one in each family, through the network that is preferred."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.desired.members import Member
from reconciler.desired.subnet import parse_interface, text
from reconciler.resources.address import address_key
from reconciler.resources.route import DEFAULT_METRIC, Route
from reconciler.state import Resource

_DESTINATION = {4: "0.0.0.0/0", 6: "::/0"}


def default_routes(members: Sequence[Member], interfaces: dict[str, str]) -> Iterable[Resource]:
    """``members`` in order of preference; a network that is internal leads nowhere."""
    for family in (4, 6):
        member = next((m for m in members if family in m.addresses and not m.network.internal), None)
        if member is None:
            continue
        address = member.addresses[family]
        subnet = parse_interface(address)[1]
        gateway = next(pool.gateway for pool in member.network.family(family) if pool.subnet == subnet)
        interface = interfaces[member.network.network]
        yield Route(
            owner=member.container.partition("/")[0],
            container=member.container,
            destination=_DESTINATION[family],
            gateway=text(family, gateway),
            interface=interface,
            metric=DEFAULT_METRIC[family],
            reached_by=address_key(member.container, interface, address),
            source=member.attachment.source,
        )
