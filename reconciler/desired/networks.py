"""Which networks there shall be: their subnets, gateways and interface names, before any container joins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

from reconciler.desired.known import Known
from reconciler.desired.subnet import Subnet, in_hash_order, number, parse_subnet, text
from reconciler.errors import Problem, Source
from reconciler.manifest.model import BridgeOptions, Manifest, Network, ParentOptions
from reconciler.naming import BRIDGE_PREFIX, SHIM_PREFIX, digest, interface_name
from reconciler.netlink.sub_interface_kinds import SUB_INTERFACE_KINDS
from reconciler.state import HOST_OWNER

_AUTOMATIC = parse_subnet("172.16.0.0/12")
_DOCKER_DEFAULT = parse_subnet("172.17.0.0/16")
_AUTOMATIC_LENGTH = 24
_IPV6_LENGTH = 64
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


class SubnetChooser:
    """Subnets for all networks of a run: given ones first, then what is there, then free choices by hash.

    A subnet that a network has already stays, even if a route of the host has come to overlap it since.
    """

    def __init__(self, known: Known, problems: list[Problem]) -> None:
        self._known = known
        self._problems = problems
        self._of_host = [(subnet, "a route or address of the host") for subnet in known.taken_subnets]
        self._of_networks: list[tuple[Subnet, str]] = []
        for network in sorted({*known.bridges, *known.policies, *known.sub_interfaces}):
            stack, _, key = network.partition("/")
            # The host's own network is planned in every run, like those of the stacks in scope.
            if stack not in known.scope and stack != HOST_OWNER:
                holder = f"network {key} of stack {stack}"
                self._of_networks += [(subnet, holder) for subnet in dict.fromkeys(known.subnets_held(network))]

    def claim(self, subnet: Subnet, identity: str, network: Network, source: Source | None) -> None:
        """Take a given subnet for ``stack/key``; who has it already is named in the problem."""
        # One on a parent is the host's own subnet there, by design.
        new = network.driver not in SUB_INTERFACE_KINDS and subnet not in self._known.subnets_held(identity)
        overlapped = self._overlapped(subnet, new=new)
        if overlapped:
            taken, holder = overlapped
            message = f"subnet {subnet} of network {network.name} overlaps {taken}, {holder}"
            self._problems.append(Problem(message, source, "choose another subnet"))
        self._of_networks.append((subnet, f"network {network.name}"))

    def automatic(
        self, family: int, identity: str, network: Network, members: int, preferred: tuple[Subnet, ...] = ()
    ) -> Subnet | None:
        """The subnet that is there already while it has room, or a free one with room for ``members`` twice over.

        Of the free ones, ``preferred`` before others. None, and a problem, where all are taken.
        """
        held = [subnet for subnet in self._known.subnets_held(identity) if subnet.family == family]
        kept = (subnet for subnet in held if _room(subnet, members) and not self._overlapped(subnet, new=False))
        candidates = chain(preferred, _candidates(family, identity, members))
        free = (subnet for subnet in candidates if not self._overlapped(subnet, new=True))
        chosen = next(chain(kept, free), None)
        if chosen is None:
            message = f"no IPv{family} subnet is free for network {network.name}: routes and networks overlap all"
            hint = "give it one of its own: ipam.config with a subnet"
            self._problems.append(Problem(message, network.source, hint))
        else:
            self._of_networks.append((chosen, f"network {network.name}"))
        return chosen

    def _overlapped(self, subnet: Subnet, *, new: bool) -> tuple[Subnet, str] | None:
        taken = chain(self._of_networks, self._of_host) if new else self._of_networks
        return next((entry for entry in taken if subnet.overlaps(entry[0])), None)


def _room(subnet: Subnet, members: int) -> bool:
    first, last = subnet.usable
    return last - first >= members  # one is the gateway's


def _candidates(family: int, network: str, members: int) -> Iterable[Subnet]:
    if family == 6:  # noqa: PLR2004  # the family
        # A unique local prefix: fd, 40 random bits, 16 for the subnet (RFC 4193, 3.1).
        for attempt in range(1000):
            chosen = digest("subnet6", network, str(attempt)) & ((1 << 56) - 1)
            yield Subnet(6, (0xFD << 120) | (chosen << 64), _IPV6_LENGTH)
        return
    length = min(_AUTOMATIC_LENGTH, 32 - (2 * members + 3).bit_length())
    shift = 32 - length
    for choice in in_hash_order(_AUTOMATIC.base >> shift, _AUTOMATIC.last >> shift, "subnet", network):
        subnet = Subnet(4, choice << shift, length)
        if not subnet.overlaps(_DOCKER_DEFAULT):
            yield subnet


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
    names = _InterfaceNames(known)
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


class _InterfaceNames:
    """Names for bridges: the given one, the one that is there, or one by hash that nobody has."""

    def __init__(self, known: Known) -> None:
        self._known = known
        ours = {bridge.interface: network for network, bridge in known.bridges.items()}
        self._holders: dict[str, str] = dict.fromkeys(known.observation.facts.interfaces, "")
        self._holders.update(ours)
        self._holders.update((shim.interface, network) for network, shim in known.shims.items())

    def choose(self, identity: str, network: Network, problems: list[Problem]) -> str:
        if network.driver in SUB_INTERFACE_KINDS:
            return self._free(SHIM_PREFIX, identity, network) if network.host_addresses else ""
        given = network.bridge.bridge_name
        if given:
            if self._holders.get(given, identity) != identity:
                holder = self._holders[given]
                what = f"is the bridge of {holder}" if holder else "exists on the host and is not ours"
                problems.append(Problem(f"interface {given} {what}", network.source, "choose another bridge name"))
            self._holders[given] = identity
            return given
        present = self._known.bridges.get(identity)
        if present and present.interface.startswith(BRIDGE_PREFIX):
            return present.interface
        return self._free(BRIDGE_PREFIX, identity, network)

    def _free(self, prefix: str, identity: str, network: Network) -> str:
        attempt = 0
        while True:
            name = interface_name(prefix, network.key, identity, attempt=attempt)
            if self._holders.get(name, identity) == identity:
                self._holders[name] = identity
                return name
            attempt += 1
