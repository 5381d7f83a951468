"""The networks of a host: their subnets, their bridge, their members."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from ipaddress import ip_address, ip_interface, ip_network
from operator import itemgetter
from typing import Any

from reconciler.firewall.policy import NetworkPolicy
from reconciler.resources.address import Address
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.shim import Shim
from reconciler.resources.sub_interface import SubInterface
from reconciler.state import HOST_OWNER, State
from reconciler.views.places import Place, network_identity, places
from reconciler.views.table import table

_PRIORITY = "8000"
"""That of a bridge that nobody gave another (IEEE 802.1D, 9.2.5)."""


@dataclass(frozen=True, slots=True)
class SubnetView:
    """``gateway`` is the host's address there; None where the host has none."""

    subnet: str
    gateway: str | None


@dataclass(frozen=True, slots=True)
class BridgeView:
    """What ``brctl show`` says of a bridge: its id, priority and MAC, and the interfaces on it."""

    id: str
    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MemberView:
    """A container's addresses on the network, with prefix length."""

    ipv4: str | None
    ipv6: str | None
    mac: str


@dataclass(frozen=True, slots=True)
class NetworkView:
    """One network. ``key`` is its name in its stack's file; the rest are the fields of the JSON contract.

    ``id`` is ``stack/key`` or, of a network that belongs to no stack, its name. ``interface`` is the host's bridge,
    or the parent on which the members' own interfaces stand.
    """

    key: str
    id: str
    name: str
    stack: str | None
    driver: str
    scope: str
    interface: str | None
    internal: bool
    subnets: tuple[SubnetView, ...]
    bridge: BridgeView | None = None

    def record(self) -> dict[str, Any]:
        """For JSON."""
        fields = asdict(self)
        del fields["key"], fields["bridge"]
        return fields


def networks(state: State) -> tuple[NetworkView, ...]:
    """The predefined networks, then those of all stacks by stack and name in the file."""
    policies = {policy.network: policy for policy in state if isinstance(policy, NetworkPolicy)}
    addresses: defaultdict[str, list[str]] = defaultdict(list)
    for address in state:
        if isinstance(address, Address) and not address.namespace:
            addresses[address.place].append(address.address)
    ports: defaultdict[str, list[str]] = defaultdict(list)
    for endpoint in state:
        if isinstance(endpoint, Endpoint) and endpoint.host_interface:
            ports[endpoint.bridge].append(endpoint.host_interface)
    found = [
        _of_bridge(bridge, policies.get(bridge.network), addresses[bridge.network], ports[bridge.interface])
        for bridge in state
        if isinstance(bridge, Bridge)
    ]
    found += _on_parents(state)
    own = {view.name: view for view in found if not view.stack}
    return (
        *(own.get(view.name, view) for view in PREDEFINED),
        *sorted((view for view in found if view.stack), key=lambda view: view.id),
    )


PREDEFINED = tuple(
    NetworkView(name, name, name, None, driver, "local", None, internal=False, subnets=())
    for name, driver in (("bridge", "bridge"), ("host", "host"), ("none", "null"))
)
"""What a container may name without any stack making it; ``bridge`` is made when the first does."""


def members(state: State, view: NetworkView) -> dict[str, MemberView]:
    """Who is on it, by name; by ``stack/name`` where it is a container of another stack."""
    found = {}
    for place in places(state):
        if place.network == view.id:
            stack, _, name = place.container.partition("/")
            shown = name if stack == view.stack else place.container
            found[shown] = MemberView(place.seen.ipv4, place.seen.ipv6, place.seen.mac)
    return found


def details(state: State, view: NetworkView) -> dict[str, Any]:
    """What ``network inspect`` shows."""
    return {
        **view.record(),
        "bridge": asdict(view.bridge) if view.bridge else None,
        "containers": {name: asdict(member) for name, member in members(state, view).items()},
    }


def render(views: Iterable[NetworkView]) -> str:
    """A table for people."""
    rows = [
        (
            view.id,
            view.name,
            view.driver,
            view.scope,
            view.interface or "",
            ", ".join(subnet.subnet for subnet in view.subnets) + (" (internal)" if view.internal else ""),
        )
        for view in views
    ]
    return table(("ID", "NAME", "DRIVER", "SCOPE", "INTERFACE", "SUBNETS"), rows)


def render_details(state: State, view: NetworkView) -> str:
    """One network and its members for people."""
    facts = [
        ("name", view.name),
        ("stack", view.stack or "none (predefined)"),
        ("driver", view.driver),
        ("interface", view.interface or "none"),
        ("internal", "yes" if view.internal else "no"),
        *([("bridge id", view.bridge.id), ("ports", ", ".join(view.bridge.ports) or "none")] if view.bridge else []),
        *(("subnet", f"{each.subnet}, gateway {each.gateway or 'none'}") for each in view.subnets),
    ]
    rows = [(name, each.ipv4 or "", each.ipv6 or "", each.mac) for name, each in members(state, view).items()]
    lines = "".join(f"{word + ':':<11}{value}\n" for word, value in facts)
    return lines + ("\n" + table(("CONTAINER", "IPV4", "IPV6", "MAC"), rows) if rows else "")


def _of_bridge(bridge: Bridge, policy: NetworkPolicy | None, addresses: list[str], ports: list[str]) -> NetworkView:
    # Without its policy, which somebody flushed, the host's own addresses still tell the subnets.
    subnets = policy.subnets if policy else sorted({str(ip_interface(address).network) for address in addresses})
    return NetworkView(
        key=bridge.network.partition("/")[2],
        id=network_identity(bridge),
        name=bridge.network_name,
        stack=None if bridge.owner == HOST_OWNER else bridge.owner,
        driver="bridge",
        scope="local",
        interface=bridge.interface,
        internal=bool(policy and policy.internal),
        subnets=tuple(SubnetView(subnet, _gateway(subnet, addresses)) for subnet in subnets),
        bridge=BridgeView(f"{_PRIORITY}.{bridge.mac.replace(':', '')}", tuple(sorted(ports))),
    )


def _on_parents(state: State) -> list[NetworkView]:
    """The macvlan and ipvlan networks: of those there is nothing on the host but who stands on them."""
    links: dict[str, list[SubInterface | Shim]] = {}
    for link in state:
        if isinstance(link, SubInterface | Shim) and link.network:
            links.setdefault(link.network, []).append(link)
    every = places(state)
    return [_on_parent(network, found, every) for network, found in links.items()]


def _on_parent(network: str, links: Sequence[SubInterface | Shim], every: Sequence[Place]) -> NetworkView:
    stack, _, key = network.partition("/")
    here = [place for place in every if place.network == network]
    subnets: dict[tuple[int, str], str | None] = {}
    for place in here:
        for version, address in ((4, place.seen.ipv4), (6, place.seen.ipv6)):
            if address:
                # Only whose default route is this network says where it leads.
                key_of_subnet = (version, str(ip_interface(address).network))
                subnets[key_of_subnet] = subnets.get(key_of_subnet) or place.gateways.get(version)
    return NetworkView(
        key=key,
        id=network,
        name=links[0].network_name,
        stack=stack,
        driver=links[0].driver,
        scope="local",
        interface=links[0].parent,
        internal=any(isinstance(link, SubInterface) and link.internal for link in links),
        subnets=tuple(
            SubnetView(subnet, gateway) for (_, subnet), gateway in sorted(subnets.items(), key=itemgetter(0))
        ),
    )


def _gateway(subnet: str, addresses: Iterable[str]) -> str | None:
    network = ip_network(subnet)
    bare = (address.partition("/")[0] for address in addresses)
    return next((address for address in bare if ip_address(address) in network), None)
