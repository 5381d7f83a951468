"""A sandbox: the pinned network namespace of one container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from reconciler.actions import (
    Action,
    AttachNamespace,
    ConfigureNamespace,
    DetachNamespace,
    MakeNamespace,
    PinNamespace,
    RemoveNamespace,
)
from reconciler.errors import Source
from reconciler.naming import Label
from reconciler.resources.parts import PartOfSandbox
from reconciler.state import Key, Kind


def namespace_key(container: str) -> Key:
    """The key of the sandbox of ``stack/container``."""
    return Key(Kind.NAMESPACE, container)


@dataclass(frozen=True, slots=True)
class Namespace(PartOfSandbox):
    """The sandbox of ``container`` (``stack/name``).

    ``pinned`` is false, of an observed one only, where its name below /run/netns is gone or leads nowhere;
    ``where`` is then a path by which it was found all the same, empty if it was not.
    ``ipv6`` false: IPv6 is off in it, which spares the kernel a third of its work there.
    ``attached`` is the path of one that somebody else made, which is never deleted; its IPv6 is not ours to switch,
    and ``ipv6`` stays false. ``current`` is false, of an observed one only, where at that path is another one now, or none.
    """

    owner: str
    container: str
    origin: str
    ipv6: bool = False
    up: bool = True
    pinned: bool = True
    where: str = field(default="", compare=False)
    attached: str = ""
    current: bool = True
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset({"origin", "ipv6", "up", "pinned"})

    @property
    def key(self) -> Key:
        return namespace_key(self.container)

    @property
    def label(self) -> Label:
        """What stands on its ``lo``; the executor fills in the host."""
        return Label("sandbox", "", self.owner, self.container.partition("/")[2], "", self.origin)

    def describe(self) -> str:
        return f"network namespace {self.attached} of another program" if self.attached else "network namespace"

    def record(self) -> Mapping[str, Any]:
        own = {"container": self.container, "ipv6": self.ipv6, "up": self.up, "pinned": self.pinned}
        return {**own, "attached": self.attached, "current": self.current} if self.attached else own

    def create(self) -> tuple[Action, ...]:
        if self.attached:
            return (AttachNamespace(self.container, self.attached, self.origin),)
        return (MakeNamespace(self.container, self.label, self.ipv6),)

    def update(self, before: Namespace) -> tuple[Action, ...]:
        if self.attached:
            return self._attach_again(before)
        configure = ConfigureNamespace(self.container, self.label, self.ipv6 if self.ipv6 != before.ipv6 else None)
        if before.pinned and not self.pinned:
            return (RemoveNamespace(self.container),)
        if before.pinned:
            return (configure,)
        return (PinNamespace(self.container, before.where), configure) if before.where else self.create()

    def delete(self) -> tuple[Action, ...]:
        return (DetachNamespace(self.container),) if self.attached else (RemoveNamespace(self.container),)

    def _attach_again(self, before: Namespace) -> tuple[Action, ...]:
        if before.pinned and not self.pinned:
            return ()  # a rollback; a name more does no harm, and what its settings were before is not forgotten
        found = not before.pinned and before.where
        return (PinNamespace(self.container, before.where), *self.create()) if found else self.create()
