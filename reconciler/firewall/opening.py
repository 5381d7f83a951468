"""What the host's own firewall shall let in to containers that use the host's network namespace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from reconciler.errors import Source
from reconciler.firewall.transaction import ByTransaction
from reconciler.resources.parts import PartOfContainer
from reconciler.state import Key, Kind


def origins(sources: tuple[str, ...]) -> str:
    """Who may come, in words: ``any source``, or the subnets."""
    return f"from {', '.join(sources)}" if sources else "any source"


@dataclass(frozen=True, slots=True)
class Opening(ByTransaction, PartOfContainer):
    """Ports ``first`` to ``last`` of every address of the host, for a container in host mode.

    ``container`` is ``stack/name``; ``sources``: subnets of either family that may come,
    disjoint and sorted; empty: anybody. Several containers may open the same port.
    """

    owner: str
    container: str
    protocol: str
    first: int
    last: int
    sources: tuple[str, ...] = ()
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset({"sources"})

    @property
    def key(self) -> Key:
        return Key(Kind.PORT, f"{self.container}:open {self.ports}/{self.protocol}")

    @property
    def ports(self) -> str:
        """``80`` or ``8000-8010``."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def describe(self) -> str:
        return f"open {self.ports}/{self.protocol} of the host, {origins(self.sources)}, any destination"

    def record(self) -> Mapping[str, Any]:
        return {
            "container": self.container,
            "protocol": self.protocol,
            "first": self.first,
            "last": self.last,
            "sources": list(self.sources),
        }
