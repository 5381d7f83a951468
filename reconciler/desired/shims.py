"""The host's own way into networks on a parent, where ``host_address`` asks for one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.desired.host_addresses import holders_on_host
from reconciler.desired.known import Known
from reconciler.desired.networks import PlannedNetwork
from reconciler.desired.parents import hardware_of, links_by_name
from reconciler.desired.sub_interfaces import mtu_of
from reconciler.desired.subnet import number, text
from reconciler.desired.wired import Wired
from reconciler.errors import Problem
from reconciler.naming import mac_address
from reconciler.resources.address import Address
from reconciler.resources.shim import Shim, ShimRoute
from reconciler.state import Resource

_ONE_HOST = {4: 32, 6: 128}
_DEFAULT_MODE = {"macvlan": "bridge", "ipvlan": "l2"}
_DEFAULT_FLAG = {"macvlan": "", "ipvlan": "bridge"}


def shim_resources(wired: Sequence[Wired], known: Known, problems: list[Problem]) -> Iterable[Resource]:
    """The shim of each network of the run that asks for one, with a route to each member, also of other stacks."""
    networks: dict[str, PlannedNetwork] = {}
    members: dict[str, set[str]] = {}
    for member in (member for each in wired for member in each.members):
        network = member.network
        if network.host_addresses and network.made_here:
            networks[network.network] = network
            found = members.setdefault(network.network, set())
            found.update(address.partition("/")[0] for address in member.addresses.values())
    for identity, network in sorted(networks.items()):
        problems.extend(_faults(network, known))
        others = (text(family, address) for family, address in _foreign_members(network, known))
        yield from _shim(network, known)
        # Without an IPv6 address the link has no IPv6 at all, and takes no route of it.
        families = {4, *(_family(address) for address in network.host_addresses)}
        for address in sorted(each for each in {*members[identity], *others} if _family(each) in families):
            destination = f"{address}/{_ONE_HOST[_family(address)]}"
            yield ShimRoute(network.owner, identity, network.interface, destination, source=network.source)


def _shim(network: PlannedNetwork, known: Known) -> Iterator[Resource]:
    driver, parent = network.driver, network.parent.parent or ""
    link = hardware_of(parent, links_by_name(known.observation))
    shared = link.mac if link else ""
    yield Shim(
        owner=network.owner,
        network=network.network,
        network_name=network.name,
        interface=network.interface,
        driver=driver,
        mode=network.parent.mode or _DEFAULT_MODE[driver],
        parent=parent,
        mac=shared if driver == "ipvlan" else mac_address("shim", network.network),
        origin=network.origin,
        mtu=mtu_of(network, known),
        flag=network.parent.flag or _DEFAULT_FLAG[driver],
        ipv6=any(":" in address for address in network.host_addresses),
        source=network.source,
    )
    for address in network.host_addresses:
        # Alone, without its subnet: the way to everybody else there is the host's own interface.
        alone = f"{address}/{_ONE_HOST[_family(address)]}"
        yield Address(
            network.owner, network.network, "", network.interface, alone, source=network.source, announced=True
        )


def _faults(network: PlannedNetwork, known: Known) -> Iterator[Problem]:
    mode = network.parent.mode or _DEFAULT_MODE[network.driver]
    apart = network.parent.flag in {"private", "vepa"} or mode in {"private", "vepa", "passthru"}
    if apart:
        word = network.parent.flag if network.driver == "ipvlan" else mode
        message = (
            f"network {network.name} has a host_address, but in mode {word} the host does not reach its containers"
        )
        yield Problem(message, network.source, "use mode bridge, or remove host_address")
    shim = known.shims.get(network.network)
    held = {a.partition("/")[0] for a in known.addresses.get((network.network, shim.interface), ())} if shim else set()
    taken = holders_on_host(known)
    for address in network.host_addresses:
        pools = network.family(_family(address))
        pool = next((pool for pool in pools if number(address) in pool.subnet), None)
        if pool is None:
            message = f"host_address {address} is outside network {network.name}"
        elif number(address) == pool.gateway and network.has_router:
            message = f"host_address {address} is the gateway of network {network.name}"
        elif address in taken and address not in held:
            who = "an address of the host's" if taken[address] == "the host" else taken[address]
            message = f"host_address {address} of network {network.name} is {who} already"
        elif number(address) in known.foreign_members(network.name):
            message = f"host_address {address} of network {network.name} is a container's of another stack"
        else:
            continue
        yield Problem(message, network.source, "choose a free address of that subnet, for the host alone")


def _foreign_members(network: PlannedNetwork, known: Known) -> Iterator[tuple[int, int]]:
    for address in known.foreign_members(network.name):
        pool = next((pool for pool in network.pools if address in pool.subnet), None)
        if pool:
            yield pool.subnet.family, address


def _family(address: str) -> int:
    return 6 if ":" in address else 4
