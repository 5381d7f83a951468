"""The files of a git commit, as `git` has them. Nothing is checked out and nothing is written."""

from __future__ import annotations

import os
import posixpath
import subprocess
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import NetapplyError
from reconciler.manifest.tree import DISK

_PATIENCE = 60.0
"""Seconds; a listing of a large repository on a cold disk takes a few."""
_MOST_LINKS = 8
_LINK, _SUBMODULE = "120000", "160000"
# Where git looks for the user's settings (safe.directory stands there), and whom sudo was called by.
_KEPT = ("PATH", "HOME", "XDG_CONFIG_HOME", "SUDO_UID", "SYSTEMROOT")
# No question to a terminal, no lock, and nothing is fetched from anywhere.
_SET = {"LANG": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1"}


class _Entry(NamedTuple):
    mode: str
    identity: str


class AtCommit:
    """A `reconciler.manifest.tree.Tree` of the commit that ``reference`` names in the repository of the current folder.

    Files that git ignores, and those outside the repository, are read as they are now: no commit
    has them, and variables often stand there. Raises NetapplyError where git cannot tell.
    """

    def __init__(self, reference: str) -> None:
        self._reference = reference
        if not reference or reference.startswith("-") or not reference.isprintable():
            raise NetapplyError.of(f"{reference!r} is no commit", hint="write --base git:main, or git:HEAD~1")
        self._top = self._asked(["rev-parse", "--show-toplevel"]).decode().removesuffix("\n")
        self._commit = self._resolved(reference)

    def read(self, path: str, most: int, *, by_user: bool = False) -> bytes:
        """See `Tree`."""
        inside = self._inside(path)
        entry = self._entry(inside) if inside else None
        if entry:
            return self._asked(["cat-file", "blob", entry.identity])[:most]
        if not inside or self._is_ignored(path):
            return DISK.read(path, most, by_user=by_user)
        raise FileNotFoundError(path)

    def is_file(self, path: str) -> bool:
        """See `Tree`."""
        inside = self._inside(path)
        if inside and self._entry(inside):
            return True
        return DISK.is_file(path) and (not inside or self._is_ignored(path))

    def is_folder(self, path: str) -> bool:
        """See `Tree`."""
        inside = self._inside(path)
        return inside in self._folders if inside is not None else DISK.is_folder(path)

    def names(self, folder: str) -> list[str]:
        """See `Tree`."""
        inside = self._inside(folder)
        if inside is None:
            return DISK.names(folder)
        return [posixpath.basename(path) for path in self._entries if posixpath.dirname(path) == inside]

    def _inside(self, path: str) -> str | None:
        """The path below the top of the repository, empty for the top itself; None outside of it."""
        folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100 - what ".." leads to is decided by name
        found = os.path.relpath(os.path.join(os.path.realpath(folder), name), self._top)  # noqa: PTH118 - as above
        parts = Path(found).parts
        return None if parts[:1] == ("..",) else "/".join(parts)

    def _entry(self, inside: str) -> _Entry | None:
        """The file there, symbolic links followed within the commit."""
        for _ in range(_MOST_LINKS):
            entry = self._entries.get(inside)
            if entry is None or entry.mode != _LINK:
                return entry
            target = self._asked(["cat-file", "blob", entry.identity]).decode(errors="replace")
            inside = posixpath.normpath(posixpath.join(posixpath.dirname(inside), target))
        return None

    @cached_property
    def _entries(self) -> dict[str, _Entry]:
        listing = self._asked(["ls-tree", "-r", "-z", "--full-tree", self._commit])
        entries = {}
        for line in listing.decode(errors="surrogateescape").split("\0"):
            about, _, path = line.partition("\t")
            if path:
                mode, _, identity = about.split(" ")
                if mode != _SUBMODULE:
                    entries[path] = _Entry(mode, identity)
        return entries

    @cached_property
    def _folders(self) -> frozenset[str]:
        folders = {""}
        for path in self._entries:
            while path := posixpath.dirname(path):
                folders.add(path)
        return frozenset(folders)

    def _is_ignored(self, path: str) -> bool:
        return _run(["check-ignore", "--quiet", "--", path]).returncode == 0

    def _resolved(self, reference: str) -> str:
        done = _run(["rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}"])
        if done.returncode:
            hint = "fetch it first: git fetch origin; a shallow clone has only the newest commit (fetch-depth: 0)"
            raise NetapplyError.of(f"there is no commit {reference} in {self._top}", hint=hint)
        return done.stdout.decode().strip()

    def _asked(self, arguments: list[str]) -> bytes:
        done = _run(arguments)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
            raise NetapplyError.of(f"git cannot read {self._reference}: {said}", hint="run inside the repository")
        return done.stdout


def _run(arguments: list[str]) -> subprocess.CompletedProcess[bytes]:
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | _SET
    try:
        # A repository's own settings may name a program to watch its files: none is started.
        return subprocess.run(
            ["git", "-c", "core.fsmonitor=false", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_PATIENCE,
        )
    except FileNotFoundError:
        raise NetapplyError.of("--base git:REF needs the command git", hint="install git, or give a folder") from None
    except subprocess.TimeoutExpired:
        raise NetapplyError.of(f"git did not answer within {_PATIENCE:.0f} seconds") from None
