"""Checks over the members of one network: addresses, MACs, and room for all."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from reconciler.manifest.addresses import parse_address
from reconciler.manifest.faults import Faults, FormError
from reconciler.manifest.model import Attachment, Container, Network, Pool
from reconciler.manifest.networks import gateway_of, is_host, subnet_of
from reconciler.manifest.nodes import Scalar, Sequence, child

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.errors import Source
    from reconciler.manifest.context import Context

Member = tuple[Container, Attachment]

_LARGE = 1 << 16
"""A subnet of so many addresses has room for every stack."""


def check_members(network: Network, members: list[Member], context: Context) -> None:
    """Note addresses and MACs of one network's members that it cannot have, or not twice."""
    taken = _reserved(network)
    for container, attachment in members:
        path = ("containers", container.key, "networks", network.key)
        for key, address in (("ipv4_address", attachment.ipv4_address), ("ipv6_address", attachment.ipv6_address)):
            if address:
                source = context.at(*path, key)
                if network.key not in context.unclear_networks:
                    _check_address(network, address, source, context.faults)
                _claim(taken, address, f"address {address}", container, source, context.faults)
        for address, source in _link_local(attachment, path, context):
            _claim(taken, address, f"address {address}", container, source, context.faults)
        if attachment.mac_address:
            what = f"MAC address {attachment.mac_address}"
            _claim(taken, attachment.mac_address, what, container, context.at(*path, "mac_address"), context.faults)
    if network.key not in context.unclear_networks:
        _check_room(network, members, context.faults)


def _link_local(attachment: Attachment, path: tuple[str | int, ...], context: Context) -> Iterator[tuple[str, Source]]:
    """The further addresses, each with the place of its first entry."""
    if not attachment.link_local_ips:
        return
    given = child(context.root, (*path, "link_local_ips"))
    indexes: dict[str, int] = {}
    for index, item in enumerate(given.items if isinstance(given, Sequence) else []):
        with suppress(FormError):
            indexes.setdefault(str(parse_address(item.text if isinstance(item, Scalar) else "")), index)
    for address in attachment.link_local_ips:
        yield address, context.at(*path, "link_local_ips", indexes.get(address, 0))


def _reserved(network: Network) -> dict[str, str]:
    """The addresses of the network that no container can have, and whose they are."""
    taken: dict[str, str] = {}
    for pool in network.pools:
        first = "" if pool.gateway else ", the first address of its subnet"
        taken[gateway_of(pool)] = f"the gateway of network '{network.key}'{first} at {pool.source}"
        for name, address in pool.aux_addresses:
            taken[address] = f"aux address '{name}' of network '{network.key}' at {pool.source}"
    for address in network.host_addresses:
        taken[address] = f"the host itself, host_address of network '{network.key}' at {network.source}"
    return taken


def check_host_addresses(network: Network, context: Context) -> None:
    """Note addresses of the host that it cannot have on this network."""
    source = context.key_at("networks", network.key, "host_address")
    gateways = {pool.gateway: pool.source for pool in network.pools}
    for address in network.host_addresses:
        if address in gateways:
            message = f"host_address {address} is the network's gateway at {gateways[address]}"
            context.faults.add(message, source, "choose another")
        elif network.key not in context.unclear_networks:
            _check_address(network, address, source, context.faults)
    if network.host_addresses and network.parent.mode == "passthru":
        message = f"network '{network.key}' gives its parent to one container alone (macvlan_mode passthru)"
        context.faults.add(message, source, "remove host_address, or choose macvlan_mode bridge")


def _claim(
    taken: dict[str, str],
    value: str,
    what: str,
    container: Container,
    source: Source,
    faults: Faults,
) -> None:
    if value in taken:
        faults.add(f"{what} of container '{container.name}' is taken by {taken[value]}", source, "choose another")
    else:
        taken[value] = f"container '{container.name}' at {source}"


def _check_address(network: Network, address: str, source: Source, faults: Faults) -> None:
    if network.external:
        return
    parsed = ip_address(address)
    if not (network.enable_ipv6 if parsed.version == 6 else network.enable_ipv4):  # noqa: PLR2004  # the family
        hint = f"set enable_ipv{parsed.version}: true on it"
        faults.add(f"{address}: network '{network.key}' has no IPv{parsed.version}", source, hint)
        return
    pools = [pool for pool in network.pools if pool.family == parsed.version]
    pool = next((pool for pool in pools if parsed in subnet_of(pool.subnet)), None)
    if pool is None:
        faults.add(*_outside(network, address, pools, source))
    elif not is_host(address, pool.subnet):
        faults.add(f"{address} is the first or last address of {pool.subnet}, no host can have it", source)


def _outside(network: Network, address: str, pools: list[Pool], source: Source) -> tuple[str, Source, str]:
    if pools:
        subnets = ", ".join(f"{pool.subnet} at {pool.source}" for pool in pools)
        message = f"{address} is in no subnet of network '{network.key}': {subnets}"
        return message, source, "choose an address in the subnet"
    message = f"{address} is fixed, but network '{network.key}' has no subnet of its own for it"
    return message, source, "give the network ipam.config with a subnet"


def _check_room(network: Network, members: list[Member], faults: Faults) -> None:
    """A member without a fixed address takes one of those that automatic ones come from."""
    for family in (4, 6):
        pools = [pool for pool in network.pools if pool.family == family]
        enabled = network.enable_ipv6 if family == 6 else network.enable_ipv4  # noqa: PLR2004  # the family
        if not pools or not enabled or any(ip_network(_automatic(pool)).num_addresses >= _LARGE for pool in pools):
            continue
        fixed = {each.ipv6_address if family == 6 else each.ipv4_address for _, each in members}  # noqa: PLR2004  # the family
        wanting = sum(not (each.ipv6_address if family == 6 else each.ipv4_address) for _, each in members)  # noqa: PLR2004  # the family
        room = sum(_room(network, pool, {address for address in fixed if address}) for pool in pools)
        if wanting > room:
            subnets = ", ".join(_automatic(pool) for pool in pools)
            message = f"network '{network.key}' has {wanting} containers without a fixed address, "
            faults.add(f"{message}but {subnets} has room for {room}", pools[0].source, "give it a larger subnet")


def _automatic(pool: Pool) -> str:
    return pool.ip_range or pool.subnet


def _room(network: Network, pool: Pool, fixed: set[str]) -> int:
    source = ip_network(_automatic(pool))
    subnet = ip_network(pool.subnet)
    taken = {ip_address(text) for text in (*fixed, *network.host_addresses)}
    taken |= {ip_address(text) for _, text in pool.aux_addresses}
    taken.add(ip_address(gateway_of(pool)))
    if subnet.num_addresses > 2:  # noqa: PLR2004  # the two of RFC 3021
        taken.add(subnet.network_address)
        if subnet.version == 4:  # noqa: PLR2004  # the family
            taken.add(subnet.broadcast_address)
    return source.num_addresses - sum(address in source for address in taken)
