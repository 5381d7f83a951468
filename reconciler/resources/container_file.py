"""A file that a container sees in place of the host's: hosts, resolv.conf, hostname."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from reconciler.actions import Action, RemoveContainerFile, WriteContainerFile
from reconciler.errors import Source
from reconciler.resources.parts import PartOfContainer
from reconciler.state import Key, Kind

HOSTS, RESOLV_CONF, HOSTNAME = FILE_NAMES = ("hosts", "resolv.conf", "hostname")
_SHOWN_LINES = 6
"""How many changed lines of a file a plan's line shows."""


def file_key(container: str, file_name: str) -> Key:
    """The key of ``hosts``, ``resolv.conf`` or ``hostname`` of ``stack/container``."""
    return Key(Kind.FILE, f"{container}:{file_name}")


@dataclass(frozen=True, slots=True)
class ContainerFile(PartOfContainer):
    """``file_name`` (``hosts``, ``resolv.conf``, ``hostname``) of ``container`` (``stack/name``), with its whole text.

    Changed in place: who runs with it sees the new text at once. ``linked`` is false, of an observed ``hosts`` only,
    where ``ip netns exec`` would not show the container's files although it could.
    """

    owner: str
    container: str
    file_name: str
    text: str
    linked: bool = True
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset({"text", "linked"})

    @property
    def key(self) -> Key:
        return file_key(self.container, self.file_name)

    @property
    def sandbox(self) -> str:
        # A thousand other containers' files need not be read again to see that this one is right.
        return self.container

    def describe(self) -> str:
        return f"/etc/{self.file_name}"

    def record(self) -> Mapping[str, Any]:
        return {"container": self.container, "file": self.file_name, "text": self.text}

    def changed_lines(self, before: ContainerFile) -> tuple[str, ...]:
        """``- line`` and ``+ line`` for what differs between ``before`` and this, without the order of lines."""
        old, new = before.text.splitlines(), self.text.splitlines()
        gone = [f"- {line}" for line in old if line not in new]
        lines = [*gone, *(f"+ {line}" for line in new if line not in old)]
        return (*lines[:_SHOWN_LINES], *(["..."] if len(lines) > _SHOWN_LINES else ()))

    def create(self) -> tuple[Action, ...]:
        return (WriteContainerFile(self.container, self.file_name, self.text),)

    def update(self, before: ContainerFile) -> tuple[Action, ...]:
        del before
        return self.create()

    def delete(self) -> tuple[Action, ...]:
        return (RemoveContainerFile(self.container, self.file_name),)
