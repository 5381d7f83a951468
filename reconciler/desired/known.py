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
from reconciler.resources.namespace import Namespace
from reconciler.resources.route import Route
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
    endpoints: dict[str, list[Endpoint]] = field(default_factory=lambda: defaultdict(list))
    addresses: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    ports: dict[str, list[PublishedPort]] = field(default_factory=lambda: defaultdict(list))
    policies: dict[str, NetworkPolicy] = field(default_factory=dict)
    gateways: set[tuple[str, str]] = field(default_factory=set)
    """Container and interface of every default route of ours; others' are drift, which decides nothing."""
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
                case Endpoint():
                    self.endpoints[resource.container].append(resource)
                case Address():
                    self.addresses[(resource.place, resource.interface)].append(resource.address)
                case NetworkPolicy():
                    self.policies[resource.network] = resource
                case Route(destination="0.0.0.0/0" | "::/0", protocol=protocol) if protocol == ROUTE_PROTOCOL:
                    self.gateways.add((resource.container, resource.interface))
                case PublishedPort():
                    self.ports[resource.container].append(resource)
                case _:
                    pass
        self.taken_subnets = [parse_subnet(value) for value in self.observation.facts.taken_subnets]

    def origins(self) -> Iterator[tuple[str, str]]:
        """Owner and origin of everything that bears one."""
        owned: list[Bridge | Namespace] = [*self.bridges.values(), *self.namespaces.values()]
        for resource in owned:
            if resource.origin:
                yield resource.owner, resource.origin

    def endpoint(self, container: str, network_name: str) -> Endpoint | None:
        """The observed, complete endpoint of a container on a network."""
        for endpoint in self.endpoints.get(container, ()):
            if endpoint.network_name == network_name and endpoint.interface and endpoint.host_interface:
                return endpoint
        return None

    def is_gateway(self, container: str, network_name: str) -> bool:
        """Whether a default route of the container leads through that network."""
        endpoint = self.endpoint(container, network_name)
        return endpoint is not None and (container, endpoint.interface) in self.gateways

    def subnets_of(self, network: str) -> list[tuple[int, Subnet]]:
        """Address and subnet of each address on the bridge of ``stack/key``."""
        bridge = self.bridges.get(network)
        found = self.addresses.get((network, bridge.interface), []) if bridge else []
        return [parse_interface(address) for address in found]

    def subnets_held(self, network: str) -> list[Subnet]:
        """The subnets of ``stack/key``: as its policy has them, then as addresses on its bridge, which others add, say."""
        policy = self.policies.get(network)
        named = [parse_subnet(subnet) for subnet in policy.subnets] if policy else []
        return [*named, *(subnet for _, subnet in self.subnets_of(network))]

    def foreign_members(self, network_name: str) -> set[int]:
        """Addresses that containers of stacks out of scope have on a network."""
        members = set()
        for container, endpoints in self.endpoints.items():
            for endpoint in endpoints:
                if endpoint.network_name == network_name and endpoint.owner not in self.scope:
                    found = self.addresses.get((container, endpoint.interface), ())
                    members |= {parse_interface(address)[0] for address in found}
        return members
