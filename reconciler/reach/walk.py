"""Follows one question to who answers, and the answer back, through routes, translation and filters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple, NoReturn

from reconciler.errors import Source
from reconciler.reach import routing
from reconciler.reach.packet import Packet
from reconciler.reach.routing import DeadEnd, Way
from reconciler.reach.rules import Rules
from reconciler.reach.ruling import Passage, Ruling, Track
from reconciler.reach.tracking import Arrived, Tracking
from reconciler.reach.verdict import Hop, Verdict
from reconciler.reach.world import FORWARDING, HOST, OUTSIDE, Segment, World

_IPV6: Final = 6
_LONGEST: Final = 16
"""Whatever passes more namespaces than this goes in a circle."""
GONE: Final = "its network namespace is gone; netapply up makes it again"


class Outsider(NamedTuple):
    """Another machine: its address, and the LAN of the host that it stands on."""

    address: str
    segment: Segment


class _StoppedError(Exception):
    """The packet goes no further; the last hop says why."""


@dataclass(slots=True)
class Walk:
    """One question and its answer. ``outsider`` is the machine outside that asks, or that was reached."""

    world: World
    rules: Rules
    outsider: Outsider | None = None
    _hops: list[Hop] = field(default_factory=list)
    _tracking: Tracking = field(default_factory=Tracking)
    _answering: bool = False
    _passed: list[tuple[str, Passage]] = field(default_factory=list)
    """Who sent the question on for others, and what its filter was asked."""
    _passed_back: set[str] = field(default_factory=set)
    _places: dict[tuple[str, str], None] = field(default_factory=dict)
    """Where it came to, and by which interface if it was to go on, in order."""

    def ask(self, origin: str, question: Packet) -> Verdict:
        """Whether the packet arrives from that place, and its answer comes back; an empty source is chosen here."""
        packet = question
        try:
            if origin in self.world.gone:
                self._stop(origin, GONE)
            packet = question if question.source else self._with_source(origin, question)
            place, arrived = self._travel(origin, packet)
            end = len(self._hops)
            self._answering = True
            back, answer = self._travel(place, arrived.answer())
            if (back, answer) != (origin, packet.answer()):
                self._stop(back, f"{answer.source} answers, who was not asked: {packet.destination} was")
            self._check_rest(packet)
        except _StoppedError:
            return Verdict(reachable=False, path=tuple(self._hops), asked=packet, places=tuple(self._places))
        # Where the way back is open, it says nothing new.
        path, places = tuple(self._hops[:end]), tuple(self._places)
        return Verdict(reachable=True, path=path, answered_by=place, asked=packet, places=places)

    def _with_source(self, origin: str, question: Packet) -> Packet:
        if self.world.owns(origin, question.destination):
            # Who asks an address of its own asks as that address.
            return question._replace(source=question.destination)
        way = self._way(origin, question)
        source = routing.source_for(way, question)
        if not source:
            self._stop(origin, f"has no IPv{question.family} address on {way.interface.name}", way.interface.source)
        return question._replace(source=source)

    def _travel(self, place: str, packet: Packet) -> tuple[str, Packet]:
        """Who takes the packet at last, and how it looks then."""
        came_by, sender = "", ("", "")
        for _ in range(_LONGEST):
            self._places[place, ""] = None
            if place == OUTSIDE:
                if came_by:
                    self._note(OUTSIDE, f"{packet} arrives as from {packet.source}; what answers there is not known")
                    return place, packet
                place, came_by = self._from_outside(packet)
                continue
            arrived = self._arrive(place, packet, came_by)
            packet = arrived.packet
            if self.world.owns(place, packet.destination):
                self._enter(place, came_by, arrived)
                return place, packet
            self._places[place, came_by] = None
            way = self._way(place, packet)
            turns = came_by == way.interface.name and self._turns(arrived, way)
            if came_by and not (turns and packet.family == _IPV6):
                self._check_forwarding(place, packet)
            self._note(place, way.what, way.source)
            passage = Passage(packet, came_by, way.interface.name, arrived.track, arrived.translated)
            if came_by:
                self._forward(place, passage)
            packet = self._leave(place, passage, way, arrived)
            before, sender = sender, (place, way.interface.name)
            place, came_by, packet = self._cross(place, way, packet)
            if turns and before == (place, came_by):
                self._check_hairpin(*before)
        return self._stop(place, f"what goes to {packet.destination} goes in a circle")

    def _from_outside(self, packet: Packet) -> tuple[str, str]:
        assert self.outsider is not None  # noqa: S101  # for the type checker: it asks, or was reached
        segment = self.outsider.segment
        found = routing.hearer_of_outside(self.world, segment, packet.destination)
        if isinstance(found, DeadEnd):
            self._stop(OUTSIDE, found.what, found.source)
        self._note(OUTSIDE, f"a machine with the address {packet.source} on the {self.world.segment_label(segment)}")
        return found.place, found.interface

    def _arrive(self, place: str, packet: Packet, came_by: str) -> Arrived:
        """Connection tracking, then the translation of the destination."""
        if came_by and packet.destination.startswith("127."):
            self._stop(place, "loopback addresses are not reached from elsewhere")
        known = self._tracking.known(place, packet, answering=self._answering)
        if known:
            return known
        if place != HOST or not self.rules.base or not self.world.owns(HOST, packet.destination):
            return Arrived(packet, packet, Track.NEW, translated=False)
        return self._translate(packet, came_by)

    def _translate(self, packet: Packet, came_by: str) -> Arrived:
        straight = Arrived(packet, packet, Track.NEW, translated=False)
        if packet.destination == "::1":
            return straight
        if came_by:
            ruling = self.rules.arriving(packet)
            if not ruling.passes:
                self._stop(HOST, ruling.what, ruling.source)
        target = self.rules.target(packet)
        if target is None:
            return straight
        port = getattr(target, "target_port", packet.destination_port)
        led = packet._replace(destination=target.target_address, destination_port=port)
        self._note(HOST, f"{target.describe()} (translated to {led})", target.source)
        return straight._replace(packet=led, translated=True)

    def _enter(self, place: str, came_by: str, arrived: Arrived) -> None:
        packet = arrived.packet
        ruling = Ruling(passes=True)
        if place == HOST:
            ruling = self.rules.entering(Passage(packet, came_by, "", arrived.track))
            if ruling.passes and not self._answering:
                ruling = self.rules.published_elsewhere(packet) or ruling
        sandbox = self.world.sandboxes.get(place)
        if not came_by and sandbox and not sandbox.up:
            ruling = Ruling(passes=False, what="lo is down", source=sandbox.source)
        if not ruling.passes:
            self._stop(place, ruling.what, ruling.source)
        self._tracking.note(place, arrived.came, packet, translated=arrived.translated)
        via = ruling.what if came_by else "stays within its network namespace, over lo"
        way = f"{via}; " if via else ""
        self._note(place, f"{way}{packet} arrives as from {packet.source}; whether a program listens is not looked at")

    def _check_forwarding(self, place: str, packet: Packet) -> None:
        if self.world.forwards(place, packet.family):
            return
        name = FORWARDING[packet.family].replace("/", ".")
        self._stop(place, f"does not forward: sysctl {name} = 1 is missing")

    def _way(self, place: str, packet: Packet) -> Way:
        found = routing.way_of(self.world, place, packet)
        if isinstance(found, DeadEnd):
            self._stop(place, found.what, found.source)
        return found

    def _forward(self, place: str, passage: Passage) -> None:
        ruling = self._ruling(place, passage)
        if not ruling.passes:
            self._stop(place, ruling.what, ruling.source)
        self._remember(place, passage)
        if ruling.what:
            self._note(place, ruling.what, ruling.source)

    def _remember(self, place: str, passage: Passage) -> None:
        if self._answering:
            self._passed_back.add(place)
        else:
            self._passed.append((place, passage))

    def _ruling(self, place: str, passage: Passage) -> Ruling:
        if place == HOST:
            return self.rules.forwarded(passage)
        router = self.world.routers.get(place)
        if router and router.intact and passage.track is Track.INVALID:
            return Ruling(passes=False, what="drop, it belongs to no connection that it knows", source=router.source)
        return Ruling(passes=True)

    def _leave(self, place: str, passage: Passage, way: Way, arrived: Arrived) -> Packet:
        """Translation of the source; what the answer must look like is remembered."""
        packet = passage.packet
        if arrived.track is not Track.NEW:
            return packet
        wanted = self._new_source(place, passage)
        if wanted is not None:
            address, what, source = wanted
            address = address or routing.source_for(way, packet)
            if not address:
                self._stop(place, f"has no IPv{packet.family} address on {way.interface.name} to send it with", source)
            if packet.source.startswith("127."):
                self._check_loopback_source(way)
            packet = self._tracking.free(place, packet._replace(source=address))
            self._note(place, f"leaves as {address}: {what}", source)
        self._tracking.note(place, arrived.came, packet, translated=arrived.translated)
        return packet

    def _new_source(self, place: str, passage: Passage) -> tuple[str, str, Source | None] | None:
        if place == HOST:
            return self.rules.leaving(passage)
        router = self.world.routers.get(place)
        if passage.into and router and router.intact:
            return "", router.describe(), router.source
        return None

    def _check_loopback_source(self, way: Way) -> None:
        bridge = self.world.bridges.get(way.interface.name)
        if bridge and not bridge.route_localnet:
            self._stop(
                HOST, f"127.0.0.1 does not leave by {bridge.interface}: its route_localnet is off", bridge.source
            )

    def _cross(self, place: str, way: Way, packet: Packet) -> tuple[str, str, Packet]:
        """Over the segment: who hears it, by which interface, and how it looks there."""
        found = routing.hearer(self.world, way)
        if isinstance(found, DeadEnd):
            self._stop(place, found.what, found.source)
        segment = way.interface.segment
        if found.place == OUTSIDE:
            assert segment is not None  # noqa: S101  # for the type checker: somebody heard it
            if self.world.owners.get(packet.destination):
                self._stop(
                    place, f"{packet.destination} is sent to the LAN's router, and whether that leads back is not known"
                )
            self.outsider = Outsider(packet.destination, segment)
        elif segment and segment.is_bridge and HOST not in {place, found.place} and self._is_filtered(segment, packet):
            if self._is_caught(packet):
                return HOST, segment.name, packet
            packet = self._bridge(segment, packet)
        return found.place, found.interface, packet

    def _is_filtered(self, segment: Segment, packet: Packet) -> bool:
        """Whether frames within a bridge meet the host's rules: where that bridge calls them, as icc off needs, or all do."""
        bridge = self.world.bridges.get(segment.name)
        return (bridge is not None and bridge.nf_call) or packet.family in self.world.facts.filtered_bridging

    def _turns(self, arrived: Arrived, way: Way) -> bool:
        """Whether the bridge itself sends on what the host translated on it, and the host never routes it.

        So does br_netfilter with what leads back into the same bridge; IPv6 asks nothing about forwarding then, IPv4
        does (kernel: br_nf_pre_routing_finish, br_nf_pre_routing_finish_ipv6).
        """
        segment = way.interface.segment
        if way.interface.kind != "bridge" or segment is None or arrived.came.destination == arrived.packet.destination:
            return False
        return self._is_filtered(segment, arrived.packet)

    def _check_hairpin(self, place: str, interface_name: str) -> None:
        """A bridge sends nothing back by the port that it came in by, unless that is a hairpin (br_forward.c)."""
        interface = self.world.interfaces[place][interface_name]
        if interface.hairpin or interface.segment is None:
            return
        label = self.world.segment_label(interface.segment)
        what = f"{interface.port}, the host's end of {interface.name} of {self.world.label(place)}"
        self._stop_at(label, f"{what}, takes nothing back that came from it (hairpin: off)", interface.source)

    def _is_caught(self, packet: Packet) -> bool:
        """Whether the host translates what another was to send on to it: then it does not get there any more."""
        leads_on = self.rules.base and self.world.owns(HOST, packet.destination) and self.rules.target(packet)
        return bool(leads_on) and self._tracking.known(HOST, packet, answering=self._answering) is None

    def _bridge(self, segment: Segment, packet: Packet) -> Packet:
        """Through the host's rules, without its routes."""
        arrived = self._tracking.known(HOST, packet, answering=self._answering) or Arrived(
            packet, packet, Track.NEW, translated=False
        )
        passage = Passage(arrived.packet, segment.name, segment.name, arrived.track, arrived.translated)
        ruling = self.rules.forwarded(passage)
        if not ruling.passes:
            self._stop_at(self.world.segment_label(segment), ruling.what, ruling.source)
        self._remember(HOST, passage)
        if arrived.track is Track.NEW:
            self._tracking.note(HOST, packet, packet, translated=False)
        return arrived.packet

    def _check_rest(self, packet: Packet) -> None:
        """What follows the handshake is nothing to a place that never saw the answer (kernel: nf_conntrack_proto_tcp)."""
        if packet.protocol == "udp":
            return
        for place, passage in self._passed:
            if place in self._passed_back:
                continue
            ruling = self._ruling(place, passage._replace(track=Track.INVALID))
            if not ruling.passes:
                self._stop(
                    place, f"the answer comes by another way, so it knows no connection: {ruling.what}", ruling.source
                )

    def _note(self, place: str, what: str, source: Source | None = None) -> None:
        if not self._answering:
            self._hops.append(Hop(self.world.label(place), what, source))

    def _stop(self, place: str, what: str, source: Source | None = None) -> NoReturn:
        self._stop_at(self.world.label(place), what, source)

    def _stop_at(self, label: str, what: str, source: Source | None) -> NoReturn:
        self._hops.append(Hop(label, f"the answer is lost: {what}" if self._answering else what, source))
        raise _StoppedError
