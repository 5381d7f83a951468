"""Checks over the whole stack: what refers to what, and what may be there only once."""

from __future__ import annotations

from collections import defaultdict
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from reconciler.errors import Source
from reconciler.manifest.faults import Faults, suggestion
from reconciler.manifest.model import Attachment, Container, Network, Pool, PortMapping
from reconciler.manifest.networks import is_host

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconciler.manifest.context import Context

_ANY_HOST = {None: (4, 6), "0.0.0.0": (4,), "::": (6,)}  # noqa: S104  # compared, never bound
_NOWHERE = Source("", 0, 0)

Member = tuple[Container, Attachment]


def check_stack(networks: dict[str, Network], containers: Sequence[Container], context: Context) -> None:
    """Note everything in the stack that does not fit together."""
    _check_pools(networks.values(), context.faults)
    members: dict[str, list[Member]] = defaultdict(list)
    for container in containers:
        for attachment in container.attachments:
            members[attachment.network].append((container, attachment))
    for key, joined in members.items():
        if key in networks:
            _check_members(networks[key], joined, context)
        else:
            _note_undefined(key, joined, networks, context.faults)
    _check_modes({container.name: container for container in containers}, context)
    check_ports([(container, port) for container in containers for port in container.ports], context.faults)


def _check_pools(networks: Iterable[Network], faults: Faults) -> None:
    """Overlapping subnets: sorted by first address, one overlaps another only if it begins inside it."""
    pools = [(ip_network(pool.subnet), pool, network) for network in networks for pool in network.pools]
    pools.sort(key=lambda entry: (entry[0].version, int(entry[0].network_address), entry[0].prefixlen))
    outer = None
    for entry in pools:
        if outer is None or entry[0].network_address not in outer[0]:
            outer = entry
            continue
        first, second = sorted((outer, entry), key=lambda each: each[1].source or _NOWHERE)
        message = (
            f"subnet {second[1].subnet} of network '{second[2].key}' overlaps {first[1].subnet} "
            f"of network '{first[2].key}' at {first[1].source}"
        )
        faults.add(message, second[1].source, "give one of them another subnet")


def _note_undefined(key: str, joined: list[Member], networks: dict[str, Network], faults: Faults) -> None:
    hint = suggestion(key, networks) or f"declare it at the top: networks: {{{key}: }}"
    for container, attachment in joined:
        faults.add(f"container '{container.name}' refers to undefined network '{key}'", attachment.source, hint)


def _check_members(network: Network, members: list[Member], context: Context) -> None:
    taken = _reserved(network)
    for container, attachment in members:
        path = ("containers", container.name, "networks", network.key)
        for key, address in (("ipv4_address", attachment.ipv4_address), ("ipv6_address", attachment.ipv6_address)):
            if address:
                source = context.at(*path, key)
                if network.key not in context.unclear_networks:
                    _check_address(network, address, source, context.faults)
                _claim(taken, address, f"address {address}", container, source, context.faults)
        if attachment.mac_address:
            what = f"MAC address {attachment.mac_address}"
            _claim(taken, attachment.mac_address, what, container, context.at(*path, "mac_address"), context.faults)


def _reserved(network: Network) -> dict[str, str]:
    """The addresses of the network that no container can have, and whose they are."""
    taken: dict[str, str] = {}
    for pool in network.pools:
        if pool.gateway:
            taken[pool.gateway] = f"the gateway of network '{network.key}' at {pool.source}"
        for name, address in pool.aux_addresses:
            taken[address] = f"aux address '{name}' of network '{network.key}' at {pool.source}"
    return taken


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
    pool = next((pool for pool in pools if parsed in ip_network(pool.subnet)), None)
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


def _check_modes(containers: dict[str, Container], context: Context) -> None:
    owners: dict[str, str] = {}
    for container in containers.values():
        kind, _, owner = (container.network_mode or "").partition(":")
        source = context.at("containers", container.name, "network_mode")
        if owner in containers:
            owners[container.name] = owner
        elif kind == "service" and owner:
            message = f"container '{container.name}' shares the network of '{owner}', which is not in the stack"
            context.faults.add(message, source, suggestion(owner, containers) or "for another stack's: container:NAME")
    reported: set[str] = set()
    for name in owners:
        path = [name]
        while (step := owners.get(path[-1])) and step not in path:
            path.append(step)
        if step == name and name not in reported:
            reported.update(path)
            message = f"network_mode goes in a circle: {' -> '.join([*path, name])}"
            context.faults.add(message, context.at("containers", name, "network_mode"), "one of them needs networks")


def check_ports(ports: Iterable[tuple[Container, PortMapping]], faults: Faults) -> None:
    """Note host ports that are published twice, judged as the kernel judges two binds.

    A wildcard meets every address of its family; the families are apart, because IPv6
    sockets of ours are bound IPv6-only. Ranges to choose from cannot be judged here.
    """
    seen: dict[tuple[str, int, int], dict[str | None, tuple[Container, PortMapping]]] = defaultdict(dict)
    for container, port in ports:
        if port.published is None or port.published[0] != port.published[1]:
            continue
        host_port = port.published[0]
        address: str | None = None if port.host_address in _ANY_HOST else port.host_address
        families = _ANY_HOST.get(port.host_address) or ((6,) if address and ":" in address else (4,))
        clash = None
        for family in families:
            others = seen[port.protocol, host_port, family]
            clash = clash or others.get(None) or (others.get(address) if address else next(iter(others.values()), None))
            others.setdefault(address, (container, port))
        if clash:
            first, second = sorted((clash, (container, port)), key=lambda each: each[1].source or _NOWHERE)
            where = f"first at {first[1].source} (container {first[0].name})"
            message = f"port {host_port}/{port.protocol} is published twice; {where}"
            faults.add(message, second[1].source, "give one of them another host port")
