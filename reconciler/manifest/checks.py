"""Checks over the whole stack: what refers to what, and what may be there only once."""

from __future__ import annotations

from collections import defaultdict
from ipaddress import ip_network
from typing import TYPE_CHECKING

from reconciler.errors import Source
from reconciler.manifest.allowances import check_allowances
from reconciler.manifest.attached import check_attached
from reconciler.manifest.faults import Faults
from reconciler.manifest.jobs import check_jobs
from reconciler.manifest.lint import advise
from reconciler.manifest.members import Member, check_host_addresses, check_members
from reconciler.manifest.model import Container, Network, Pool
from reconciler.manifest.modes import check_modes, is_joiner
from reconciler.manifest.name_clashes import check_names
from reconciler.manifest.outward import check_outward
from reconciler.manifest.port_checks import check_ports
from reconciler.manifest.routes import check_gateways, check_routes
from reconciler.manifest.shared import check_shared
from reconciler.manifest.vocabulary import DOCKER_NETWORKS, DRIVERS, OTHER_DRIVERS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from reconciler.manifest.addresses import Subnet
    from reconciler.manifest.context import Context

_NOWHERE = Source("", 0, 0)


def check_stack(networks: dict[str, Network], containers: Sequence[Container], context: Context) -> None:
    """Note everything in the stack that does not fit together."""
    _check_pools(networks.values(), context.faults)
    _check_network_names(networks.values(), context)
    members: dict[str, list[Member]] = defaultdict(list)
    for container in containers:
        for attachment in container.attachments:
            members[attachment.network].append((container, attachment))
    _check_drivers(networks.values(), members, context)
    for key, joined in members.items():
        if key in networks:
            check_members(networks[key], joined, context)
        else:
            _note_undefined(key, joined, networks, context.faults)
    check_names(members, context)
    by_name = {container.name: container for container in containers}
    for network in networks.values():
        if network.host_addresses:
            check_host_addresses(network, context)
    check_modes(context)
    check_shared(context)
    check_attached(containers, context)
    check_jobs(by_name, context)
    check_allowances(networks, context)
    check_outward(networks, containers, context)
    for container in containers:
        _check_links(container, networks, by_name, context)
        if any(each.routes or each.gateway for each in container.attachments):
            check_routes(container, networks, by_name, context)
    check_gateways(by_name, context)
    check_ports(containers, networks, context.faults)
    advise(containers, context)


def _check_drivers(networks: Iterable[Network], used: Collection[str], context: Context) -> None:
    """Drivers of others: an error where a container joins the network, which is not made where nobody does."""
    for network in networks:
        if network.driver in OTHER_DRIVERS:
            message = f"driver {network.driver} of network {network.name} is not supported; "
            message += f"there is: {', '.join(sorted(DRIVERS))}"
            note = context.faults.add if network.key in used else context.faults.warn
            note(message, context.at("networks", network.key, "driver"), OTHER_DRIVERS[network.driver])


def _check_pools(networks: Iterable[Network], faults: Faults) -> None:
    """Overlapping subnets: sorted by first address, one overlaps those before it that it begins inside of."""
    pools = [(ip_network(pool.subnet), pool, network) for network in networks for pool in network.pools]
    pools.sort(key=lambda entry: (entry[0].version, int(entry[0].network_address), entry[0].prefixlen))
    # Each inside the one before it, so never more than there are prefix lengths.
    around: list[tuple[Subnet, Pool, Network]] = []
    for entry in pools:
        while around and entry[0].network_address not in around[-1][0]:
            around.pop()
        for outer in around:
            _note_overlap(outer[1:], entry[1:], faults)
        if not around or around[-1][0] != entry[0]:
            around.append(entry)


def _note_overlap(one: tuple[Pool, Network], other: tuple[Pool, Network], faults: Faults) -> None:
    first, second = sorted((one, other), key=lambda each: each[0].source or _NOWHERE)
    message = (
        f"subnet {second[0].subnet} of network '{second[1].key}' overlaps {first[0].subnet} "
        f"of network '{first[1].key}' at {first[0].source}"
    )
    faults.add(message, second[0].source, "give one of them another subnet")


def _check_network_names(networks: Iterable[Network], context: Context) -> None:
    """Two networks of one real name, or on one bridge."""
    seen: dict[tuple[str, str], Network] = {}
    for network in networks:
        for what, name, path in (
            ("named", network.name, ("name",)),
            ("on the bridge", network.bridge.bridge_name, ("driver_opts", "com.docker.network.bridge.name")),
        ):
            first = seen.setdefault((what, name), network) if name else network
            if first is not network and not (first.external and network.external):
                message = f"network '{network.key}' is {what} '{name}', as is network '{first.key}' at {first.source}"
                context.faults.add(message, context.at("networks", network.key, *path), "give one another name")


def _check_links(
    container: Container, networks: dict[str, Network], containers: dict[str, Container], context: Context
) -> None:
    for link in container.links:
        target = containers.get(link.container)
        if target is container:
            context.faults.add(f"container '{container.name}' links to itself", link.source, "remove the link")
        elif target is None:
            hint = context.why_absent(link.container) or context.faults.nearest(link.container, containers)
            message = f"container '{container.name}' links to '{link.container}', which is not in the stack"
            context.faults.add(message, link.source, hint or "for another stack's: external_links")
        elif not _share_a_network(container, target, networks):
            message = f"container '{container.name}' links to '{target.name}', but they share no network"
            context.faults.warn(message, link.source, "a link alone does not connect them: let both join one network")


def _share_a_network(first: Container, second: Container, networks: dict[str, Network]) -> bool:
    def names(container: Container) -> set[str]:
        if container.network_mode is not None:
            return {container.network_mode}
        return {networks[each.network].name for each in container.attachments if each.network in networks}

    # Whoever shares another's namespace has that one's networks, which are not looked up here.
    borrowed = is_joiner(first.network_mode) or is_joiner(second.network_mode)
    return borrowed or not names(first).isdisjoint(names(second))


def _note_undefined(key: str, joined: list[Member], networks: dict[str, Network], faults: Faults) -> None:
    hint = faults.nearest(key, networks) or f"declare it at the top: networks: {{{key}: }}"
    if key in DOCKER_NETWORKS:
        # Declared, it would be an ordinary network that is called so.
        hint = f"for what Docker calls '{key}' write network_mode: {key} in place of 'networks'"
    for container, attachment in joined:
        faults.add(f"container '{container.name}' refers to undefined network '{key}'", attachment.source, hint)
