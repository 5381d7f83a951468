"""What can be reached from where, and what a plan changes of it: a pure function of two states.

It tells what is asked for and what netapply does for it. Whether the host's own firewall lets it
through stands in the plan's warnings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import groupby
from typing import Any

from reconciler.errors import Source
from reconciler.firewall.allow import AllowPolicy
from reconciler.firewall.opening import Opening
from reconciler.firewall.policy import UNSERVED, NetworkPolicy, PublishedPort
from reconciler.firewall.translation import FloatingPolicy
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.joined import Joined
from reconciler.resources.sub_interface import SubInterface
from reconciler.state import State

ANY_MACHINE = "any machine"
THIS_HOST = "this host only"
EVERY_PORT = "every port"
_ALL4, _ALL6 = "0.0.0.0", "::"  # noqa: S104  # compared, never bound
_EVERY_ADDRESS = {
    frozenset({_ALL4, _ALL6}): "every address of the host",
    frozenset({_ALL4}): "every IPv4 address of the host",
    frozenset({_ALL6}): "every IPv6 address of the host",
}


@dataclass(frozen=True, slots=True, order=True)
class Exposed:
    """One way to reach something.

    ``target`` is ``stack/container``, or a network where all its members are meant, and ``port`` what of it is
    reached (``80/tcp``, ``every port``). ``at`` is where somebody meets it (``8080/tcp on every address of the
    host``), empty where that is its own address. ``origin`` is from where: ``any machine``, ``this host only``,
    ``members of network front``, or the sources.
    """

    target: str
    port: str
    at: str
    origin: str
    source: Source | None = field(default=None, compare=False)

    def __str__(self) -> str:
        way = f"{self.at} -> " if self.at else ""
        return f"from {self.origin}: {way}{self.port} of {self.target}"

    def record(self) -> dict[str, str]:
        """For JSON."""
        return {"target": self.target, "port": self.port, "at": self.at, "from": self.origin}


@dataclass(frozen=True, slots=True)
class Exposure:
    """What becomes reachable, and what stops being so; both sorted."""

    opened: tuple[Exposed, ...] = ()
    closed: tuple[Exposed, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.opened or self.closed)


_SHOWN = 8
"""How many names a line has; the containers that are new stand elsewhere in the plan, each by itself."""


def lines(ways: Iterable[Exposed]) -> tuple[str, ...]:
    """The ways in words, sorted; what is reached in the same way from the same place is one line."""
    ordered = sorted(ways, key=lambda way: (way.origin, way.at, way.port, way.target))
    found = []
    for _, group in groupby(ordered, key=lambda way: (way.origin, way.at, way.port)):
        alike = list(group)
        first = alike[0]
        targets = ", ".join(way.target for way in alike[:_SHOWN])
        more = f" and {len(alike) - _SHOWN} more" if len(alike) > _SHOWN else ""
        found.append(str(Exposed(targets + more, first.port, first.at, first.origin)))
    return tuple(found)


def difference(before: State, after: State) -> Exposure:
    """What changes when the one becomes the other."""
    old, new = exposed(before), exposed(after)
    return Exposure(tuple(sorted(new - old)), tuple(sorted(old - new)))


def exposed(state: State) -> frozenset[Exposed]:
    """Everything that can be reached in this state, from wherever."""
    parts = _parts(state)
    bridges: dict[str, Bridge] = {each.interface: each for each in parts[Bridge]}
    policies: dict[str, NetworkPolicy] = {each.interface: each for each in parts[NetworkPolicy]}
    return frozenset(
        (
            *_published(parts[PublishedPort]),
            *(_opened(each) for each in parts[Opening]),
            *(_floating(each) for each in parts[FloatingPolicy]),
            *(_allowed(each, bridges) for each in parts[AllowPolicy]),
            *(way for each in parts[Endpoint] for way in _on_bridge(each, policies)),
            *(_on_parent(each) for each in parts[SubInterface] if each.network),
            *(_on_host(each) for each in parts[Joined] if not each.namespace),
        )
    )


_KINDS = (PublishedPort, Opening, FloatingPolicy, AllowPolicy, NetworkPolicy, Bridge, Endpoint, SubInterface, Joined)


def _parts(state: State) -> Mapping[type, list[Any]]:
    """The resources that matter here, by their class: one pass over a state that may have thirty thousand."""
    parts: dict[type, list[Any]] = {kind: [] for kind in _KINDS}
    find: Callable[[type], list[Any] | None] = parts.get
    for resource in state:
        found = find(type(resource))
        if found is not None:
            found.append(resource)
    return parts


def _published(ports: Iterable[PublishedPort]) -> Iterator[Exposed]:
    """Ports; one that is published on all addresses of both families alike is one way."""
    everywhere: dict[tuple[str, str, int, int], dict[str, PublishedPort]] = {}
    for port in ports:
        if port.host_address == UNSERVED:
            continue
        if not port.routed and port.host_address in {_ALL4, _ALL6}:
            place = (port.container, port.protocol, port.host_port, port.target_port)
            everywhere.setdefault(place, {})[port.host_address] = port
        else:
            yield _way(port, _place(port), _origin(port))
    for found in everywhere.values():
        origins = {_origin(port) for port in found.values()}
        if len(origins) == 1:
            yield _way(next(iter(found.values())), _EVERY_ADDRESS[frozenset(found)], origins.pop())
        else:
            for address, port in found.items():
                yield _way(port, _EVERY_ADDRESS[frozenset({address})], _origin(port))


def _way(port: PublishedPort, place: str, origin: str) -> Exposed:
    at = f"{port.host_port}/{port.protocol} on {place}" if not port.routed else place
    return Exposed(port.container, f"{port.target_port}/{port.protocol}", at, origin, port.source)


def _place(port: PublishedPort) -> str:
    return f"its own address {port.host_address}" if port.routed else port.host_address


def _origin(port: PublishedPort) -> str:
    if not port.routed and ip_address(port.host_address).is_loopback:
        return THIS_HOST
    return _sources(port.sources)


def _sources(sources: Iterable[str]) -> str:
    found = ", ".join(sources)
    return f"{found} and this host" if found else ANY_MACHINE


def _opened(opening: Opening) -> Exposed:
    at = "every address of the host"
    return Exposed(
        opening.container, f"{opening.ports}/{opening.protocol}", at, _sources(opening.sources), opening.source
    )


def _floating(floating: FloatingPolicy) -> Exposed:
    return Exposed(floating.container, EVERY_PORT, floating.address, ANY_MACHINE, floating.source)


def _allowed(allow: AllowPolicy, bridges: Mapping[str, Bridge]) -> Exposed:
    target, origin = bridges.get(allow.target_interface), bridges.get(allow.interface)
    name = target.network_name if target else allow.target_name or allow.target_interface
    ports = ", ".join(allow.record()["ports"]) or EVERY_PORT
    members = f"members of network {origin.network_name if origin else allow.network}"
    return Exposed(f"network {name}", ports, "", members, allow.source)


def _on_bridge(link: Endpoint, policies: Mapping[str, NetworkPolicy]) -> Iterator[Exposed]:
    if not (link.interface and link.host_interface and link.bridge):
        # A half that was found alone, or a pair that is on no bridge, leads nowhere.
        return
    policy = policies.get(link.bridge)
    if policy is None or policy.icc:
        yield Exposed(link.container, EVERY_PORT, "", f"members of network {link.network_name}", link.source)
    if policy is None or policy.internal:
        return
    families = [word for mode, word in ((policy.mode4, "IPv4"), (policy.mode6, "IPv6")) if mode == "nat-unprotected"]
    has = {"IPv6" if ":" in subnet else "IPv4" for subnet in policy.subnets}
    for word in families:
        if word in has:
            at = f"its own {word} address on {link.network_name}"
            yield Exposed(link.container, EVERY_PORT, at, ANY_MACHINE, link.source)
    if policy.trusted_interfaces:
        origin = f"machines behind {', '.join(policy.trusted_interfaces)}"
        yield Exposed(link.container, EVERY_PORT, f"its own address on {link.network_name}", origin, link.source)


def _on_parent(link: SubInterface) -> Exposed:
    origin = f"members of network {link.network_name}"
    if not link.internal:
        origin += f" and machines on the host's {link.parent}"
    return Exposed(link.container, EVERY_PORT, f"its own address on {link.network_name}", origin, link.source)


def _on_host(joined: Joined) -> Exposed:
    origin = "wherever the host's own firewall lets in"
    return Exposed(joined.container, EVERY_PORT, "the host's addresses", origin, joined.source)
