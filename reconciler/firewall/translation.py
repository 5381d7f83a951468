"""Host addresses that stand for one container: towards it (floating), and for what it sends (egress)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from reconciler.errors import Source
from reconciler.firewall.transaction import ByTransaction
from reconciler.resources.parts import PartOfContainer
from reconciler.state import Key, Kind


@dataclass(frozen=True, slots=True)
class _AddressPolicy(ByTransaction, PartOfContainer):
    owner: str
    container: str
    address: str
    target_address: str
    source: Source | None = field(default=None, compare=False)

    def record(self) -> Mapping[str, Any]:
        return {"container": self.container, "address": self.address, "target_address": self.target_address}


@dataclass(frozen=True, slots=True)
class FloatingPolicy(_AddressPolicy):
    """Everything that is sent to ``address``, an address of the host, goes to ``target_address`` of ``container``.

    A port that is published at that very address goes before.
    """

    live: ClassVar[frozenset[str]] = frozenset({"target_address"})

    @property
    def key(self) -> Key:
        return Key(Kind.PORT, f"{self.container}:floating {self.address}")

    def describe(self) -> str:
        return f"floating address {self.address} -> {self.container.partition('/')[2]}, any source"


@dataclass(frozen=True, slots=True)
class EgressPolicy(_AddressPolicy):
    """What ``container`` sends out of our networks from ``target_address`` bears ``address``, one of the host's."""

    live: ClassVar[frozenset[str]] = frozenset({"address"})

    @property
    def key(self) -> Key:
        return Key(Kind.PORT, f"{self.container}:egress from {self.target_address}")

    def describe(self) -> str:
        return f"leave the host as {self.address} (from {self.target_address})"
