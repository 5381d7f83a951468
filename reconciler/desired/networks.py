"""Which networks there shall be: their subnets, gateways and interface names, before any container joins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from reconciler.desired.interface_names import InterfaceNames
from reconciler.desired.known import Known
from reconciler.desired.subnet import Subnet, number, parse_subnet, text
from reconciler.desired.subnet_chooser import SubnetChooser
from reconciler.errors import Problem, Source
from reconciler.manifest.model import BridgeOptions, Manifest, Network, ParentOptions
from reconciler.netlink.sub_interface_kinds import SUB_INTERFACE_KINDS

_NO_PARENT = ParentOptions()


@dataclass(frozen=True, slots=True)
class PlannedPool:
    """One subnet of a network: ``gateway`` is its address as a number, ``first`` to ``last`` is for containers."""

    subnet: Subnet
    gateway: int
    first: int
    last: int
    reserved: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class PlannedNetwork:
    """A network as it shall be. ``network`` is ``stack/key`` of the stack that makes it.

    ``interface`` is the host's on it: the bridge, or the shim of a network on a parent, empty where it has none.
    ``options`` of a network on a parent holds only its MTU and the prefix of interface names; the rest is in
    ``parent``. ``host_addresses`` are the host's own there, with their shim.
    """

    owner: str
    network: str
    name: str
    driver: str
    interface: str
    pools: tuple[PlannedPool, ...]
    internal: bool
    options: BridgeOptions
    origin: str
    made_here: bool = True
    source: Source | None = field(default=None, compare=False)
    parent: ParentOptions = _NO_PARENT
    host_addresses: tuple[str, ...] = ()
    masquerade_ports: tuple[int, int] | None = None

    @property
    def on_parent(self) -> bool:
        """Whether its members stand on an interface of the host's (macvlan, ipvlan) and not on a bridge of ours."""
        return self.driver in SUB_INTERFACE_KINDS

    @property
    def has_router(self) -> bool:
        """Whether what leaves it goes to a gateway; from ipvlan's modes l3 and l3s it goes out as it is."""
        return self.parent.mode not in {"l3", "l3s"}

    def family(self, family: int) -> tuple[PlannedPool, ...]:
        """Its pools of one family."""
        return tuple(pool for pool in self.pools if pool.subnet.family == family)


def used_networks(manifest: Manifest) -> list[Network]:
    """Those that a container joins; a network that nobody uses is not made (Compose specification, 06)."""
    used = {attachment.network for container in manifest.containers for attachment in container.attachments}
    return [network for network in manifest.networks if network.key in used]


def plan_networks(
    manifests: Sequence[Manifest],
    known: Known,
    origins: dict[str, str],
    chooser: SubnetChooser,
    problems: list[Problem],
) -> dict[str, PlannedNetwork]:
    """Every network that the manifests make, by ``stack/key``; given subnets are claimed before any is chosen."""
    wanted = sorted(
        ((manifest, network) for manifest in manifests for network in used_networks(manifest) if not network.external),
        key=lambda pair: (pair[0].stack, pair[1].key),
    )
    for manifest, network in wanted:
        for pool in network.pools:
            identity = f"{manifest.stack}/{network.key}"
            chooser.claim(parse_subnet(pool.subnet), identity, network, pool.source or network.source)
        _check_name(manifest, network, wanted, known, problems)
    names = InterfaceNames(known)
    planned = {}
    for manifest, network in wanted:
        identity = f"{manifest.stack}/{network.key}"
        members = sum(
            attachment.network == network.key
            for container in manifest.containers
            for attachment in container.attachments
        )
        pools = [_given(network, index, problems) for index in range(len(network.pools))]
        for family, enabled in ((4, network.enable_ipv4), (6, network.enable_ipv6)):
            given = any(pool.subnet.family == family for pool in pools)
            free = enabled and not given and _may_choose(family, network, problems)
            chosen = chooser.automatic(family, identity, network, members) if free else None
            if chosen:
                pools.append(whole_pool(chosen))
        planned[identity] = PlannedNetwork(
            owner=manifest.stack,
            network=identity,
            name=network.name,
            driver=network.driver,
            interface=names.choose(identity, network, problems),
            pools=tuple(pools),
            internal=network.internal,
            options=_options(network),
            origin=origins[manifest.stack],
            source=network.source,
            parent=network.parent,
            host_addresses=network.host_addresses,
            masquerade_ports=network.masquerade_ports,
        )
    return planned


def external_network(network: Network, known: Known, planned: dict[str, PlannedNetwork]) -> PlannedNetwork | None:
    """The network of that real name, of a manifest of this run or of a stack on the host; None where there is none."""
    for candidate in planned.values():
        if candidate.name == network.name:
            return candidate
    bridge = known.bridges_by_name.get(network.name)
    if bridge is None:
        return _external_on_parent(network, known)
    if bridge.owner in known.scope:
        return None
    pools = tuple(PlannedPool(subnet, address, *subnet.usable) for address, subnet in known.subnets_of(bridge.network))
    policy = known.policies.get(bridge.network)
    options = BridgeOptions(
        mtu=bridge.mtu,
        icc=not bridge.nf_call,
        gateway_mode_ipv4=policy.mode4 if policy else "nat",
        gateway_mode_ipv6=policy.mode6 if policy else "nat",
    )
    return PlannedNetwork(
        owner=bridge.owner,
        network=bridge.network,
        name=bridge.network_name,
        driver="bridge",
        interface=bridge.interface,
        pools=pools,
        internal=bool(policy and policy.internal),
        options=options,
        origin=bridge.origin,
        made_here=False,
        source=network.source,
    )


def _check_name(
    manifest: Manifest,
    network: Network,
    wanted: list[tuple[Manifest, Network]],
    known: Known,
    problems: list[Problem],
) -> None:
    for other_manifest, other in wanted:
        if other.name == network.name and (other_manifest.stack, other.key) < (manifest.stack, network.key):
            message = f"network name {network.name} is used twice; first at {other.source}"
            problems.append(Problem(message, network.source, "give one of them another name"))
    bridge, member = known.bridges_by_name.get(network.name), known.on_parent(network.name)
    holder = member.network.partition("/")[0] if member else bridge.owner if bridge else ""
    if holder and holder not in known.scope:
        message = f"network {network.name} belongs to stack {holder}"
        problems.append(
            Problem(message, network.source, "say external: true to join it, or give this one another name")
        )


def _external_on_parent(network: Network, known: Known) -> PlannedNetwork | None:
    member = known.on_parent(network.name)
    if member is None:
        return None
    gateways = known.gateways_seen(member.network)
    pools = []
    for subnet in dict.fromkeys(known.subnets_held(member.network)):
        first, last = subnet.usable
        pools.append(PlannedPool(subnet, next((each for each in gateways if each in subnet), first), first, last))
    shim = known.shims.get(member.network)
    return PlannedNetwork(
        owner=member.network.partition("/")[0],
        network=member.network,
        name=member.network_name,
        driver=member.driver,
        interface=shim.interface if shim else "",
        pools=tuple(pools),
        internal=member.internal,
        options=BridgeOptions(mtu=member.mtu),
        origin="",
        made_here=False,
        source=network.source,
        parent=ParentOptions(parent=member.parent, mode=member.mode, flag=member.flag or None, mtu=member.mtu),
    )


def _options(network: Network) -> BridgeOptions:
    if network.driver in SUB_INTERFACE_KINDS:
        return BridgeOptions(mtu=network.parent.mtu, interface_prefix=network.parent.interface_prefix)
    return network.bridge


def _may_choose(family: int, network: Network, problems: list[Problem]) -> bool:
    """Whether any free subnet will do: not where it has to be that of the LAN."""
    if network.driver not in SUB_INTERFACE_KINDS or network.internal:
        return True
    message = f"network {network.name} ({network.driver}) has no IPv{family} subnet, and which the LAN has is not known"
    hint = "add ipam: {config: [{subnet: …, gateway: …}]}, with an ip_range that nobody else gives out, "
    problems.append(Problem(message, network.source, f"{hint}or enable_ipv{family}: false"))
    return False


def _given(network: Network, index: int, problems: list[Problem]) -> PlannedPool:
    pool = network.pools[index]
    subnet = parse_subnet(pool.subnet)
    first, last = subnet.usable
    gateway = number(pool.gateway) if pool.gateway else first
    if pool.ip_range:
        span = parse_subnet(pool.ip_range)
        first, last = max(first, span.base), min(last, span.last)
    reserved = frozenset(number(address) for _, address in pool.aux_addresses)
    if not pool.gateway:
        while gateway in reserved and gateway < subnet.last:
            gateway += 1
    if gateway in reserved:
        message = f"gateway {text(subnet.family, gateway)} of network {network.name} is also an aux address"
        problems.append(Problem(message, pool.source))
    return PlannedPool(subnet, gateway, first, last, reserved)


def whole_pool(subnet: Subnet) -> PlannedPool:
    """All of a subnet, with its first address as the gateway's."""
    first, last = subnet.usable
    return PlannedPool(subnet, first, first, last)
