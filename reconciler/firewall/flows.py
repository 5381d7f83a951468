"""Which tracked connections end with a change of policy: a flow keeps the translation that it began with.

A UDP client with a fixed port would talk to the old container for ever, and who may no longer
use a port would go on as long as the connection lasts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from reconciler.firewall.allow import AllowPolicy, Span
from reconciler.firewall.opening import Opening
from reconciler.firewall.pair import Pair
from reconciler.firewall.policy import PublishedPort
from reconciler.firewall.translation import EgressPolicy, FloatingPolicy
from reconciler.state import Resource

NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}
"""Protocol numbers (IANA)."""


class Way(NamedTuple):
    """One direction of an entry of connection tracking; ports are 0 where the protocol has none."""

    protocol: int
    source: bytes
    source_port: int
    destination: bytes
    destination_port: int


@dataclass(frozen=True, slots=True)
class PortFlow:
    """What goes to a port of the host.

    ``address`` is the host's, ``0.0.0.0`` or ``::`` for any. ``target``: container address
    and port that the entries lead to; None for those that end at the host itself, because the
    port was not published when they began. What comes from ``kept`` (subnets), or from the
    host itself if there are any, stays.
    """

    protocol: str
    address: str
    port: int
    target: tuple[str, int] | None
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenFlow:
    """What goes to ports of the host itself from elsewhere, but for ``kept``: spans of ports with their sources."""

    protocol: str
    first: int
    last: int
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FloatingFlow:
    """What goes to ``address`` and ends at ``target``."""

    address: str
    target: str


@dataclass(frozen=True, slots=True)
class EgressFlow:
    """What ``source`` sends and leaves the host with another address than its own or ``kept``."""

    source: str
    kept: str = ""


@dataclass(frozen=True, slots=True)
class BetweenFlow:
    """What was opened from the first subnets to the second, untranslated, but for ``kept`` ports."""

    subnets: tuple[str, ...]
    target_subnets: tuple[str, ...]
    kept: tuple[Span, ...] = ()


Flow = PortFlow | OpenFlow | FloatingFlow | EgressFlow | BetweenFlow


def flow_of(port: PublishedPort) -> PortFlow:
    """What went through a port that goes or moves."""
    return PortFlow(port.protocol, port.host_address, port.host_port, (port.target_address, port.target_port))


def untranslated(port: PublishedPort) -> PortFlow:
    """What went to the host itself before a port was published; it would go on doing so."""
    return PortFlow(port.protocol, port.host_address, port.host_port, None)


def ended_by(pairs: Iterable[Pair]) -> Iterator[Flow]:
    """What ends with these changes."""
    for before, after in pairs:
        match before or after:
            case PublishedPort():
                yield from _of_port(before, after)
            case Opening():
                yield from _of_opening(before, after)
            case FloatingPolicy() | EgressPolicy() | AllowPolicy():
                yield from _of_addresses(before, after)
            case _:
                pass


def _of_opening(before: Resource | None, after: Resource | None) -> Iterator[Flow]:
    kept = after.sources if isinstance(after, Opening) else ()
    if isinstance(before, Opening) and (after is None or kept):
        yield OpenFlow(before.protocol, before.first, before.last, kept)


def _of_addresses(before: Resource | None, after: Resource | None) -> Iterator[Flow]:
    match before, after:
        case FloatingPolicy(), _:
            yield FloatingFlow(before.address, before.target_address)
        case None, FloatingPolicy():
            # The address may have been the host's own for a moment.
            yield FloatingFlow(after.address, after.address)
        case _, EgressPolicy():
            yield EgressFlow(after.target_address, after.address)
        case EgressPolicy(), None:
            yield EgressFlow(before.target_address)
        case AllowPolicy(), AllowPolicy() if after.ports:
            yield BetweenFlow(before.subnets, before.target_subnets, after.ports)
        case AllowPolicy(), None:
            yield BetweenFlow(before.subnets, before.target_subnets)


def _of_port(before: Resource | None, after: Resource | None) -> Iterator[Flow]:
    match before, after:
        case PublishedPort(), PublishedPort():
            yield from _of_changed_port(before, after)
        case PublishedPort(), None:
            yield flow_of(before)
        case None, PublishedPort(routed=False):
            yield untranslated(after)


def _of_changed_port(old: PublishedPort, new: PublishedPort) -> Iterator[Flow]:
    if old.key != new.key or (old.target_address, old.target_port) != (new.target_address, new.target_port):
        yield flow_of(old)
        if old.key != new.key and not new.routed:
            yield untranslated(new)
    elif new.sources and old.sources != new.sources:
        target = (new.target_address, new.target_port)
        yield PortFlow(new.protocol, new.host_address, new.host_port, target, new.sources)


class Ended:
    """Flows, to be looked up by what an entry says; ``local`` are the host's own addresses, packed."""

    def __init__(self, flows: Iterable[Flow], local: Iterable[bytes] = ()) -> None:
        self._local = frozenset(local)
        self._ports: dict[tuple[int, int, bytes], list[PortFlow]] = {}
        self._others: list[Flow] = []
        self.families: set[int] = set()
        """4 and 6, as far as there is anything to look for."""
        for flow in flows:
            self._add(flow)

    def _add(self, flow: Flow) -> None:
        match flow:
            case PortFlow(address=address):
                packed = ip_address(address).packed
                key = (NUMBERS[flow.protocol], flow.port, packed if any(packed) else b"")
                self._ports.setdefault(key, []).append(flow)
                self.families.add(6 if ":" in address else 4)
            case OpenFlow():
                self._others.append(flow)
                self.families |= {4, 6}
            case FloatingFlow(address=text) | EgressFlow(source=text):
                self._others.append(flow)
                self.families.add(6 if ":" in text else 4)
            case BetweenFlow():
                self._others.append(flow)
                self.families |= {6 if ":" in subnet else 4 for subnet in flow.subnets}

    def has(self, original: Way, reply: Way) -> bool:
        """Whether an entry is of one of the flows."""
        for address in (original.destination, b""):
            for flow in self._ports.get((original.protocol, original.destination_port, address), ()):
                if self._is_of_port(flow, original, reply):
                    return True
        return any(self._is_of(flow, original, reply) for flow in self._others)

    def _is_of_port(self, flow: PortFlow, original: Way, reply: Way) -> bool:
        if flow.target is None:
            # Only what ends here: a connection through the host to that port elsewhere is none of its.
            return original.destination in self._local and _is_straight(original, reply)
        answered_by = (ip_address(flow.target[0]).packed, flow.target[1])
        return answered_by == (reply.source, reply.source_port) and not self._stays(original.source, flow.kept)

    def _stays(self, source: bytes, kept: Sequence[str]) -> bool:
        return bool(kept) and (source in self._local or _is_in(source, kept))

    def _is_of(self, flow: Flow, original: Way, reply: Way) -> bool:
        match flow:
            case OpenFlow(protocol, first, last, kept):
                here = original.destination in self._local and original.source not in self._local
                meant = original.protocol == NUMBERS[protocol] and first <= original.destination_port <= last
                return here and meant and _is_straight(original, reply) and not _is_in(original.source, kept)
            case FloatingFlow(address, target):
                return (original.destination, reply.source) == (ip_address(address).packed, ip_address(target).packed)
            case EgressFlow(source, kept_address):
                mine = original.source == ip_address(source).packed and original.destination == reply.source
                own = {original.source, ip_address(kept_address).packed if kept_address else b""}
                return mine and reply.destination not in own
            case BetweenFlow(subnets, target_subnets, kept_ports):
                between = _is_in(original.source, subnets) and _is_in(original.destination, target_subnets)
                return between and _is_straight(original, reply) and not _is_kept(original, kept_ports)
            case _:
                return False


def _is_straight(original: Way, reply: Way) -> bool:
    """Whether who was asked answers: its destination was not translated."""
    return (reply.source, reply.source_port) == (original.destination, original.destination_port)


def _is_in(address: bytes, subnets: Iterable[str]) -> bool:
    return any(ip_address(address) in ip_network(subnet) for subnet in subnets)


def _is_kept(original: Way, ports: Iterable[Span]) -> bool:
    return any(
        original.protocol == NUMBERS[protocol] and first <= original.destination_port <= last
        for protocol, first, last in ports
    )
