"""The networks of a host: their subnets, their bridge, their members."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from reconciler.firewall.policy import NetworkPolicy
from reconciler.resources.address import Address
from reconciler.resources.bridge import Bridge
from reconciler.state import State
from reconciler.views.places import places
from reconciler.views.table import table


@dataclass(frozen=True, slots=True)
class SubnetView:
    """``gateway`` is the host's address there; None where the host has none."""

    subnet: str
    gateway: str | None


@dataclass(frozen=True, slots=True)
class MemberView:
    """A container's addresses on the network, with prefix length."""

    ipv4: str | None
    ipv6: str | None
    mac: str


@dataclass(frozen=True, slots=True)
class NetworkView:
    """One network. ``key`` is its name in its stack's file; the rest are the fields of the JSON contract."""

    key: str
    name: str
    stack: str | None
    driver: str
    scope: str
    interface: str | None
    internal: bool
    subnets: tuple[SubnetView, ...]

    @property
    def network(self) -> str:
        """``stack/key``; of a predefined network, its name."""
        return f"{self.stack}/{self.key}" if self.stack else self.name

    def record(self) -> dict[str, Any]:
        """For JSON."""
        fields = asdict(self)
        del fields["key"]
        return fields


PREDEFINED = tuple(
    NetworkView(name, name, None, driver, "local", None, internal=False, subnets=())
    for name, driver in (("bridge", "bridge"), ("host", "host"), ("none", "null"))
)
"""What a container may name without any stack making it."""


def networks(state: State) -> tuple[NetworkView, ...]:
    """The predefined networks, then those of all stacks by stack and name in the file."""
    policies = {policy.network: policy for policy in state if isinstance(policy, NetworkPolicy)}
    addresses: defaultdict[str, list[str]] = defaultdict(list)
    for address in state:
        if isinstance(address, Address) and not address.namespace:
            addresses[address.place].append(address.address)
    found = [
        _view(bridge, policies.get(bridge.network), addresses[bridge.network])
        for bridge in state
        if isinstance(bridge, Bridge)
    ]
    return (*PREDEFINED, *sorted(found, key=lambda view: view.network))


def members(state: State, view: NetworkView) -> dict[str, MemberView]:
    """Who is on it, by name; by ``stack/name`` where it is a container of another stack."""
    found = {}
    for place in places(state):
        if view.interface and place.bridge == view.interface:
            stack, _, name = place.container.partition("/")
            shown = name if stack == view.stack else place.container
            found[shown] = MemberView(place.seen.ipv4, place.seen.ipv6, place.seen.mac)
    return found


def details(state: State, view: NetworkView) -> dict[str, Any]:
    """What ``network inspect`` shows."""
    return {
        **view.record(),
        "containers": {name: asdict(member) for name, member in members(state, view).items()},
    }


def render(views: Iterable[NetworkView]) -> str:
    """A table for people."""
    rows = [
        (
            view.name,
            view.stack or "",
            view.driver,
            view.interface or "",
            ", ".join(subnet.subnet for subnet in view.subnets) + (" (internal)" if view.internal else ""),
        )
        for view in views
    ]
    return table(("NETWORK", "STACK", "DRIVER", "INTERFACE", "SUBNETS"), rows)


def render_details(state: State, view: NetworkView) -> str:
    """One network and its members for people."""
    facts = [
        ("name", view.name),
        ("stack", view.stack or "none (predefined)"),
        ("driver", view.driver),
        ("interface", view.interface or "none"),
        ("internal", "yes" if view.internal else "no"),
        *(("subnet", f"{each.subnet}, gateway {each.gateway or 'none'}") for each in view.subnets),
    ]
    rows = [(name, each.ipv4 or "", each.ipv6 or "", each.mac) for name, each in members(state, view).items()]
    lines = "".join(f"{word + ':':<11}{value}\n" for word, value in facts)
    return lines + ("\n" + table(("CONTAINER", "IPV4", "IPV6", "MAC"), rows) if rows else "")


def _view(bridge: Bridge, policy: NetworkPolicy | None, addresses: list[str]) -> NetworkView:
    # Without its policy, which somebody flushed, the host's own addresses still tell the subnets.
    subnets = policy.subnets if policy else sorted({str(ip_interface(address).network) for address in addresses})
    return NetworkView(
        key=bridge.network.partition("/")[2],
        name=bridge.network_name,
        stack=bridge.owner,
        driver="bridge",
        scope="local",
        interface=bridge.interface,
        internal=bool(policy and policy.internal),
        subnets=tuple(SubnetView(subnet, _gateway(subnet, addresses)) for subnet in subnets),
    )


def _gateway(subnet: str, addresses: Iterable[str]) -> str | None:
    network = ip_network(subnet)
    bare = (address.partition("/")[0] for address in addresses)
    return next((address for address in bare if ip_address(address) in network), None)
