"""A packet on its way through the host, and what a rule says of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from reconciler.errors import Source
from reconciler.reach.packet import Packet


class Track(StrEnum):
    """What connection tracking knows of a packet."""

    NEW = "new"
    REPLY = "reply"
    INVALID = "invalid"


class Passage(NamedTuple):
    """A packet on its way through the host, between the interfaces ``into`` and ``out``.

    ``into`` is empty for what the host sends itself, ``out`` for what is for the host. ``translated``: its
    connection goes to another destination than was asked for.
    """

    packet: Packet
    into: str
    out: str
    track: Track
    translated: bool = False


class Ruling(NamedTuple):
    """Whether it passes, and which rule says so; without words no rule of ours had a say."""

    passes: bool
    what: str = ""
    source: Source | None = None


NO_SAY: Final = Ruling(passes=True)
"""It passes, and no rule of ours had a say."""


def passed(what: str, source: Source | None = None) -> Ruling:
    """It passes by that rule."""
    return Ruling(passes=True, what=what, source=source)


def dropped(what: str, source: Source | None = None) -> Ruling:
    """It does not, by that rule."""
    return Ruling(passes=False, what=what, source=source)


class NewSource(NamedTuple):
    """``address``, with which a packet leaves; empty: that of the interface. ``what`` asked for it."""

    address: str
    what: str
    source: Source | None = None
