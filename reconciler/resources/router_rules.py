"""The packet rules in the namespace of a container that others go through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from reconciler.actions import Action, RemoveRouterRules, WriteRouterRules
from reconciler.errors import Source
from reconciler.resources.namespace import namespace_key
from reconciler.resources.parts import PartOfSandbox
from reconciler.state import Key, Kind


def router_rules_key(container: str) -> Key:
    """The key of the rules in the sandbox of ``stack/container``."""
    return Key(Kind.ROUTER, container)


@dataclass(frozen=True, slots=True)
class RouterRules(PartOfSandbox):
    """What ``container`` (``stack/name``) sends on for others bears its own address, so that answers come back.

    The rules are always the same (``firewall/router_layout.py``). ``intact`` is false, of an observed one only,
    where somebody changed them.
    """

    owner: str
    container: str
    intact: bool = True
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset({"intact"})

    @property
    def key(self) -> Key:
        return router_rules_key(self.container)

    def needs(self) -> tuple[Key, ...]:
        return (namespace_key(self.container),)

    def describe(self) -> str:
        return "router for other containers (masquerades what it forwards)"

    def record(self) -> Mapping[str, Any]:
        return {"container": self.container, "intact": self.intact}

    def create(self) -> tuple[Action, ...]:
        return (WriteRouterRules(self.container),)

    def update(self, before: RouterRules) -> tuple[Action, ...]:
        del before  # the whole table is made anew, in one transaction
        return self.create()

    def delete(self) -> tuple[Action, ...]:
        return (RemoveRouterRules(self.container),)
