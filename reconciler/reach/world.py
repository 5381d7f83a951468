"""Where packets can be: namespaces with their interfaces and routes, and what connects them.

A place is '' for the host, ``stack/name`` for a sandbox, ``netns:NAME`` for a namespace that is not ours, and
``OUTSIDE`` for any other machine. A segment is what frames pass without a router: a bridge of ours, or a LAN of the host.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from reconciler.errors import Source
from reconciler.observation import Facts
from reconciler.reach.packet import bare, family_of
from reconciler.resources.address import Address
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.host_address import HostAddress
from reconciler.resources.joined import FOREIGN, Joined
from reconciler.resources.namespace import Namespace
from reconciler.resources.process import Process
from reconciler.resources.route import Route
from reconciler.resources.router_rules import RouterRules
from reconciler.resources.shim import Shim, ShimRoute
from reconciler.resources.source_route import SourceRoute
from reconciler.resources.sub_interface import SubInterface
from reconciler.resources.sysctl import Sysctl
from reconciler.state import State

HOST: Final = ""
OUTSIDE: Final = "outside"
FORWARDING: Final = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}

_ASSUMED: Final = ("outside", {4: "192.0.2.1/24", 6: "2001:db8::1/64"})
"""The host's LAN where nobody looked at the host (RFC 5737, RFC 3849)."""
_INNER_KINDS: Final = frozenset({"bridge", "dummy"})
"""Links of the host that hardly lead to other machines."""


class Segment(NamedTuple):
    """A bridge of ours (``is_bridge``) or the LAN of a host's interface, by the interface's name on the host."""

    is_bridge: bool
    name: str


def bridge_segment(interface: str) -> Segment:
    """That bridge of ours."""
    return Segment(is_bridge=True, name=interface)


def lan(interface: str) -> Segment:
    """The LAN of that interface of the host."""
    return Segment(is_bridge=False, name=interface)


@dataclass(frozen=True, slots=True)
class Interface:
    """``name`` in ``place``, on ``segment``; None: it leads nowhere, as ``trouble`` says.

    ``kind`` is veth, bridge, host, shim, macvlan or ipvlan; ``mode`` that of the latter, with its flag.
    Addresses have a prefix length. ``port`` is the host's end of a veth, and ``hairpin`` whether the bridge sends back
    by it what came in there.
    """

    place: str
    name: str
    segment: Segment | None
    kind: str
    addresses: tuple[str, ...] = ()
    mode: str = ""
    trouble: str = ""
    source: Source | None = None
    port: str = ""
    hairpin: bool = True

    def of_family(self, family: int) -> list[str]:
        """Its addresses of one family."""
        return [address for address in self.addresses if family_of(address) == family]


@dataclass(slots=True)
class World:
    """A state, indexed for following packets through it."""

    state: State
    facts: Facts
    interfaces: dict[str, dict[str, Interface]] = field(default_factory=lambda: defaultdict(dict))
    members: dict[Segment, list[Interface]] = field(default_factory=lambda: defaultdict(list))
    routes: dict[str, list[Route]] = field(default_factory=lambda: defaultdict(list))
    source_routes: dict[str, list[SourceRoute]] = field(default_factory=lambda: defaultdict(list))
    shim_routes: list[ShimRoute] = field(default_factory=list)
    bridges: dict[str, Bridge] = field(default_factory=dict)
    networks: dict[Segment, str] = field(default_factory=dict)
    sysctls: dict[tuple[str, str], Sysctl] = field(default_factory=dict)
    routers: dict[str, RouterRules] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)
    """By container, the place whose network it uses."""
    sandboxes: dict[str, Namespace] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    """Places of ours in which containers should be, and which are not there any more."""
    local: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By place, its addresses without prefix length."""
    holders: dict[tuple[Segment, str], list[Interface]] = field(default_factory=lambda: defaultdict(list))
    """By segment and address without prefix length, the interfaces there that have it."""
    owners: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By address, the places that have it."""
    unrouted: set[tuple[str, str, str]] = field(default_factory=set)
    """Place, interface and address (with prefix length) whose connected route somebody deleted."""
    uplinks: dict[int, Interface] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def label(self, place: str) -> str:
        """The place for people."""
        if place == HOST:
            return "host"
        if place == OUTSIDE:
            return OUTSIDE
        return (
            f"namespace {place.removeprefix(FOREIGN)}"
            if place.startswith(FOREIGN)
            else f"container {self.short(place)}"
        )

    def short(self, container: str) -> str:
        """The container's name; with its stack where another stack has one of that name."""
        return self.names.get(container, container)

    def segment_label(self, segment: Segment) -> str:
        """The segment for people."""
        name = self.networks.get(segment, "")
        return f"network {name}" if name else f"LAN of {segment.name}"

    def forwards(self, place: str, family: int) -> Sysctl | None:
        """The setting that makes the place send on what is not for itself; None: it is not set."""
        setting = self.sysctls.get((place, FORWARDING[family]))
        return setting if setting is not None and setting.value == "1" else None

    def is_unrouted(self, interface: Interface, address: str) -> bool:
        """Whether that address of the interface has lost the route to its subnet."""
        return (interface.place, interface.name, address) in self.unrouted

    def owns(self, place: str, address: str) -> bool:
        """Whether the place takes what is sent to that address."""
        return address in self.local[place] or (address.startswith("127.") or address == "::1")


def world(state: State, facts: Facts) -> World:
    """The index of a state among those facts."""
    made = World(state, facts)
    parts: defaultdict[type, list[Any]] = defaultdict(list)
    for resource in state:
        parts[type(resource)].append(resource)
    addresses: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for address in parts[Address]:
        addresses[address.place, address.interface].append(address.address)
        if not address.routed:
            made.unrouted.add((address.namespace, address.interface, address.address))
    _add_homes(made, parts)
    for bridge in parts[Bridge]:
        made.bridges[bridge.interface] = bridge
        made.networks[bridge_segment(bridge.interface)] = bridge.network_name
    for interface in (*_on_host(made, parts, addresses), *_in_sandboxes(parts, addresses)):
        _add_interface(made, interface)
    for route in parts[Route]:
        made.routes[route.container].append(route)
    for source_route in parts[SourceRoute]:
        made.source_routes[source_route.container].append(source_route)
    made.shim_routes = parts[ShimRoute]
    made.sysctls = {(setting.namespace, setting.name): setting for setting in parts[Sysctl]}
    made.routers = {rules.container: rules for rules in parts[RouterRules]}
    _add_uplinks(made)
    return made


def _add_interface(made: World, interface: Interface) -> None:
    made.interfaces[interface.place][interface.name] = interface
    for address in interface.addresses:
        made.local[interface.place].add(bare(address))
        made.owners[bare(address)].add(interface.place)
        if interface.segment:
            made.holders[interface.segment, bare(address)].append(interface)
    if interface.segment:
        made.members[interface.segment].append(interface)


def _add_homes(made: World, parts: Mapping[type, list[Any]]) -> None:
    for process in parts.get(Process, ()):
        made.homes[process.container] = process.namespace
    for link in (*parts.get(Endpoint, ()), *parts.get(SubInterface, ())):
        made.homes[link.container] = link.container
    for sandbox in parts.get(Namespace, ()):
        made.sandboxes[sandbox.container] = sandbox
        made.homes[sandbox.container] = sandbox.container
    for joined in parts.get(Joined, ()):
        made.homes[joined.container] = joined.namespace
    made.gone = {place for place in made.homes.values() if _is_gone(made, place)}
    by_name: defaultdict[str, list[str]] = defaultdict(list)
    for container in made.homes:
        by_name[container.partition("/")[2]].append(container)
    made.names = {
        container: name if len(found) == 1 else container for name, found in by_name.items() for container in found
    }


def _is_gone(made: World, place: str) -> bool:
    """Whether nothing is left of a sandbox but what stood outside of it, or a name that leads nowhere."""
    if place == HOST or place.startswith(FOREIGN):
        return False
    sandbox = made.sandboxes.get(place)
    return sandbox is None or not (sandbox.pinned or sandbox.where)


def _on_host(
    made: World, parts: Mapping[type, list[Any]], addresses: Mapping[tuple[str, str], list[str]]
) -> Iterable[Interface]:
    for bridge in made.bridges.values():
        given = tuple(addresses.get((bridge.network, bridge.interface), ()))
        trouble = "" if bridge.up else f"bridge {bridge.interface} is down"
        segment = bridge_segment(bridge.interface)
        yield Interface(HOST, bridge.interface, segment, "bridge", given, trouble=trouble, source=bridge.source)
    for shim in parts.get(Shim, ()):
        given = tuple(addresses.get((shim.network, shim.interface), ()))
        mode, trouble = _mode(shim), "" if shim.up else f"{shim.interface} is down"
        yield Interface(HOST, shim.interface, lan(shim.parent), shim.driver, given, mode, trouble, shim.source)
    lans: defaultdict[str, list[str]] = defaultdict(list)
    for name, address in _host_networks(made.facts):
        lans[name].append(address)
    for each in parts.get(HostAddress, ()):
        lans[each.interface].append(f"{each.address}/{128 if ':' in each.address else 32}")
    down = {link.name for link in made.facts.links if not link.up}
    for name, given_there in lans.items():
        trouble = f"the host's {name} is down" if name in down else ""
        yield Interface(HOST, name, lan(name), "host", tuple(given_there), trouble=trouble)


def _host_networks(facts: Facts) -> Iterable[tuple[str, str]]:
    yield from facts.host_networks
    if not facts.host_id:
        name, addresses = _ASSUMED
        there = {family_of(address) for _, address in facts.host_networks}
        yield from ((name, address) for family, address in addresses.items() if family not in there)


def _in_sandboxes(
    parts: Mapping[type, list[Any]], addresses: Mapping[tuple[str, str], list[str]]
) -> Iterable[Interface]:
    for end in parts.get(Endpoint, ()):
        if not end.interface:
            continue
        trouble = _trouble(end)
        segment = bridge_segment(end.bridge) if end.bridge else None
        given = tuple(addresses.get((end.container, end.interface), ()))
        yield Interface(
            end.container,
            end.interface,
            segment,
            "veth",
            given,
            trouble=trouble,
            source=end.source,
            port=end.host_interface,
            hairpin=end.hairpin,
        )
    for link in parts.get(SubInterface, ()):
        trouble = "" if link.up else f"{link.interface} is down"
        given = tuple(addresses.get((link.container, link.interface), ()))
        segment = lan(link.parent)
        yield Interface(link.container, link.interface, segment, link.driver, given, _mode(link), trouble, link.source)


def _trouble(end: Endpoint) -> str:
    if not end.host_interface:
        return f"{end.interface} has lost its other half on the host"
    if not end.bridge:
        return f"{end.host_interface}, the host's end of {end.interface}, is on no bridge"
    if not end.up:
        return f"{end.interface} is down"
    return "" if end.host_up else f"{end.host_interface}, the host's end of {end.interface}, is down"


def _mode(link: Shim | SubInterface) -> str:
    return f"{link.mode} {link.flag}".strip()


def _add_uplinks(made: World) -> None:
    """Where the host sends what no route that we know of leads to: its routes are its own, so this is a guess."""
    kinds = {link.name: link.kind for link in made.facts.links}
    own = [each for each in made.interfaces[HOST].values() if each.kind == "host" and each.name != "lo"]
    for family in (4, 6):
        found = sorted(
            (each for each in own if each.of_family(family)), key=lambda i: kinds.get(i.name, "") in _INNER_KINDS
        )
        if found:
            made.uplinks[family] = found[0]
