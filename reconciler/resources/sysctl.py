"""A kernel setting that was somebody else's before it was ours, and is put back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from reconciler.actions import Action, RestoreSysctl, WriteSysctl
from reconciler.errors import Source
from reconciler.resources.namespace import namespace_key
from reconciler.state import HOST_OWNER, Key, Kind, subject_of


@dataclass(frozen=True, slots=True)
class Sysctl:
    """``name`` (slashes, below /proc/sys) in ``namespace`` (``stack/container``, empty for the host).

    ``after`` are objects that must stand before it is set and until it is put back.
    """

    owner: str
    namespace: str
    name: str
    value: str
    after: tuple[Key, ...] = field(default=(), compare=False)
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset({"value"})

    @property
    def key(self) -> Key:
        # Dots may stand in an interface's name, so the slashes of the path stay apart from them.
        return Key(Kind.SYSCTL, f"{self.namespace or 'host'}:{self.name}")

    @property
    def subject(self) -> str:
        return subject_of("container", self.namespace) if self.namespace else HOST_OWNER

    @property
    def sandbox(self) -> str:
        return self.namespace

    def needs(self) -> tuple[Key, ...]:
        return (namespace_key(self.namespace), *self.after) if self.namespace else self.after

    def describe(self) -> str:
        return f"sysctl {self.name.replace('/', '.')} = {self.value}"

    def record(self) -> Mapping[str, Any]:
        return {"namespace": self.namespace, "name": self.name, "value": self.value}

    def create(self) -> tuple[Action, ...]:
        return (WriteSysctl(self.namespace, self.name, self.value),)

    def update(self, before: Sysctl) -> tuple[Action, ...]:
        del before  # it is the value before us that is recorded, whatever was set since
        return self.create()

    def delete(self) -> tuple[Action, ...]:
        return (RestoreSysctl(self.namespace, self.name),)
