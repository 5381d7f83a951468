"""Bridge networks: a bridge, a policy, and a veth pair for each member."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from reconciler.desired.known import Known
from reconciler.desired.members import Member
from reconciler.desired.networks import PlannedNetwork
from reconciler.desired.subnet import text
from reconciler.firewall.policy import NetworkPolicy
from reconciler.naming import ENDPOINT_PREFIX, interface_name, mac_address
from reconciler.resources.address import Address
from reconciler.resources.bridge import Bridge, bridge_key
from reconciler.resources.endpoint import Endpoint
from reconciler.state import Resource

PUBLISHES = True
_DEFAULT_MTU = 1500


def network_resources(network: PlannedNetwork) -> Iterable[Resource]:
    """The bridge, its addresses as the members' gateways, and the policy."""
    options = network.options
    yield Bridge(
        owner=network.owner,
        network=network.network,
        network_name=network.name,
        interface=network.interface,
        mac=mac_address("bridge", network.network),
        origin=network.origin,
        mtu=options.mtu or _DEFAULT_MTU,
        nf_call=not options.icc,
        route_localnet=bool(network.family(4)),
        ipv6=bool(network.family(6)),
        source=network.source,
    )
    for pool in network.pools:
        if not _without_address(network, pool.subnet.family):
            address = pool.subnet.with_length(text(pool.subnet.family, pool.gateway))
            yield Address(network.owner, network.network, "", network.interface, address, source=network.source)
    yield _policy(network)


def member_resources(member: Member, interface: str, known: Known, taken: set[str]) -> Iterable[Resource]:
    """The veth pair and the addresses inside."""
    network, source = member.network, member.attachment.source
    owner = member.container.partition("/")[0]
    yield Endpoint(
        owner=owner,
        container=member.container,
        interface=interface,
        host_interface=_host_interface(member, known, taken),
        network_name=network.name,
        bridge=network.interface,
        mac=member.attachment.mac_address or mac_address(member.container, network.network),
        origin=network.origin if network.made_here and network.owner == owner else "",
        mtu=network.options.mtu or _DEFAULT_MTU,
        bridge_link=bridge_key(network.network, network.interface),
        source=source,
    )
    # On a bridge that stands, the host and other members may remember who had the address before.
    standing = network.network in known.bridges
    for address in member.addresses.values():
        yield Address(owner, member.container, member.container, interface, address, source=source, announced=standing)


def _host_interface(member: Member, known: Known, taken: set[str]) -> str:
    present = known.endpoint(member.container, member.network.name)
    if present:
        return present.host_interface
    # A half that lost its other half is removed before this name is needed.
    going = {half.host_interface for half in known.endpoints.get(member.container, ()) if not half.interface}
    path = (member.container, member.network.network)
    names = (interface_name(ENDPOINT_PREFIX, member.spec.name, *path, attempt=attempt) for attempt in count())
    name = next(name for name in names if name in going or name not in taken)
    taken.add(name)
    return name


def _without_address(network: PlannedNetwork, family: int) -> bool:
    options = network.options
    if family == 4:  # noqa: PLR2004  # the family
        return options.inhibit_ipv4 or options.gateway_mode_ipv4 == "isolated"
    return options.gateway_mode_ipv6 == "isolated"


def _policy(network: PlannedNetwork) -> NetworkPolicy:
    options = network.options
    masquerade4, masquerade6 = (
        not network.internal and options.masquerade and mode.startswith("nat") and bool(network.family(family))
        for family, mode in ((4, options.gateway_mode_ipv4), (6, options.gateway_mode_ipv6))
    )
    return NetworkPolicy(
        owner=network.owner,
        network=network.network,
        interface=network.interface,
        subnets=tuple(sorted(str(pool.subnet) for pool in network.pools)),
        internal=network.internal,
        icc=options.icc,
        masquerade4=masquerade4,
        masquerade6=masquerade6,
        snat4=options.snat_ipv4 or "",
        snat6=options.snat_ipv6 or "",
        mode4=options.gateway_mode_ipv4,
        mode6=options.gateway_mode_ipv6,
        trusted_interfaces=tuple(sorted(options.trusted_host_interfaces)),
        source=network.source,
        masquerade_ports=network.masquerade_ports if masquerade4 or masquerade6 else None,
    )
