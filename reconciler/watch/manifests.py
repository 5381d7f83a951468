"""The manifests of the watched directories: read again when a file that they were made of changed, last good one kept."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from reconciler.errors import NetapplyError, Problem
from reconciler.manifest import files, loading
from reconciler.manifest.discovery import members
from reconciler.manifest.model import Manifest
from reconciler.manifest.naming import derived_name
from reconciler.naming import origin_of

Fingerprint = tuple[tuple[int, ...], str]
"""What stat says of a file, and a digest of its content; of one that is not there both are empty."""

_NOTHING: Fingerprint = ((), "")
_NAME_LINE = re.compile(r"^name:[ \t]+(?P<name>[^\s#]+)", re.MULTILINE)
_STACK_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_LONGEST_HEAD = 65536
"""Characters in which the name of a stack is looked for."""


@dataclass(slots=True)
class ManifestFile:
    """One file of a watched directory. ``manifest`` is its last good state, ``problems`` what is wrong with it now."""

    path: str
    directory: str
    manifest: Manifest | None = None
    problems: tuple[Problem, ...] = ()
    read: dict[str, Fingerprint] = field(default_factory=dict)
    """Every file that it was made of, found or not."""
    supposed: str = ""
    """Of one that never could be read: the name that its stack seems to have."""


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
        self._earlier: dict[str, str] = {}
        self._unusable: dict[str, tuple[str, ...]] = {}

    def remember(self, files: Mapping[str, str]) -> None:
        """Which file, by stack, had its name when an earlier watcher ended."""
        self._earlier = dict(files)

    def scan(self, *, thorough: bool = True) -> frozenset[str]:
        """Look at all files again; the stacks whose manifest changed, came or went, or can be used, or no longer.

        ``thorough`` compares contents, as after an event; otherwise only what stat says is
        compared first, which misses a change within one tick of the file system's clock.
        """
        before, unusable = self._stacks, self._unusable
        for directory in self.directories.values():
            self._scan(directory, thorough=thorough)
        self._stacks = after = self._good()
        changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        return frozenset(changed | (unusable.keys() ^ self._unusable.keys()))

    def stacks(self) -> dict[str, Manifest]:
        """The last good manifest of every stack, marked with its directory as where it came from."""
        return dict(self._stacks)

    def unusable(self) -> dict[str, tuple[str, ...]]:
        """Stacks whose files there are, but none that says what they shall be, and these files.

        Either one that is broken since the start, or several of which none had the stack's name before.
        """
        return dict(self._unusable)

    def _good(self) -> dict[str, Manifest]:
        held = self._earlier | self._holders
        named: dict[str, list[ManifestFile]] = {}
        for file in self.files():
            # A broken one still has the name that it had when it was good.
            names = [file.manifest.stack] if file.manifest else [n for n, path in held.items() if path == file.path]
            for name in names:
                named.setdefault(name, []).append(file)
        found = {name: _holder(files, held.get(name, "")) for name, files in named.items()}
        good = {name: file for name, file in found.items() if file and file.manifest}
        self._unusable = {name: tuple(file.path for file in named[name]) for name in named.keys() - good.keys()}
        known = {path for paths in self._unusable.values() for path in paths}
        for file in self.files():
            if file.supposed and file.path not in known and file.supposed not in good:
                self._unusable.setdefault(file.supposed, (file.path,))
        self._holders = {name: file.path for name, file in good.items()}
        return {name: replace(file.manifest, origin=file.directory) for name, file in good.items() if file.manifest}

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

    def origins_of(self, paths: Iterable[str]) -> set[str]:
        """The origins that a stack bears which was made of one of these files, by a watcher or by hand."""
        directories = {file.directory for file in self.files() if file.path in paths}
        return {origin_of(path) for path in (*directories, *map(os.path.realpath, paths))}

    def problems(self) -> dict[str, tuple[Problem, ...]]:
        """What is wrong now, by file."""
        found = {file.path: file.problems for file in self.files() if file.problems}
        for file in self.files():
            name = file.manifest.stack if file.manifest else ""
            rivals = self._unusable.get(name) or (self._holders.get(name, file.path),)
            others = [path for path in rivals if path != file.path]
            if others:
                message = f"two stacks are named '{name}': {others[0]} and {file.path}"
                twice = Problem(message, hint=f"give one of them another name, such as name: {name}-2")
                found[file.path] = (*found.get(file.path, ()), twice)
        return found

    def files(self) -> Iterator[ManifestFile]:
        """Every manifest that stands in one of the directories."""
        for directory in self.directories.values():
            yield from directory.files.values()

    def read_files(self) -> set[str]:
        """Every file that a manifest was made of, found or not."""
        return {path for file in self.files() for path in file.read}

    def _scan(self, directory: Directory, *, thorough: bool) -> None:
        try:
            paths = [str(path) for path in members(Path(directory.path))]
        except OSError as error:
            # Its files count as present: a directory that is away for a moment is no order to remove them.
            directory.fault = f"it cannot be read: {error.strerror}"
            return
        directory.fault = ""
        directory.files = {path: directory.files.get(path) or ManifestFile(path, directory.path) for path in paths}
        for file in directory.files.values():
            if not file.read or any(_changed(path, seen, thorough=thorough) for path, seen in file.read.items()):
                self._read(file)

    def _read(self, file: ManifestFile) -> None:
        run = files.Run(self._environment)
        # Taken before: what changes while it is read is seen as a change the next time.
        before = {path: fingerprint(path) for path in (*file.read, file.path)}
        try:
            file.manifest = loading.load((file.path,), None, run)
            file.problems = ()
        except NetapplyError as error:
            file.problems = error.problems
        except OSError as error:
            file.problems = (Problem(f"{error.filename or file.path}: {error.strerror}"),)
        file.supposed = "" if file.manifest else supposed_name(file.path)
        file.read = {path: before.get(path) or fingerprint(path) for path in {file.path, *run.files}}


def _holder(files: Sequence[ManifestFile], holder: str) -> ManifestFile | None:
    """Which of the files that want one name has it; None: nobody can tell."""
    return files[0] if len(files) == 1 else next((file for file in files if file.path == holder), None)


def supposed_name(path: str) -> str:
    """The stack that a file seems to make that cannot be read as a manifest; empty: that cannot be told."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - as in fingerprint
            written = _NAME_LINE.search(file.read(_LONGEST_HEAD))
    except OSError:
        return ""
    if written is None:
        return derived_name(Path(path))
    name = written["name"].strip("'\"")
    return name if _STACK_NAME.fullmatch(name) else ""


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
