"""Host addresses that stand for one container: towards it (floating), and for what it sends (egress)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from reconciler.errors import Source
from reconciler.firewall.transaction import ByTransaction
from reconciler.state import Key, Kind, subject_of


@dataclass(frozen=True, slots=True)
class FloatingPolicy(ByTransaction):
    """Everything that is sent to ``address``, an address of the host, goes to ``target_address`` of ``container``.

    A port that is published at that very address goes before.
    """

    owner: str
    container: str
    address: str
    target_address: str
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset({"target_address"})

    @property
    def key(self) -> Key:
        return Key(Kind.PORT, f"{self.container}:floating {self.address}")

    @property
    def subject(self) -> str:
        return subject_of("container", self.container)

    def needs(self) -> tuple[Key, ...]:
        return ()

    def describe(self) -> str:
        return f"floating address {self.address} -> {self.container.partition('/')[2]}, any source"

    def record(self) -> Mapping[str, Any]:
        return {"container": self.container, "address": self.address, "target_address": self.target_address}


@dataclass(frozen=True, slots=True)
class EgressPolicy(ByTransaction):
    """What ``container`` sends out of our networks from ``target_address`` bears ``address``, one of the host's."""

    owner: str
    container: str
    address: str
    target_address: str
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset({"address"})

    @property
    def key(self) -> Key:
        return Key(Kind.PORT, f"{self.container}:egress from {self.target_address}")

    @property
    def subject(self) -> str:
        return subject_of("container", self.container)

    def needs(self) -> tuple[Key, ...]:
        return ()

    def describe(self) -> str:
        return f"leave the host as {self.address} (from {self.target_address})"

    def record(self) -> Mapping[str, Any]:
        return {"container": self.container, "address": self.address, "target_address": self.target_address}
