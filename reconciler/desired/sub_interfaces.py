"""A container's place on a network that stands on a parent, whichever the driver."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.desired.known import Known
from reconciler.desired.members import Member
from reconciler.desired.networks import PlannedNetwork
from reconciler.desired.parents import hardware_of, links_by_name
from reconciler.naming import mac_address
from reconciler.resources.address import Address
from reconciler.resources.sub_interface import SubInterface
from reconciler.state import Resource

_DEFAULT_MTU = 1500


def mtu_of(network: PlannedNetwork, known: Known) -> int:
    """The MTU of the links of a network: given, or the parent's."""
    link = hardware_of(network.parent.parent or "", links_by_name(known.observation))
    return network.parent.mtu or (link.mtu if link else _DEFAULT_MTU)


def member_resources(member: Member, interface: str, mode: str, flag: str, known: Known) -> Iterable[Resource]:
    """The link and the addresses inside; without the parent, which is a problem of its own, something like them."""
    network, source = member.network, member.attachment.source
    owner, passthru = member.container.partition("/")[0], mode == "passthru"
    parent = network.parent.parent or ""
    link = hardware_of(parent, links_by_name(known.observation))
    if network.driver == "ipvlan" or passthru:
        mac = link.mac if link else ""
    else:
        mac = member.attachment.mac_address or mac_address(member.container, network.network)
    yield SubInterface(
        owner=owner,
        container=member.container,
        interface=interface,
        network=network.network,
        network_name=network.name,
        driver=network.driver,
        mode=mode,
        parent=parent,
        mac=mac,
        mtu=mtu_of(network, known),
        flag=flag,
        internal=network.internal,
        passthru=passthru,
        source=source,
    )
    for address in member.addresses.values():
        yield Address(owner, member.container, member.container, interface, address, source=source, announced=True)
