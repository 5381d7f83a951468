"""The answer to one question: would this packet arrive, and what decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from reconciler.errors import Source
from reconciler.reach.packet import Packet


class Hop(NamedTuple):
    """One step of the way.

    ``at`` is where (``container web``, ``host``, ``network shop_front``, ``outside``), ``what`` the route, rule or
    missing piece that decides there, ``source`` the manifest line that it comes from; None where none does.
    """

    at: str
    what: str
    source: Source | None = None

    def __str__(self) -> str:
        return f"{self.at}: {self.what}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a packet arrives and its answer comes back. The last hop says why, or why not.

    ``answered_by`` is who has it in the end: empty for the host, ``stack/name`` of the sandbox, ``outside``; None
    where nobody has. ``asked`` is the packet that was sent; None where none could be. ``places`` are those that it or
    its answer came to, each with the interface by which that came which was to go on from there; empty for the others.
    """

    reachable: bool
    path: tuple[Hop, ...]
    answered_by: str | None = None
    asked: Packet | None = None
    places: tuple[tuple[str, str], ...] = ()

    @property
    def cause(self) -> Hop:
        """What decided."""
        return self.path[-1]

    def record(self) -> dict[str, Any]:
        """The verdict for JSON."""
        hops = [
            {"at": hop.at, "what": hop.what, "source": str(hop.source) if hop.source else None} for hop in self.path
        ]
        return {"reachable": self.reachable, "path": hops}
