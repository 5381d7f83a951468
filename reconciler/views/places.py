"""Where containers stand on networks: what their interfaces have there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.resources.address import Address
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.resolver import Resolver
from reconciler.resources.route import Route
from reconciler.resources.sub_interface import SubInterface
from reconciler.state import HOST_OWNER, State

_DEFAULTS = {"0.0.0.0/0": 4, "::/0": 6}
_IPV4, _IPV6 = 4, 6

Gateways = Mapping[tuple[str, str, int], str]
"""By container, interface and family."""


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
    """That place, with whose it is.

    ``container`` is ``stack/name``, ``network`` the network's identity. ``host_interface`` is the host's end of it,
    or the parent that it stands on. ``gateways`` are by family, ``options`` what was chosen for the interface.
    """

    container: str
    network: str
    host_interface: str
    gateways: Mapping[int, str]
    options: Mapping[str, str]
    seen: NetworkPlace

    def details(self) -> dict[str, Any]:
        """What ``inspect`` shows: the place, then the same in Docker's terms, which come apart in all their parts."""
        ipv4, ipv4_length = _parted(self.seen.ipv4)
        ipv6, ipv6_length = _parted(self.seen.ipv6)
        return {
            "ipam_config": {"ipv4_address": ipv4 or None, "ipv6_address": ipv6 or None},
            "network_id": self.network,
            "endpoint_id": self.host_interface,
            "ip_address": ipv4,
            "ip_prefix_len": ipv4_length,
            "ipv4_gateway": self.gateways.get(_IPV4, ""),
            "ipv6_gateway": self.gateways.get(_IPV6, ""),
            "global_ipv6_address": ipv6,
            "global_ipv6_prefix_len": ipv6_length,
            "mac_address": self.seen.mac,
            "driver_opts": dict(self.options),
        }


def network_identity(bridge: Bridge) -> str:
    """``stack/key``; of the host's own network, which belongs to no stack, its name."""
    return bridge.network_name if bridge.owner == HOST_OWNER else bridge.network


def places(state: State) -> tuple[Place, ...]:
    """All places on networks, by container and interface. Half an interface pair is no place."""
    seer = _Seer(state)
    found = [seer.of_endpoint(each) for each in state if isinstance(each, Endpoint) and _is_whole(each)]
    found += [seer.of_sub_interface(each) for each in state if isinstance(each, SubInterface) and each.network]
    return tuple(sorted(found, key=lambda place: (place.container, _interface_order(place.seen.interface))))


class _Seer:
    """What of a state says where its containers stand."""

    def __init__(self, state: State) -> None:
        self._addresses = _addresses(state)
        self._gateways = _gateways(state)
        self._bridges = {each.interface: each for each in state if isinstance(each, Bridge)}
        self._aliases = _aliases(state)

    def of_endpoint(self, endpoint: Endpoint) -> Place:
        bridge = self._bridges.get(endpoint.bridge)
        host = self._addresses[bridge.network, bridge.interface] if bridge else {}
        return self._place(
            endpoint,
            network_identity(bridge) if bridge else "",
            endpoint.host_interface,
            {"bridge": endpoint.bridge, "mtu": str(endpoint.mtu)},
            {family: address.partition("/")[0] for family, address in host.items()},
        )

    def of_sub_interface(self, link: SubInterface) -> Place:
        options = {"parent": link.parent, f"{link.driver}_mode": link.mode, "mtu": str(link.mtu)}
        return self._place(link, link.network, link.parent, options, {})

    def _place(
        self,
        link: Endpoint | SubInterface,
        network: str,
        host_interface: str,
        options: Mapping[str, str],
        otherwise: Mapping[int, str],
    ) -> Place:
        addresses = self._addresses[link.container, link.interface]
        gateways = {
            family: gateway
            for family in addresses
            if (gateway := self._gateways.get((link.container, link.interface, family)) or otherwise.get(family))
        }
        seen = NetworkPlace(
            name=link.network_name,
            interface=link.interface,
            ipv4=addresses.get(_IPV4),
            ipv6=addresses.get(_IPV6),
            mac=link.mac,
            gateway=gateways.get(_IPV4 if _IPV4 in addresses else _IPV6),
            aliases=self._aliases.get((link.container, link.network_name), ()),
        )
        return Place(link.container, network, host_interface, gateways, options, seen)


def _is_whole(endpoint: Endpoint) -> bool:
    return bool(endpoint.interface and endpoint.host_interface)


def _addresses(state: State) -> defaultdict[tuple[str, str], dict[int, str]]:
    """The first address of each family, by place and interface."""
    found: defaultdict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    for address in state:
        if isinstance(address, Address):
            family = _IPV6 if ":" in address.address else _IPV4
            found[address.place, address.interface].setdefault(family, address.address)
    return found


def _gateways(state: State) -> Gateways:
    return {
        (route.container, route.interface, _DEFAULTS[route.destination]): route.gateway
        for route in state
        if isinstance(route, Route) and route.destination in _DEFAULTS
    }


def _aliases(state: State) -> dict[tuple[str, str], tuple[str, ...]]:
    """By container and the network's real name, what it is called there beside its own name."""
    return {
        (resolver.container, registration.network): tuple(
            name for name in registration.names if name != resolver.container.partition("/")[2].lower()
        )
        for resolver in state
        if isinstance(resolver, Resolver)
        for registration in resolver.registrations
    }


def _parted(address: str | None) -> tuple[str, int]:
    """Address and prefix length; an empty text and 0 for none, as Docker shows it."""
    bare, _, length = (address or "/0").partition("/")
    return bare, int(length)


def _interface_order(name: str) -> tuple[str, int, str]:
    """eth10 after eth2."""
    stem = name.rstrip("0123456789")
    return (stem, int(name[len(stem) :] or -1), name)
