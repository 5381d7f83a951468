"""What our rules on the host do with a packet, in the order in which both backends ask.

The same decisions as in ``firewall/nftables_layout.py`` and ``firewall/iptables_layout.py``, on policies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from reconciler.errors import Source
from reconciler.firewall.allow import AllowPolicy
from reconciler.firewall.opening import Opening, origins
from reconciler.firewall.policy import FirewallBase, HostAccept, NetworkPolicy, PublishedPort
from reconciler.firewall.translation import EgressPolicy, FloatingPolicy
from reconciler.observation import Facts
from reconciler.reach.packet import Packet, family_of, within
from reconciler.state import State

_WILDCARDS: Final = {"0.0.0.0": 4, "::": 6}  # noqa: S104  # compared, never bound
_FAMILIES: Final = {"ip": 4, "ip6": 6}


class Track(StrEnum):
    """What connection tracking knows of a packet."""

    NEW = "new"
    REPLY = "reply"
    INVALID = "invalid"


class Ruling(NamedTuple):
    """Whether it passes, and which rule says so; without words no rule of ours had a say."""

    passes: bool
    what: str = ""
    source: Source | None = None


class Translation(NamedTuple):
    """The packet with another address, and what asked for it."""

    packet: Packet
    what: str
    source: Source | None = None


@dataclass(slots=True)
class Rules:
    """The firewall's policies of a state, indexed. ``base``: our table; None where there is none."""

    base: FirewallBase | None = None
    networks: dict[str, NetworkPolicy] = field(default_factory=dict)
    ports: dict[tuple[str, str, int], PublishedPort] = field(default_factory=dict)
    routed: dict[tuple[str, str, int], PublishedPort] = field(default_factory=dict)
    floating: dict[str, FloatingPolicy] = field(default_factory=dict)
    egress: dict[str, EgressPolicy] = field(default_factory=dict)
    allowed: dict[tuple[str, str], list[AllowPolicy]] = field(default_factory=lambda: defaultdict(list))
    openings: list[Opening] = field(default_factory=list)
    accepts: list[HostAccept] = field(default_factory=list)
    wanted: tuple[HostAccept, ...] = ()

    def target(self, packet: Packet) -> PublishedPort | FloatingPolicy | None:
        """What leads on what is sent to an address of the host: one address goes before all of them."""
        address, protocol, port = packet.destination, packet.protocol, packet.destination_port
        wildcard = "::" if packet.family == 6 else "0.0.0.0"  # noqa: PLR2004, S104  # the family; compared, never bound
        return (
            self.ports.get((address, protocol, port))
            or self.floating.get(address)
            or self.ports.get((wildcard, protocol, port))
        )

    def arriving(self, packet: Packet) -> Ruling:
        """Whether who sends it to a host address from elsewhere may use the port that is published there."""
        address, protocol, port = packet.destination, packet.protocol, packet.destination_port
        wildcard = "::" if packet.family == 6 else "0.0.0.0"  # noqa: PLR2004, S104  # as above
        for published in (self.ports.get((address, protocol, port)), self.ports.get((wildcard, protocol, port))):
            if published and published.sources and not _is_from(packet.source, published.sources):
                what = f"drop: port {port}/{protocol} is published {origins(published.sources)} only"
                return Ruling(False, f"{what}, not for {packet.source}", published.source)
        return Ruling(True)

    def spoofed(self, packet: Packet, into: str, track: Track) -> Ruling:
        """A source of another of our networks is dropped; answers pass."""
        network = self.networks.get(into)
        if track is Track.REPLY or network is None or _is_from(packet.source, network.subnets):
            return Ruling(True)
        for other in self.networks.values():
            if _is_from(packet.source, other.subnets):
                what = f"drop: {packet.source} is no address of network {network.network.partition('/')[2]}"
                return Ruling(False, what, network.source)
        return Ruling(True)

    def forwarded(self, packet: Packet, into: str, out: str, track: Track) -> Ruling:
        """What becomes of it between two interfaces of the host."""
        if into not in self.networks and out not in self.networks:
            return Ruling(True)
        if self.base is None:
            ruling = Ruling(True, "no rule: netapply's firewall table is missing, nothing keeps networks apart")
        else:
            ruling = self._judged(packet, into, out, track)
        missing = next(self._unaccepted("forward", packet.family), None)
        if ruling.passes and missing and (track is not Track.REPLY or self.base is None):
            return Ruling(False, _dropped_by(missing, "forwarded"), ruling.source)
        return ruling

    def _judged(self, packet: Packet, into: str, out: str, track: Track) -> Ruling:
        before, after = self.networks.get(into), self.networks.get(out)
        if before and into == out and before.icc:
            return Ruling(True, "within one network", before.source)
        spoofed = self.spoofed(packet, into, track)
        if not spoofed.passes:
            return spoofed
        allowance = self._allowance(packet, into, out)
        if allowance:
            return Ruling(True, f"allow: {allowance.describe()}", allowance.source)
        if track is Track.REPLY and (out, into) in self.allowed:
            return Ruling(True, "answer to what is allowed")
        for network in (before, after):
            if network and network.internal:
                return Ruling(False, f"drop: network {_name(network)} is internal", network.source)
        return self._between(packet, before, after, into, track)

    def _between(
        self, packet: Packet, before: NetworkPolicy | None, after: NetworkPolicy | None, into: str, track: Track
    ) -> Ruling:
        if packet in self.translated:
            return Ruling(True, "a published port")
        if before and before is after:
            return Ruling(False, f"drop: members of network {_name(before)} are kept apart (icc off)", before.source)
        if track is Track.REPLY:
            return Ruling(True, "answer of a connection")
        if track is Track.INVALID:
            return Ruling(False, "drop: an answer of no connection that the host knows (it came by another way)")
        if after is None:
            return Ruling(True, "outward", before.source if before else None)
        if into in after.trusted_interfaces:
            return Ruling(True, f"{into} is trusted by network {_name(after)}", after.source)
        return self._inward(packet, after)

    def _inward(self, packet: Packet, after: NetworkPolicy) -> Ruling:
        mode = after.mode6 if packet.family == 6 else after.mode4  # noqa: PLR2004  # the family
        if mode == "nat-unprotected":
            return Ruling(True, f"network {_name(after)} has gateway mode nat-unprotected", after.source)
        if mode != "routed":
            what = f"drop: addresses of network {_name(after)} are not reached from other networks or machines"
            return Ruling(False, f"{what} (gateway mode {mode}); publish the port, or allow the network", after.source)
        port = self.routed.get((packet.destination, packet.protocol, packet.destination_port))
        if port is None:
            what = f"drop: {packet.destination_port}/{packet.protocol} of {packet.destination} is not published"
            return Ruling(False, f"{what} (network {_name(after)} is routed)", after.source)
        if port.sources and not _is_from(packet.source, port.sources):
            what = f"drop: port {packet.destination_port}/{packet.protocol} is open {origins(port.sources)} only"
            return Ruling(False, f"{what}, not for {packet.source}", port.source)
        return Ruling(True, port.describe(), port.source)
