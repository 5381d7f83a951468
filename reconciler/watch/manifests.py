"""The manifests of the watched directories: read again when a file that they were made of changed, last good one kept."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from reconciler.errors import NetapplyError, Problem
from reconciler.manifest import documents, loading
from reconciler.manifest.discovery import members
from reconciler.manifest.model import Manifest

Fingerprint = tuple[tuple[int, ...], str]
"""What stat says of a file, and a digest of its content; of one that is not there both are empty."""

_NOTHING: Fingerprint = ((), "")


@dataclass(slots=True)
class ManifestFile:
    """One file of a watched directory. ``manifest`` is its last good state, ``problems`` what is wrong with it now."""

    path: str
    directory: str
    manifest: Manifest | None = None
    problems: tuple[Problem, ...] = ()
    read: dict[str, Fingerprint] = field(default_factory=dict)
    """Every file that it was made of, found or not."""


@dataclass(slots=True)
class Directory:
    """A watched directory; ``fault`` says why it cannot be read."""

    path: str
    fault: str = ""
    files: dict[str, ManifestFile] = field(default_factory=dict)


class Manifests:
    """All manifests of these directories (absolute paths). ``environment`` is what variables are taken from."""

    def __init__(self, directories: Iterable[str], environment: Mapping[str, str]) -> None:
        self.directories = {path: Directory(path) for path in directories}
        self._environment = environment
        self._stacks: dict[str, Manifest] = {}
        self._holders: dict[str, str] = {}
        """Which file has a stack's name, so that a second one of that name takes nothing over."""

    def scan(self, *, thorough: bool = True) -> frozenset[str]:
        """Look at all files again; the stacks whose manifest changed, came or went.

        ``thorough`` compares contents, as after an event; otherwise only what stat says is
        compared first, which misses a change within one tick of the file system's clock.
        """
        before = self._stacks
        for directory in self.directories.values():
            self._scan(directory, thorough=thorough)
        self._stacks = after = self._good()
        changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        return frozenset(changed)

    def stacks(self) -> dict[str, Manifest]:
        """The last good manifest of every stack, marked with its directory as where it came from."""
        return dict(self._stacks)

    def _good(self) -> dict[str, Manifest]:
        found: dict[str, ManifestFile] = {}
        for file in self._in_order():
            if file.manifest:
                found.setdefault(file.manifest.stack, file)
        self._holders = {name: file.path for name, file in found.items()}
        return {name: replace(file.manifest, origin=file.directory) for name, file in found.items() if file.manifest}

    def file_of(self, stack_name: str) -> str:
        """The path of the file that makes this stack; empty: none does."""
        return self._holders.get(stack_name, "")

    def files_of(self, stack_name: str) -> set[str]:
        """Every file that the stack was made of."""
        holder = self.file_of(stack_name)
        return {holder, *(path for file in self.files() if file.path == holder for path in file.read)} - {""}

    def real_path_of(self, stack_name: str) -> str:
        """Where the file that makes this stack really stands."""
        holder = self.file_of(stack_name)
        return next((file.manifest.origin for file in self.files() if file.path == holder and file.manifest), "")

    def problems(self) -> dict[str, tuple[Problem, ...]]:
        """What is wrong now, by file."""
        found = {file.path: file.problems for file in self.files() if file.problems}
        for file in self.files():
            name = file.manifest.stack if file.manifest else ""
            holder = self._holders.get(name, file.path)
            if holder != file.path:
                message = f"two stacks are named '{name}': {holder} and {file.path}"
                twice = Problem(message, hint="give one of them another name:")
                found[file.path] = (*found.get(file.path, ()), twice)
        return found

    def files(self) -> Iterator[ManifestFile]:
        """Every manifest that stands in one of the directories."""
        for directory in self.directories.values():
            yield from directory.files.values()

    def read_files(self) -> set[str]:
        """Every file that a manifest was made of, found or not."""
        return {path for file in self.files() for path in file.read}

    def _in_order(self) -> list[ManifestFile]:
        """Who has a name already comes first."""
        return sorted(
            self.files(),
            key=lambda file: (not (file.manifest and self._holders.get(file.manifest.stack) == file.path), file.path),
        )

    def _scan(self, directory: Directory, *, thorough: bool) -> None:
        try:
            paths = [str(path) for path in members(Path(directory.path))]
        except OSError as error:
            # Its files count as present: a directory that is away for a moment is no order to remove them.
            directory.fault = f"{directory.path} cannot be read: {error.strerror}"
            return
        directory.fault = ""
        directory.files = {path: directory.files.get(path) or ManifestFile(path, directory.path) for path in paths}
        for file in directory.files.values():
            if not file.read or any(_changed(path, seen, thorough=thorough) for path, seen in file.read.items()):
                self._read(file)

    def _read(self, file: ManifestFile) -> None:
        run = documents.Run(self._environment)
        # Taken before: what changes while it is read is seen as a change the next time.
        before = {path: fingerprint(path) for path in (*file.read, file.path)}
        try:
            file.manifest = loading.load((file.path,), None, run)
            file.problems = ()
        except NetapplyError as error:
            file.problems = error.problems
        except OSError as error:
            file.problems = (Problem(f"{error.filename or file.path}: {error.strerror}"),)
        file.read = {path: before.get(path) or fingerprint(path) for path in {file.path, *run.files}}


def fingerprint(path: str) -> Fingerprint:
    """What a file is like now."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - of every file at every change
            status = _status(os.fstat(file.fileno()))
            return (status, hashlib.blake2b(file.read(), digest_size=16).hexdigest())
    except OSError:
        return _NOTHING


def _changed(path: str, seen: Fingerprint, *, thorough: bool) -> bool:
    if not thorough:
        try:
            return _status(os.stat(path)) != seen[0]  # noqa: PTH116 - as above
        except OSError:
            return seen != _NOTHING
    return fingerprint(path)[1] != seen[1]


def _status(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
