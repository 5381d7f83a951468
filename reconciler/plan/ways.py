"""All ways by which something can be reached in a state.

It tells what is asked for and what netapply does for it. Whether the host's own firewall lets it
through stands in the plan's warnings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from reconciler.desired.answering import behind_gateways
from reconciler.firewall.allow import AllowPolicy
from reconciler.firewall.opening import Opening
from reconciler.firewall.policy import UNSERVED, NetworkPolicy, PublishedPort
from reconciler.firewall.translation import FloatingPolicy
from reconciler.plan.way import ANY_MACHINE, EVERY_PORT, THIS_HOST, Way
from reconciler.resources.address import Address
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.joined import Joined
from reconciler.resources.route import Route
from reconciler.resources.sub_interface import SubInterface
from reconciler.state import State

OWN: Final = "its own address"
_WILDCARDS: Final = {"0.0.0.0": 4, "::": 6}  # noqa: S104  # compared, never bound
_EVERYTHING: Final = {4: "0.0.0.0/0", 6: "::/0"}


def ways(state: State) -> frozenset[Way]:
    """Everything that can be reached in this state, from wherever."""
    parts = _parts(state)
    host = _Host.of(parts)
    return frozenset(
        (
            *(way for each in parts[PublishedPort] for way in _published(each, host)),
            *(way for each in parts[Opening] for way in _opened(each)),
            *(way for each in parts[FloatingPolicy] for way in _floating(each, host)),
            *(way for each in parts[AllowPolicy] for way in _allowed(each, host)),
            *(way for each in parts[Endpoint] for way in _on_bridge(each, host)),
            *(way for each in parts[SubInterface] if each.network for way in _on_parent(each)),
            *(_on_host(each) for each in parts[Joined] if not each.namespace),
        )
    )


_KINDS = (
    *(PublishedPort, Opening, FloatingPolicy, AllowPolicy, NetworkPolicy),
    *(Bridge, Endpoint, SubInterface, Joined, Address, Route),
)


def _parts(state: State) -> Mapping[type, list[Any]]:
    """The resources that matter here, by their class: one pass over a state that may have thirty thousand."""
    parts: dict[type, list[Any]] = {kind: [] for kind in _KINDS}
    find: Callable[[type], list[Any] | None] = parts.get
    for resource in state:
        found = find(type(resource))
        if found is not None:
            found.append(resource)
    return parts


@dataclass(frozen=True, slots=True)
class _Host:
    """What ways lead over. ``bridge_of``: the bridge of a container's address. ``routed``: bridges with a way in, by family.

    ``behind``: containers and families that other machines get no answer from.
    """

    bridges: Mapping[str, Bridge]
    policies: Mapping[str, NetworkPolicy]
    bridge_of: Mapping[tuple[str, str], str]
    routed: frozenset[tuple[str, int]]
    behind: frozenset[tuple[str, int]]

    @classmethod
    def of(cls, parts: Mapping[type, list[Any]]) -> _Host:
        ends = {(each.container, each.interface): each.bridge for each in parts[Endpoint]}
        bridge_of, routed = {}, set()
        for each in parts[Address]:
            if each.namespace:
                address = each.address.partition("/")[0]
                bridge_of[each.namespace, address] = ends.get((each.namespace, each.interface), "")
            elif each.routed:
                routed.add((each.interface, _family(each.address)))
        bridges = {each.interface: each for each in parts[Bridge]}
        policies = {each.interface: each for each in parts[NetworkPolicy]}
        behind = behind_gateways(each for kind in (Route, Address, Endpoint, SubInterface) for each in parts[kind])
        return cls(bridges, policies, bridge_of, frozenset(routed), behind)

    def leads_to(self, container: str, address: str) -> bool:
        """Whether the host has a way to that address; not where the network has no address of the host's."""
        bridge = self.bridge_of.get((container, address), "")
        return bridge not in self.bridges or (bridge, _family(address)) in self.routed

    def origins(self, container: str, family: int, sources: tuple[str, ...] = ()) -> tuple[str, ...]:
        """From where what the host leads on to the container is answered."""
        if (container, family) in self.behind:
            return (THIS_HOST,)
        return _origins(sources)


def _origins(sources: tuple[str, ...]) -> tuple[str, ...]:
    return (*sources, THIS_HOST) if sources else (ANY_MACHINE,)


def _family(address: str) -> int:
    return 6 if ":" in address else 4


def _published(port: PublishedPort, host: _Host) -> Iterator[Way]:
    if port.host_address == UNSERVED or not host.leads_to(port.container, port.target_address):
        return
    target = f"{port.target_port}/{port.protocol}"
    entrance = f"{port.host_port}/{port.protocol}"
    wildcard = 0 if port.routed else _WILDCARDS.get(port.host_address, 0)
    if port.routed:
        side, at = OWN, f"{OWN} {port.host_address}"
    else:
        place = f"every IPv{wildcard} address of the host" if wildcard else port.host_address
        side, at = f"{entrance} -> {target}", f"{entrance} on {place}"
    local = not port.routed and ip_address(port.host_address).is_loopback
    for origin in (THIS_HOST,) if local else host.origins(port.container, port.family, port.sources):
        addresses = _EVERYTHING[wildcard] if wildcard else port.host_address
        span = (port.protocol, port.target_port, port.target_port)
        yield Way(port.container, target, side, at, origin, addresses, span, wildcard, port.source)


def _opened(opening: Opening) -> Iterator[Way]:
    span = (opening.protocol, opening.first, opening.last)
    ports = f"{opening.ports}/{opening.protocol}"
    for origin in _origins(opening.sources):
        at = "every address of the host"
        yield Way(opening.container, ports, "opened", at, origin, span=span, source=opening.source)


def _floating(floating: FloatingPolicy, host: _Host) -> Iterator[Way]:
    if host.leads_to(floating.container, floating.target_address):
        (origin,) = host.origins(floating.container, _family(floating.target_address))
        yield Way(
            floating.container,
            EVERY_PORT,
            "floating",
            floating.address,
            origin,
            floating.address,
            source=floating.source,
        )


def _allowed(allow: AllowPolicy, host: _Host) -> Iterator[Way]:
    target, origin = host.bridges.get(allow.target_interface), host.bridges.get(allow.interface)
    name = f"network {target.network_name if target else allow.target_name or allow.target_interface}"
    members = f"members of network {origin.network_name if origin else allow.network}"
    for ports, span in zip(allow.record()["ports"], allow.ports, strict=True):
        yield Way(name, ports, members, "", members, span=span, source=allow.source)
    if not allow.ports:
        yield Way(name, EVERY_PORT, members, "", members, source=allow.source)


def _on_bridge(link: Endpoint, host: _Host) -> Iterator[Way]:
    if not (link.interface and link.host_interface and link.bridge):
        # A half that was found alone, or a pair that is on no bridge, leads nowhere.
        return
    policy = host.policies.get(link.bridge)
    if policy is None or policy.icc:
        members = f"members of network {link.network_name}"
        yield Way(link.container, EVERY_PORT, members, "", members, source=link.source)
    if policy is None or policy.internal:
        return
    for subnet in policy.subnets:
        family = _family(subnet)
        if (link.container, family) not in host.behind and (link.bridge, family) in host.routed:
            for at, origin in _from_elsewhere(policy, family, link.network_name):
                yield Way(link.container, EVERY_PORT, OWN, at, origin, subnet, source=link.source)


def _from_elsewhere(policy: NetworkPolicy, family: int, network_name: str) -> Iterator[tuple[str, str]]:
    """Where members of a network are met at their own addresses, and from where."""
    mode = policy.mode4 if family == 4 else policy.mode6  # noqa: PLR2004  # the family
    if mode == "nat-unprotected":
        yield f"its own IPv{family} address on {network_name}", ANY_MACHINE
    for interface in policy.trusted_interfaces:
        yield f"its own address on {network_name}", f"machines behind {interface}"


def _on_parent(link: SubInterface) -> Iterator[Way]:
    at = f"its own address on {link.network_name}"
    origins = [f"members of network {link.network_name}"]
    origins += [] if link.internal else [f"machines on the host's {link.parent}"]
    for origin in origins:
        yield Way(link.container, EVERY_PORT, "on a parent", at, origin, source=link.source)


def _on_host(joined: Joined) -> Way:
    origin = "wherever the host's own firewall lets in"
    return Way(joined.container, EVERY_PORT, "in host mode", "the host's addresses", origin, source=joined.source)
