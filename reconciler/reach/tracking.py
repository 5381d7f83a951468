"""Connection tracking of every namespace that a question passes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from reconciler.reach.packet import Packet
from reconciler.reach.ruling import Track

_OTHER_PORT: Final = -1
"""Some port that nobody asked."""


class Arrived(NamedTuple):
    """A packet after connection tracking and translation of its destination; ``came`` is how it was before."""

    came: Packet
    packet: Packet
    track: Track
    translated: bool


class _Connection(NamedTuple):
    """The question as it came, and the answer as it will come."""

    question: Packet
    answer: Packet
    translated: bool


@dataclass(slots=True)
class Tracking:
    """The connections that each place knows."""

    _connections: dict[str, list[_Connection]] = field(default_factory=lambda: defaultdict(list))

    def note(self, place: str, came: Packet, left: Packet, *, translated: bool) -> None:
        """Remember a question that came to the place as one packet and goes on, or is taken there, as the other."""
        self._connections[place].append(_Connection(came, left.answer(), translated))

    def known(self, place: str, packet: Packet, *, answering: bool) -> Arrived | None:
        """The packet as it is known there, with translation undone; None: it begins a connection."""
        for known in self._connections[place]:
            if packet == known.answer:
                return Arrived(packet, known.question.answer(), Track.REPLY, known.translated)
        if answering and packet.protocol != "udp":
            # The second packet of a handshake begins none.
            return Arrived(packet, packet, Track.INVALID, translated=False)
        return None

    def free(self, place: str, packet: Packet) -> Packet:
        """With another port, where the answer would look like what somebody asked through that place.

        As the kernel does (nf_nat_used_tuple).
        """
        taken = any(known.question == packet.answer() for known in self._connections[place])
        return packet._replace(source_port=_OTHER_PORT) if taken else packet
