"""The host behind a live question of ``reach``: trying it with real packets, and what is not followed there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reconciler.errors import NetapplyError, Problem
from reconciler.kernel import name_redirect, probe, unfollowed
from reconciler.reach.parties import origin_of
from reconciler.reach.reaching import Reacher
from reconciler.reach.verdict import Verdict
from reconciler.reach.walk import GONE
from reconciler.reach.world import HOST, OUTSIDE
from reconciler.resources.joined import FOREIGN
from reconciler.resources.resolver import Resolver

if TYPE_CHECKING:
    from reconciler.cli.look import Look

_IPV4: Final = 4


@dataclass(frozen=True, slots=True)
class Live:
    """A host that was looked at, and who answers questions about it."""

    look: Look
    reacher: Reacher

    def warnings(self, verdict: Verdict, hint: str) -> Iterator[Problem]:
        """One for each place of the path where something decides that the verdict does not follow; what to do there."""
        forwards: dict[str, list[str]] = {}
        for place, interface in verdict.places:
            if place != OUTSIDE and not place.startswith(FOREIGN):
                by_place = forwards.setdefault(place, [])
                if interface and verdict.asked and verdict.asked.family == _IPV4:
                    by_place.append(interface)
        places = (
            unfollowed.Place(self._label(place), self._path(place), place == HOST, tuple(interfaces))
            for place, interfaces in forwards.items()
        )
        yield from unfollowed.unfollowed(places, hint)

    def tried(self, origin: str, target: str, verdict: Verdict) -> probe.Outcome:
        """What real packets say of the question that the verdict is about. Raises NetapplyError: it cannot be tried."""
        world = self.reacher.world
        asker, asked = origin_of(world, origin), verdict.asked
        if asker.place == OUTSIDE:
            raise NetapplyError.of(
                "what comes from outside cannot be tried from here", hint="try it on another machine"
            )
        if target == OUTSIDE:
            return probe.Outcome(arrives=None, how="what answers outside is not ours to try")
        if asker.place in world.gone:
            return probe.Outcome(arrives=False, how=f"there is nowhere to try it from: {GONE}")
        if asked is None:
            return probe.Outcome(arrives=False, how="there is no address to try")
        to_resolver = (asked.destination, asked.destination_port) == (name_redirect.ADDRESS, name_redirect.PORT)
        if to_resolver and self._has_resolver(asker.place):
            return probe.Outcome(arrives=None, how="netapply's own resolver answers there, so it is not tried")
        landings = tuple((self._place(place), port) for place, port in self.reacher.landings(asker.place, asked))
        return probe.attempt(
            probe.Attempt(
                self._place(asker.place),
                asked.protocol,
                asked.destination,
                asked.destination_port,
                landings,
                asker.address,
            )
        )

    def _has_resolver(self, place: str) -> bool:
        return any(isinstance(each, Resolver) and each.container == place for each in self.reacher.world.state)

    def _place(self, place: str) -> probe.Place:
        return probe.Place(self._label(place), self._path(place))

    def _path(self, place: str) -> Path:
        """Where the namespace is found; one that lost its name by another way."""
        sandbox = self.reacher.world.sandboxes.get(place)
        found = sandbox.where if sandbox and not sandbox.pinned else ""
        return Path(found or self.look.namespace(place))

    def _label(self, place: str) -> str:
        return "the host" if place == HOST else self.reacher.world.label(place)
