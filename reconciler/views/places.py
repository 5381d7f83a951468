"""Where containers stand on networks: what their interfaces have there."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from reconciler.resources.address import Address
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.route import Route
from reconciler.state import State

_DEFAULTS = {"0.0.0.0/0": 4, "::/0": 6}


@dataclass(frozen=True, slots=True)
class NetworkPlace:
    """A container's place on the network of that real name; the fields are those of the JSON contract.

    Addresses have a prefix length. ``gateway`` is where the container's default route on this
    interface leads, or else the address of the host on the network; of IPv4 where both are there.
    """

    name: str
    interface: str
    ipv4: str | None
    ipv6: str | None
    mac: str
    gateway: str | None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """That place, with whose it is: ``container`` is ``stack/name``, ``bridge`` the host's interface."""

    container: str
    bridge: str
    seen: NetworkPlace


def places(state: State) -> tuple[Place, ...]:
    """All places on networks, by container and interface. Half an interface pair is no place."""
    addresses = _addresses(state)
    gateways = _gateways(state)
    hosts = {
        bridge.interface: addresses[bridge.network, bridge.interface] for bridge in state if isinstance(bridge, Bridge)
    }
    found = [
        _place(endpoint, addresses[endpoint.container, endpoint.interface], gateways, hosts.get(endpoint.bridge, {}))
        for endpoint in state
        if isinstance(endpoint, Endpoint) and endpoint.interface and endpoint.host_interface
    ]
    return tuple(sorted(found, key=lambda place: (place.container, _interface_order(place.seen.interface))))


def _place(
    endpoint: Endpoint,
    addresses: dict[int, str],
    gateways: dict[tuple[str, str, int], str],
    host: dict[int, str],
) -> Place:
    family = 4 if 4 in addresses else 6  # noqa: PLR2004  # the family
    gateway = gateways.get((endpoint.container, endpoint.interface, family)) or host.get(family, "").partition("/")[0]
    seen = NetworkPlace(
        name=endpoint.network_name,
        interface=endpoint.interface,
        ipv4=addresses.get(4),
        ipv6=addresses.get(6),
        mac=endpoint.mac,
        gateway=gateway or None,
    )
    return Place(endpoint.container, endpoint.bridge, seen)


def _addresses(state: State) -> defaultdict[tuple[str, str], dict[int, str]]:
    """The first address of each family, by place and interface."""
    found: defaultdict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    for address in state:
        if isinstance(address, Address):
            family = 6 if ":" in address.address else 4
            found[address.place, address.interface].setdefault(family, address.address)
    return found


def _gateways(state: State) -> dict[tuple[str, str, int], str]:
    return {
        (route.container, route.interface, _DEFAULTS[route.destination]): route.gateway
        for route in state
        if isinstance(route, Route) and route.destination in _DEFAULTS
    }


def _interface_order(name: str) -> tuple[str, int, str]:
    """eth10 after eth2."""
    stem = name.rstrip("0123456789")
    return (stem, int(name[len(stem) :] or -1), name)
