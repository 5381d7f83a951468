"""One network's members may open connections to another's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from reconciler.errors import Source
from reconciler.firewall.transaction import ByTransaction
from reconciler.resources.parts import PartOfNetwork
from reconciler.state import Key, Kind

Span = tuple[str, int, int]
"""Protocol, first and last port."""


@dataclass(frozen=True, slots=True)
class AllowPolicy(ByTransaction, PartOfNetwork):
    """Members of ``network`` (``stack/key``) on the bridge ``interface`` may reach those on ``target_interface``.

    ``ports`` are disjoint and sorted; empty: everything. Only answers come back.
    ``subnets`` and ``target_subnets`` are those of both networks, for cutting connections when it goes.
    """

    owner: str
    network: str
    interface: str
    target_interface: str
    ports: tuple[Span, ...] = ()
    subnets: tuple[str, ...] = field(default=(), compare=False)
    target_subnets: tuple[str, ...] = field(default=(), compare=False)
    target_name: str = field(default="", compare=False)
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset({"ports"})

    @property
    def key(self) -> Key:
        return Key(Kind.POLICY, f"{self.network}:{self.interface} to {self.target_interface}")

    def describe(self) -> str:
        what = ", ".join(_port_text(span) for span in self.ports) if self.ports else "everything"
        return f"members may open connections to network {self.target_name or self.target_interface}: {what}"

    def record(self) -> Mapping[str, Any]:
        return {
            "network": self.network,
            "interface": self.interface,
            "target_interface": self.target_interface,
            "ports": [_port_text(span) for span in self.ports],
        }


def _port_text(span: Span) -> str:
    protocol, first, last = span
    return f"{first}/{protocol}" if first == last else f"{first}-{last}/{protocol}"
