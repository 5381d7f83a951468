"""What stands on a host and how it hangs together, with a mark on what differs between two states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from reconciler.firewall.allow import AllowPolicy
from reconciler.firewall.opening import Opening
from reconciler.firewall.policy import PublishedPort
from reconciler.firewall.translation import EgressPolicy, FloatingPolicy
from reconciler.resources.joined import place_words
from reconciler.state import HOST_OWNER, Resource, State
from reconciler.views import homes
from reconciler.views.networks import NetworkView, networks
from reconciler.views.places import Place, places

Key = TypeVar("Key", str, tuple[str, str])


class Mark(StrEnum):
    """What becomes of a part."""

    SAME = ""
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


SIGNS: Mapping[Mark, str] = {Mark.SAME: "", Mark.ADDED: "+ ", Mark.CHANGED: "~ ", Mark.REMOVED: "- "}
"""The same for eyes that tell no colours."""


@dataclass(frozen=True, slots=True, order=True)
class Port:
    """A way into a container from outside, in words: ``8080 -> 80/tcp``."""

    text: str
    mark: Mark = Mark.SAME


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """A container's place on the network of that identity; ``addresses`` are without prefix length."""

    network: str
    interface: str
    addresses: tuple[str, ...]
    mark: Mark = Mark.SAME


@dataclass(frozen=True, slots=True)
class Container:
    """``identity`` is ``stack/name``. ``home`` says whose network it uses, empty for its own."""

    identity: str
    home: str
    members: tuple[Member, ...]
    ports: tuple[Port, ...]
    mark: Mark = Mark.SAME


@dataclass(frozen=True, slots=True)
class Network:
    """``identity`` is that of ``views.networks``; ``words`` are its subnets and what is special about it."""

    identity: str
    name: str
    words: tuple[str, ...]
    mark: Mark = Mark.SAME


@dataclass(frozen=True, slots=True, order=True)
class Allowance:
    """Members of one network may open connections to those of another; ``ports`` in words."""

    network: str
    target: str
    ports: str
    mark: Mark = Mark.SAME


@dataclass(frozen=True, slots=True)
class Topology:
    """Networks and containers, each sorted by identity."""

    networks: tuple[Network, ...]
    containers: tuple[Container, ...]
    allowances: tuple[Allowance, ...]


def topology(after: State, before: State | None = None, stacks: frozenset[str] | None = None) -> Topology:
    """What is in either state, marked with what becomes of it; without ``before`` nothing is marked.

    ``stacks``: only these, and the networks that their containers are on.
    """
    before = after if before is None else before
    old, new = _Picture(before), _Picture(after)
    differing = _differing(before, after)
    containers = [
        _container(name, old, new, differing)
        for name in sorted({*old.containers, *new.containers})
        if stacks is None or name.partition("/")[0] in stacks
    ]
    allowances = [
        Allowance(
            *ends,
            _either(new.allowances.get(ends), old.allowances.get(ends)),
            _mark(ends, old.allowances, new.allowances),
        )
        for ends in sorted({*old.allowances, *new.allowances})
        if stacks is None or ends[0].partition("/")[0] in stacks
    ]
    used = {member.network for each in containers for member in each.members}
    used |= {end for each in allowances for end in (each.network, each.target)}
    return Topology(
        tuple(
            _network(name, old, new, differing)
            for name in sorted({*old.networks, *new.networks})
            if name in used or _wanted(_either(new.networks.get(name), old.networks.get(name)), stacks)
        ),
        tuple(containers),
        tuple(allowances),
    )


def marked(topology: Topology) -> Topology:
    """The part of it that changes: the containers of which anything is marked, and the networks that they are on."""
    containers = tuple(each for each in topology.containers if _is_marked(each))
    used = {member.network for each in containers for member in each.members}
    allowances = tuple(each for each in topology.allowances if each.mark is not Mark.SAME)
    used |= {end for each in allowances for end in (each.network, each.target)}
    found = tuple(each for each in topology.networks if each.mark is not Mark.SAME or each.identity in used)
    return Topology(found, containers, allowances)


def _is_marked(container: Container) -> bool:
    marks = (container.mark, *(each.mark for each in container.members), *(each.mark for each in container.ports))
    return any(mark is not Mark.SAME for mark in marks)


def _wanted(view: NetworkView, stacks: frozenset[str] | None) -> bool:
    """Whether a network that nobody is on is shown: the predefined ones only with members."""
    return view.stack is not None and (stacks is None or view.stack in stacks)


class _Picture:
    """One state, by identity."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.containers = frozenset(homes.names(state))
        self.networks = {view.id: view for view in networks(state)}
        self.places: dict[str, list[Place]] = {}
        for place in places(state):
            self.places.setdefault(place.container, []).append(place)
        self.ports: dict[str, dict[str, Resource]] = {}
        self.allowances: dict[tuple[str, str], str] = {}
        by_interface = {view.interface: view.id for view in self.networks.values() if view.interface}
        for resource in state:
            match resource:
                case PublishedPort() | Opening() | FloatingPolicy() | EgressPolicy():
                    self.ports.setdefault(resource.container, {}).setdefault(port_text(resource), resource)
                case AllowPolicy():
                    ends = resource.network, by_interface.get(resource.target_interface, resource.target_interface)
                    self.allowances[ends] = ", ".join(resource.record()["ports"]) or "every port"


PORTS = (PublishedPort, Opening, FloatingPolicy, EgressPolicy)
"""What counts as a port of a container."""


def port_text(port: PublishedPort | Opening | FloatingPolicy | EgressPolicy) -> str:
    """``8080 -> 80/tcp``; what stands on all addresses of both families is the same."""
    match port:
        case PublishedPort(routed=True):
            return f"{port.target_port}/{port.protocol} at its own address"
        case PublishedPort():
            everywhere = port.host_address in {"0.0.0.0", "::"}  # noqa: S104  # compared, never bound
            host = f"[{port.host_address}]" if ":" in port.host_address else port.host_address
            where = "" if everywhere else f"{host}:"
            return f"{where}{port.host_port} -> {port.target_port}/{port.protocol}"
        case Opening():
            return f"open {port.ports}/{port.protocol}"
        case FloatingPolicy():
            return f"{port.address} -> every port"
        case EgressPolicy():
            return f"leaves as {port.address}"


def _differing(before: State, after: State) -> frozenset[tuple[str, str]]:
    """Owner and subject of all that differs."""
    found = set()
    for first, second in ((before, after), (after, before)):
        for key, resource in first.items():
            if second.get(key) != resource:
                found.add((resource.owner, resource.subject))
    return frozenset(found)


def _container(name: str, old: _Picture, new: _Picture, differing: frozenset[tuple[str, str]]) -> Container:
    mark = _mark(name, old.containers, new.containers)
    stack, _, short = name.partition("/")
    if mark is Mark.SAME and (stack, f"container {short}") in differing:
        mark = Mark.CHANGED
    picture = new if name in new.containers else old
    home = homes.home_of(picture.state, name)
    return Container(
        name,
        "" if home == name else f"network of {place_words(stack, home)}",
        tuple(_members(old.places.get(name, ()), new.places.get(name, ()))),
        tuple(_ports(old.ports.get(name, {}), new.ports.get(name, {}))),
        mark,
    )


def _members(old: Iterable[Place], new: Iterable[Place]) -> Iterator[Member]:
    before, after = (
        {(each.network, each.seen.interface): _addresses(each) for each in places} for places in (old, new)
    )
    for place in sorted({*before, *after}):
        yield Member(*place, _either(after.get(place), before.get(place)), _mark(place, before, after))


def _addresses(place: Place) -> tuple[str, ...]:
    return tuple(each.partition("/")[0] for each in (place.seen.ipv4, place.seen.ipv6) if each)


def _ports(old: Mapping[str, Resource], new: Mapping[str, Resource]) -> Iterator[Port]:
    for text in sorted({*old, *new}):
        yield Port(text, _mark(text, old, new))


def _network(name: str, old: _Picture, new: _Picture, differing: frozenset[tuple[str, str]]) -> Network:
    view: NetworkView = _either(new.networks.get(name), old.networks.get(name))
    # Not the views: who joins is not the network's change.
    mark = _mark(name, frozenset(old.networks), frozenset(new.networks))
    if mark is Mark.SAME and (view.stack or HOST_OWNER, f"network {view.key}") in differing:
        mark = Mark.CHANGED
    words = [each.subnet for each in view.subnets]
    if view.driver != "bridge":
        words.append(f"{view.driver} on {view.interface}")
    if view.internal:
        words.append("internal")
    return Network(name, view.name, tuple(words), mark)


def _mark(key: Key, old: Mapping[Key, object] | frozenset[Key], new: Mapping[Key, object] | frozenset[Key]) -> Mark:
    if key not in old:
        return Mark.ADDED
    if key not in new:
        return Mark.REMOVED
    if isinstance(old, Mapping) and isinstance(new, Mapping) and old[key] != new[key]:
        return Mark.CHANGED
    return Mark.SAME


def _either(first: Any | None, second: Any | None) -> Any:
    """The one that is there; the first if both are."""
    found = first if first is not None else second
    if found is None:
        message = "neither is there"
        raise ValueError(message)
    return found
