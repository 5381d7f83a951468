"""Folders above watched ones: that they are renamed or removed, and that what is missing in them is made again.

Only that is heard, for much may happen in a folder such as /tmp.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from reconciler.watch.inotify import CREATE, DELETE_SELF, MOVE_SELF, MOVED_TO, OVERFLOW, Inotify

_ITSELF = DELETE_SELF | MOVE_SELF
_NEW = CREATE | MOVED_TO
Identity = tuple[int, int]


class Ancestors:
    """Watches what is above folders. ``fileno`` is ready when something happened that ``drain`` may tell of.

    Raises OSError where the user has no inotify instance left.
    """

    def __init__(self) -> None:
        self._inotify = Inotify()
        self._missing: dict[int, frozenset[str]] = {}
        """For each watched folder, by its number, the names in it that are waited for."""
        self.complete = True
        """Whether all that were asked for are watched."""

    def fileno(self) -> int:
        """For the loop."""
        return self._inotify.fileno()

    def drain(self) -> bool:
        """Take in what happened; whether it concerns what is asked for."""
        return any(
            mask & (_ITSELF | OVERFLOW) or (mask & _NEW and name in self._missing.get(number, ()))
            for number, mask, name in self._inotify.read()
        )

    def watch(self, folders: Iterable[str]) -> bool:
        """Watch what is above exactly these (absolute paths); whether something is from now on that was not."""
        before, self._missing, self.complete = self._missing, {}, True
        for folder, names in _above(folders).values():
            try:
                number = self._inotify.add(folder, _ITSELF | (_NEW if names else 0))
            except FileNotFoundError:
                continue  # gone again, of which the one above it tells
            except OSError:
                self.complete = False
                continue
            self._missing[number] = frozenset(names)
        for number in before.keys() - self._missing.keys():
            self._inotify.remove(number)
        return any(number not in before or names - before[number] for number, names in self._missing.items())

    def close(self) -> None:
        """Let go of all."""
        self._inotify.close()


def _above(folders: Iterable[str]) -> dict[Identity, tuple[str, set[str]]]:
    """Every folder above these that is there: a path of it, and the names in it that lead to one that is not."""
    # By identity: several paths may lead to one folder, which can be asked for one thing only.
    found: dict[Identity, tuple[str, set[str]]] = {}
    for folder in folders:
        place, is_there = folder, _identity(folder) is not None
        while (above := os.path.dirname(place)) != place:  # noqa: PTH120 - strings, of every folder
            identity = _identity(above)
            if identity is not None:
                _, names = found.setdefault(identity, (above, set()))
                if not is_there:
                    names.add(os.path.basename(place))  # noqa: PTH119 - as above
            place, is_there = above, identity is not None
    return found


def _identity(folder: str) -> Identity | None:
    try:
        status = os.stat(folder)  # noqa: PTH116 - as above
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None
