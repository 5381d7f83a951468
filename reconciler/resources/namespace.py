"""A sandbox: the pinned network namespace of one container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from reconciler.actions import Action, ConfigureNamespace, MakeNamespace, PinNamespace, RemoveNamespace
from reconciler.errors import Source
from reconciler.naming import Label
from reconciler.state import Key, Kind, subject_of


def namespace_key(container: str) -> Key:
    """The key of the sandbox of ``stack/container``."""
    return Key(Kind.NAMESPACE, container)


@dataclass(frozen=True, slots=True)
class Namespace:
    """The sandbox of ``container`` (``stack/name``).

    ``pinned`` is false, of an observed one only, where its name below /run/netns is gone or leads nowhere;
    ``where`` is then a path by which it was found all the same, empty if it was not.
    ``ipv6`` false: IPv6 is off in it, which spares the kernel a third of its work there.
    """

    owner: str
    container: str
    origin: str
    ipv6: bool = False
    up: bool = True
    pinned: bool = True
    where: str = field(default="", compare=False)
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset({"origin", "ipv6", "up", "pinned"})

    @property
    def key(self) -> Key:
        return namespace_key(self.container)

    @property
    def label(self) -> Label:
        """What stands on its ``lo``; the executor fills in the host."""
        return Label("sandbox", "", self.owner, self.container.partition("/")[2], "", self.origin)

    @property
    def subject(self) -> str:
        return subject_of("container", self.container)

    @property
    def sandbox(self) -> str:
        return self.container

    def needs(self) -> tuple[Key, ...]:
        return ()

    def describe(self) -> str:
        return "network namespace"

    def record(self) -> Mapping[str, Any]:
        return {"container": self.container, "ipv6": self.ipv6, "up": self.up, "pinned": self.pinned}

    def create(self) -> tuple[Action, ...]:
        return (MakeNamespace(self.container, self.label, self.ipv6),)

    def update(self, before: Namespace) -> tuple[Action, ...]:
        configure = ConfigureNamespace(self.container, self.label, self.ipv6 if self.ipv6 != before.ipv6 else None)
        if before.pinned and not self.pinned:
            return (RemoveNamespace(self.container),)
        if before.pinned:
            return (configure,)
        return (PinNamespace(self.container, before.where), configure) if before.where else self.create()

    def delete(self) -> tuple[Action, ...]:
        return (RemoveNamespace(self.container),)
