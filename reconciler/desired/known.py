"""The observed state, indexed for the questions that allocation asks: what is there keeps what it has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from reconciler.desired.subnet import Subnet, parse_interface, parse_subnet
from reconciler.firewall.policy import NetworkPolicy, PublishedPort
from reconciler.naming import ROUTE_PROTOCOL
from reconciler.observation import Observation
from reconciler.resources.address import Address
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.joined import Joined
from reconciler.resources.namespace import Namespace
from reconciler.resources.route import Route
from reconciler.resources.shim import Shim
from reconciler.resources.sub_interface import SubInterface
from reconciler.state import HOST_OWNER, State


@dataclass(slots=True)
class Known:
    """Indexes over one observation, for the stacks of ``scope``.

    ``others`` is the part of the state that is neither in scope nor the host's: it stays.
    """

    observation: Observation
    scope: frozenset[str]
    others: State = field(init=False)
    bridges: dict[str, Bridge] = field(default_factory=dict)
    bridges_by_name: dict[str, Bridge] = field(default_factory=dict)
    namespaces: dict[str, Namespace] = field(default_factory=dict)
    joined: dict[str, Joined] = field(default_factory=dict)
    endpoints: dict[str, list[Endpoint]] = field(default_factory=lambda: defaultdict(list))
    sub_interfaces: dict[str, list[SubInterface]] = field(default_factory=lambda: defaultdict(list))
    """By network, ``stack/key``: a network on a parent is nothing but its members, and a shim perhaps."""
    shims: dict[str, Shim] = field(default_factory=dict)
    addresses: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    ports: dict[str, list[PublishedPort]] = field(default_factory=lambda: defaultdict(list))
    policies: dict[str, NetworkPolicy] = field(default_factory=dict)
    gateways: set[tuple[str, str, int]] = field(default_factory=set)
    """Container, interface and family of every default route of ours; others' are drift, which decides nothing."""
    gateway_addresses: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    """Where these lead, by container and interface."""
    taken_subnets: list[Subnet] = field(default_factory=list)

    def __post_init__(self) -> None:
        state = self.observation.state
        self.others = State(r for r in state if r.owner not in self.scope and r.owner != HOST_OWNER)
        for resource in state:
            match resource:
                case Bridge():
                    self.bridges[resource.network] = resource
                    self.bridges_by_name[resource.network_name] = resource
                case Namespace():
                    self.namespaces[resource.container] = resource
                case Joined():
                    self.joined[resource.container] = resource
                case Endpoint():
                    self.endpoints[resource.container].append(resource)
                case Address():
                    self.addresses[(resource.place, resource.interface)].append(resource.address)
                case NetworkPolicy():
                    self.policies[resource.network] = resource
                case Route() if resource.is_way_out and resource.protocol == ROUTE_PROTOCOL:
                    self.gateways.add((resource.container, resource.interface, resource.family))
                    self.gateway_addresses[resource.container, resource.interface].append(resource.gateway)
                case PublishedPort():
                    self.ports[resource.container].append(resource)
                case _:
                    pass
        self._index_parents()
        self.taken_subnets = [parse_subnet(value) for value in self.observation.facts.taken_subnets]

    def _index_parents(self) -> None:
        for resource in self.observation.state:
            if isinstance(resource, SubInterface) and resource.network:
                self.sub_interfaces[resource.network].append(resource)
            elif isinstance(resource, Shim):
                self.shims[resource.network] = resource

    def origins(self) -> Iterator[tuple[str, str]]:
        """Owner and origin of everything that bears one."""
        owned: list[Bridge | Namespace | Joined] = [
            *self.bridges.values(),
            *self.namespaces.values(),
            *self.joined.values(),
        ]
        for resource in owned:
            if resource.origin:
                yield resource.owner, resource.origin

    def endpoint(self, container: str, network_name: str) -> Endpoint | None:
        """The observed, complete endpoint of a container on a network."""
        for endpoint in self.endpoints.get(container, ()):
            if endpoint.network_name == network_name and endpoint.interface and endpoint.host_interface:
                return endpoint
        return None

    def is_gateway(self, container: str, network_name: str, family: int) -> bool:
        """Whether the container's default route of that family leads through that network."""
        interface = self.interface(container, network_name)
        return interface is not None and (container, interface, family) in self.gateways

    def interface(self, container: str, network_name: str) -> str | None:
        """The name inside of what the container stands with on a network, whatever the network's kind."""
        endpoint = self.endpoint(container, network_name)
        if endpoint:
            return endpoint.interface
        found = (link for links in self.sub_interfaces.values() for link in links if link.container == container)
        return next((link.interface for link in found if link.network_name == network_name), None)

    def on_parent(self, network_name: str) -> SubInterface | None:
        """A member of the network of that real name, which stands on a parent and belongs to a stack not in this run."""
        for network, links in self.sub_interfaces.items():
            if network.partition("/")[0] not in self.scope and links[0].network_name == network_name:
                return links[0]
        return None

    def containers_of_others(self) -> Iterator[str]:
        """``stack/name`` of the containers of stacks that are not in this run."""
        placed: list[Namespace | Joined] = [*self.namespaces.values(), *self.joined.values()]
        for resource in placed:
            if resource.owner not in self.scope:
                yield resource.container

    def namespace_in_use(self, container: str) -> str | None:
        """The namespace that a container of a stack not in this run uses (as in `Joined`); None: there is no such one."""
        if container.partition("/")[0] in self.scope:
            return None
        if container in self.joined:
            return self.joined[container].namespace
        return container if container in self.namespaces else None

    def joined_by_others(self) -> Iterator[tuple[str, str]]:
        """Container and namespace, for containers of stacks not in this run that use a sandbox not their own."""
        for resource in self.joined.values():
            if resource.owner not in self.scope:
                yield resource.container, resource.namespace

    def subnets_of(self, network: str) -> list[tuple[int, Subnet]]:
        """Address and subnet of each address on the bridge of ``stack/key``."""
        bridge = self.bridges.get(network)
        found = self.addresses.get((network, bridge.interface), []) if bridge else []
        return [parse_interface(address) for address in found]

    def subnets_bridged(self, network: str) -> list[Subnet]:
        """The subnets of ``stack/key``: as its policy has them, then as addresses on its bridge, which others add, say."""
        policy = self.policies.get(network)
        named = [parse_subnet(subnet) for subnet in policy.subnets] if policy else []
        return [*named, *(subnet for _, subnet in self.subnets_of(network))]

    def subnets_held(self, network: str) -> list[Subnet]:
        """The same, and for a network on a parent those of its members' addresses."""
        inside = (
            parse_interface(address)[1]
            for link in self.sub_interfaces.get(network, ())
            for address in self.addresses.get((link.container, link.interface), ())
        )
        return [*self.subnets_bridged(network), *dict.fromkeys(inside)]

    def gateways_seen(self, network: str) -> list[int]:
        """Where the default routes of members of ``stack/key`` lead, as numbers; only of a network on a parent."""
        places = [(link.container, link.interface) for link in self.sub_interfaces.get(network, ())]
        # A member that others go through (``gateway:``) is not the network's own gateway.
        members = {parse_interface(address)[0] for place in places for address in self.addresses.get(place, ())}
        leading = (address for place in places for address in self.gateway_addresses.get(place, ()) if address)
        return [found for address in leading if (found := parse_interface(address)[0]) not in members]

    def foreign_members(self, network_name: str) -> set[int]:
        """Addresses that containers of stacks out of scope have on a network."""
        members = set()
        standing: list[Endpoint | SubInterface] = [
            *(endpoint for endpoints in self.endpoints.values() for endpoint in endpoints),
            *(link for links in self.sub_interfaces.values() for link in links),
        ]
        for link in standing:
            if link.network_name == network_name and link.owner not in self.scope:
                found = self.addresses.get((link.container, link.interface), ())
                members |= {parse_interface(address)[0] for address in found}
        return members
