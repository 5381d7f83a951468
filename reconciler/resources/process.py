"""A container's command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from textwrap import shorten
from typing import Any, ClassVar

from reconciler.actions import Action, StartProcess, StopProcess
from reconciler.errors import Source
from reconciler.resources.container_file import FILE_NAMES, file_key
from reconciler.resources.namespace import namespace_key
from reconciler.resources.parts import PartOfContainer
from reconciler.state import Key, Kind

_SHOWN = 60
"""How many characters of a command a plan's line shows; a script would drown the rest."""


def process_key(container: str) -> Key:
    """The key of the command of ``stack/container``."""
    return Key(Kind.PROCESS, f"{container}:command")


@dataclass(frozen=True, slots=True)
class Process(PartOfContainer):
    """The command of ``container`` (``stack/name``), running or ended.

    Whether it still runs, and its exit code, are records and no part of this: a command that ended
    is as it should be. ``namespace`` is the ``stack/container`` whose network it uses, empty for
    the host's. ``environment`` is sorted by name; its values are secrets, compared but never shown.
    ``rootfs`` empty: a copy-on-write view of the host's files. ``restart`` (``always``, ``on-failure``,
    ``unless-stopped``, or empty) says whether one that ended is to run again. ``shared``: kind (``ipc``, ``pid``,
    ``uts``) and container of each other namespace that it shares, an empty name being the host. ``files`` is the
    ``stack/name`` (or ``netns:NAME``) whose hosts, resolv.conf and hostname it sees, empty for the host's.
    ``link_environment`` are the variables that describe its links, as they are when it starts: not compared, so that
    a target that moves restarts nobody, and as secret as the others. ``fault`` says, of an observed
    process only, why it cannot stay although its definition is right.
    """

    owner: str
    container: str
    command: tuple[str, ...]
    namespace: str = ""
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    working_dir: str = ""
    user: str = ""
    rootfs: str = ""
    hostname: str = ""
    restart: str = ""
    shared: tuple[tuple[str, str], ...] = ()
    files: str = ""
    link_environment: tuple[tuple[str, str], ...] = field(default=(), repr=False, compare=False)
    fault: str = ""
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> Key:
        return process_key(self.container)

    def needs(self) -> tuple[Key, ...]:
        places = (namespace_key(self.namespace),) if self.namespace else ()
        files = (file_key(self.files, name) for name in FILE_NAMES) if self.files else ()
        return (*places, *files, *(process_key(container) for _, container in self.shared if container))

    def describe(self) -> str:
        words = shorten(" ".join(self.command), _SHOWN, placeholder=" ...")
        return f"command {words!r}" + (f" ({self.fault})" if self.fault else "")

    def record(self) -> Mapping[str, Any]:
        return {
            "container": self.container,
            "namespace": self.namespace,
            "command": list(self.command),
            "environment": sorted(name for name, _ in self.environment),
            "working_dir": self.working_dir,
            "user": self.user,
            "rootfs": self.rootfs,
            "hostname": self.hostname,
            "restart": self.restart,
            "shared": dict(self.shared),
            "files": self.files,
        }

    def changed_environment(self, before: Process) -> tuple[str, ...]:
        """The names of the variables whose value differs between ``before`` and this, sorted."""
        mine, theirs = dict(self.environment), dict(before.environment)
        return tuple(sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)))

    def create(self) -> tuple[Action, ...]:
        return (
            StartProcess(
                container=self.container,
                namespace=self.namespace,
                command=self.command,
                environment=self.environment,
                working_dir=self.working_dir,
                user=self.user,
                rootfs=self.rootfs,
                hostname=self.hostname,
                restart=self.restart,
                shared=self.shared,
                files=self.files,
                link_environment=self.link_environment,
            ),
        )

    def update(self, before: Process) -> tuple[Action, ...]:
        return (*before.delete(), *self.create())

    def delete(self) -> tuple[Action, ...]:
        return (StopProcess(self.container),)
