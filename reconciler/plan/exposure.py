"""What can be reached from where, and what a plan changes of it: a pure function of two states.

A port that becomes narrower only closes, and one that becomes wider only opens: what is left of it, or was there
before, is told with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from itertools import groupby
from typing import Final

from reconciler.errors import Source
from reconciler.plan.way import THIS_HOST, Way, is_subnet
from reconciler.plan.ways import ways
from reconciler.state import State

_IPV4, _IPV6, _BOTH = "every IPv4 address", "every IPv6 address", "every address"


@dataclass(frozen=True, slots=True, order=True)
class Exposed:
    """One way to reach something.

    ``target`` is ``stack/container``, or a network where all its members are meant, and ``port`` what of it is
    reached (``80/tcp``, ``every port``). ``at`` is where somebody meets it (``8080/tcp on every address of the
    host``), empty where that is its own address. ``origin`` is from where: ``any machine``, ``this host only``,
    ``members of network front``, or the sources. ``unchanged``: the part of a way that opens or closes which does
    neither (``from 10.0.0.0/8 and this host``); empty: there is none.
    """

    target: str
    port: str
    at: str
    origin: str
    unchanged: str = ""
    source: Source | None = field(default=None, compare=False)

    def __str__(self) -> str:
        way = f"{self.at} -> " if self.at else ""
        before = f"; as before {self.unchanged}" if self.unchanged else ""
        return f"from {self.origin}: {way}{self.port} of {self.target}{before}"

    def record(self) -> dict[str, str]:
        """For JSON."""
        found = {"target": self.target, "port": self.port, "at": self.at, "from": self.origin}
        return found | ({"unchanged": self.unchanged} if self.unchanged else {})


@dataclass(frozen=True, slots=True)
class Exposure:
    """What becomes reachable, and what stops being so; both sorted."""

    opened: tuple[Exposed, ...] = ()
    closed: tuple[Exposed, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.opened or self.closed)


SHOWN: Final = 8
"""How many names a line has; the containers that are new stand elsewhere in the plan, each by itself."""


def lines(found: Iterable[Exposed]) -> tuple[str, ...]:
    """The ways in words, sorted; what is reached in the same way from the same place is one line."""
    ordered = sorted(found, key=lambda way: (*_manner(way), way.target))
    told = []
    for _, group in groupby(ordered, key=_manner):
        alike = list(group)
        targets = ", ".join(way.target for way in alike[:SHOWN])
        more = f" and {len(alike) - SHOWN} more" if len(alike) > SHOWN else ""
        told.append(str(replace(alike[0], target=targets + more)))
    return tuple(told)


def _manner(way: Exposed) -> tuple[str, ...]:
    return (way.origin, way.at, way.port, way.unchanged)


def difference(before: State, after: State) -> Exposure:
    """What changes when the one becomes the other.

    Nothing opens that a wider way led to before, and nothing closes that a wider one leads to now.
    """
    old, new = ways(before), ways(after)
    return Exposure(_only_in(new, old), _only_in(old, new))


def exposed(state: State) -> frozenset[Exposed]:
    """Everything that can be reached in this state, from wherever."""
    return frozenset(_told((way, "") for way in ways(state)))


def _only_in(some: frozenset[Way], others: frozenset[Way]) -> tuple[Exposed, ...]:
    left = some - others
    sides = {(way.target, way.side) for way in left}
    comparable = defaultdict(list)
    for way in others:
        if (way.target, way.side) in sides:
            comparable[way.target, way.side].append(way)
    found = []
    for way in left:
        near = comparable[way.target, way.side]
        if not any(other.covers(way) for other in near):
            found.append((way, _parts(way, [other for other in near if way.covers(other)])))
    return tuple(sorted(_told(found)))


def _parts(whole: Way, parts: Collection[Way]) -> str:
    """The ways that are parts of one, in words: without what is as in the whole."""
    words = []
    for part in sorted(_told((part, "") for part in parts)):
        where = f": {part.at}" if part.at != whole.at else ""
        what = f" -> {part.port}" if part.port != whole.port else ""
        words.append(f"from {part.origin}{where}{what}")
    return " and ".join(words)


def _told(found: Iterable[tuple[Way, str]]) -> Iterator[Exposed]:
    """Ways, each with what of it is unchanged, in as few as say the same."""
    origins: dict[tuple[str, ...], list[Way]] = defaultdict(list)
    for way, unchanged in found:
        # Which ports the members of one network may use of another is said at once.
        port = "" if way.side == way.origin else way.port
        origins[way.target, way.side, way.at, port, unchanged].append(way)
    single: dict[Exposed, int] = {}
    for (target, _, at, _, unchanged), alike in origins.items():
        ports = dict(sorted((way.span or ("", 0, 0), way.port) for way in alike))
        origin = _together({way.origin for way in alike})
        told = Exposed(target, ", ".join(ports.values()), at, origin, unchanged, alike[0].source)
        single[told] = alike[0].wildcard
    for each, wildcard in single.items():
        twin = replace(each, at=_other_family(each.at)) if wildcard else None
        if twin not in single:
            yield each
        elif wildcard == 4:  # noqa: PLR2004  # the family: one of the two stands for both
            yield replace(each, at=each.at.replace(_IPV4, _BOTH))


def _other_family(at: str) -> str:
    return at.replace(_IPV4, _IPV6) if _IPV4 in at else at.replace(_IPV6, _IPV4)


def _together(origins: set[str]) -> str:
    """``10.0.0.0/8, 192.0.2.0/24 and this host``."""
    if len(origins) == 1:
        return next(iter(origins))
    subnets = sorted((ip_network(each) for each in origins if is_subnet(each)), key=lambda each: (each.version, each))
    words = sorted(each for each in origins if not is_subnet(each) and each != THIS_HOST)
    words.sort(key=lambda each: not each.startswith("members"))
    named = [*map(str, subnets), *words, *(["this host"] if THIS_HOST in origins else [])]
    return f"{', '.join(named[:-1])} and {named[-1]}"
