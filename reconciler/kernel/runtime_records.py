"""The files of a container's command in the run folder: where they stand, and how they are read back.

One directory per command, ``processes/STACK/NAME``. It appears by a rename, with ``config.json``
and ``definition.json`` in it, and vanishes by one; so a directory whose name begins with a dot is
what a crash left. ``process`` says that the start came to its end.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.actions import StartProcess
from reconciler.errors import NetapplyError
from reconciler.kernel.files import write_private
from reconciler.kernel.processes import Identified

NamespacePath = Callable[[str], Path]
"""Where the sandbox of ``stack/container`` is pinned."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_ENDED = Identified(0, 0)


def bundles_directory(run_directory: Path) -> Path:
    """Where the directories of all commands of a host stand."""
    return run_directory / "processes"


@dataclass(frozen=True, slots=True)
class Records:
    """The directory of one command."""

    path: Path

    @classmethod
    def of(cls, run_directory: Path, container: str) -> Records:
        """That of ``stack/name``. Raises NetapplyError for a name that is no safe part of a path."""
        stack_name, slash, name = container.partition("/")
        if not slash or not _NAME.fullmatch(stack_name) or not _NAME.fullmatch(name):
            raise NetapplyError.of(f"{container!r} is not a container's name (stack/name)")
        return cls(bundles_directory(run_directory) / stack_name / name)

    @property
    def container(self) -> str:
        """``stack/name``."""
        return f"{self.path.parent.name}/{self.path.name}"

    @property
    def container_id(self) -> str:
        """Its name for the OCI runtime; no stack's name holds a dot."""
        return f"{self.path.parent.name}.{self.path.name}"

    @property
    def log(self) -> Path:
        """What the command wrote."""
        return self.path / "log"

    def aside(self, why: str) -> Path:
        """A place beside it that nobody takes for a command's directory."""
        return self.path.with_name(f".{why}-{self.path.name}")

    def definition(self) -> StartProcess | None:
        """What it was started as; None where that file is gone or not ours."""
        try:
            fields = json.loads((self.path / "definition.json").read_bytes())
            fields["command"] = tuple(fields["command"])
            fields["environment"] = tuple((name, value) for name, value in fields["environment"])
            fields["shared"] = tuple((kind, container) for kind, container in fields.get("shared", ()))
            fields["link_environment"] = tuple((name, value) for name, value in fields.get("link_environment", ()))
            return StartProcess(**fields)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def files(self) -> dict[str, int]:
        """The inode number of each file of ours that it sees, by path, as it was at the start."""
        try:
            found = json.loads(self._read("files.json"))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def process(self) -> Identified | None:
        """The command, ended or not, where its start came to its end; of one that ended at once, nobody."""
        return self._identified("process")

    def monitor(self) -> Identified | None:
        """Its monitor, ended or not."""
        return self._identified("monitor")

    def record(self, what: str, process: Identified = _ENDED) -> None:
        """Write down a process as ``monitor`` or ``process``."""
        write_private(self.path / what, f"{process.pid} {process.started}\n")

    def _identified(self, what: str) -> Identified | None:
        numbers = self._read(what).split()
        if len(numbers) == 2 and all(number.isdigit() for number in numbers):  # noqa: PLR2004 - id and time
            return Identified(int(numbers[0]), int(numbers[1]))
        return None

    def runtime_pid(self) -> int | None:
        """The command's process id as the runtime wrote it down."""
        text = self._read("pid").strip()
        return int(text) if text.isdigit() else None

    def exit_code(self) -> int | None:
        """Its exit status, 128 and the signal's number for a signal; None while it runs, or where nobody saw it end."""
        text = self._read("exit").strip()
        return int(text) if text.isdigit() else None

    def runtime_log(self) -> str:
        """What the runtime complained of."""
        return self._read("runtime.log")

    def _read(self, name: str) -> str:
        try:
            with open(os.path.join(self.path, name), errors="replace") as file:  # noqa: PTH118, PTH123 - read for every container of a host
                return file.read()
        except FileNotFoundError:
            return ""


def all_records(run_directory: Path) -> Iterator[Records]:
    """Those of every command of the host, by name."""
    for stack in _directories(bundles_directory(run_directory)):
        for bundle in _directories(stack):
            yield Records(bundle)


def left_overs(run_directory: Path) -> Iterator[Path]:
    """The directories that a crash left half made or half removed; nothing runs in them."""
    for stack in _directories(bundles_directory(run_directory)):
        for entry in sorted(stack.iterdir()):
            if entry.name.startswith("."):
                yield entry


def _directories(parent: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(parent))  # noqa: PTH208 - only the names are wanted
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [parent / name for name in names if not name.startswith(".")]
