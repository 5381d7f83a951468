"""Changes in folders, through watchdog: hints that something happened, in whatever way editors and tools do it.

Its threads only wake the loop. A folder that was taken away and made again is watched anew at the next ``watch``;
what cannot be watched, or stands behind more links than are followed, is found by the poll.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

_HARMLESS = frozenset({"opened", "closed_no_write"})
"""Reading does this, so whoever reads because of it would never come to an end."""

_MOST_FOLDERS = 48
"""Each takes two threads and one of the few inotify instances of the system."""


class _Waker(FileSystemEventHandler):
    def __init__(self, waker: socket.socket) -> None:
        self._waker = waker

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type not in _HARMLESS:
            wake(self._waker)


class Folders:
    """Watches folders, each by itself and not what is below. ``fileno`` is ready when something happened."""

    def __init__(self) -> None:
        self._woken, waker = socket.socketpair()
        self._waker = waker
        for end in (self._woken, waker):
            end.settimeout(0)
        self._observer: BaseObserver | None = None
        self._watches: dict[str, tuple[tuple[int, int], ObservedWatch]] = {}
        self.complete = True
        """Whether all that were asked for are watched."""

    def fileno(self) -> int:
        """For the loop."""
        return self._woken.fileno()

    def drain(self) -> None:
        """Take in that something happened."""
        try:
            self._woken.recv(1 << 16)
        except BlockingIOError:
            return

    def watch(self, folders: Iterable[str]) -> bool:
        """Watch exactly these; whether one is watched from now on that was not, or not as the folder that it is now."""
        observer = self._living()
        wanted = {folder: identity for folder in sorted(set(folders)) if (identity := _identity(folder))}
        self.complete = len(wanted) <= _MOST_FOLDERS
        wanted = dict(list(wanted.items())[:_MOST_FOLDERS])
        for folder in [folder for folder, (identity, _) in self._watches.items() if wanted.get(folder) != identity]:
            _, watch = self._watches.pop(folder)
            observer.unschedule(watch)
        new = False
        for folder in wanted.keys() - self._watches.keys():
            try:
                watch = observer.schedule(_Waker(self._waker), folder, recursive=False)
            except OSError:  # gone again, or no inotify instance left
                self.complete = False
                continue
            self._watches[folder] = (wanted[folder], watch)
            new = True
        return new

    def close(self) -> None:
        """End the threads."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(5)
        self._woken.close()
        self._waker.close()

    def _living(self) -> BaseObserver:
        """The observer; a new one in place of one with a thread that died, which would be silent for ever."""
        observer = self._observer
        if observer is not None and observer.is_alive() and all(each.is_alive() for each in observer.emitters):
            return observer
        if observer is not None:
            observer.stop()
        self._watches.clear()
        self._observer = observer = Observer()
        observer.daemon = True
        observer.start()
        return observer


def wake(waker: socket.socket) -> None:
    """Make the loop turn; that it was woken already is as good, and that it ended is nobody's concern."""
    try:
        waker.send(b"x")
    except OSError:
        return


def folders_of(paths: Iterable[str]) -> set[str]:
    """The folders in which something happens when one of these files becomes another.

    They are its own, and those of each symbolic link on the way to it.
    """
    found = {os.path.dirname(place) or "." for path in paths for place in places_of(path)}  # noqa: PTH120 - strings, of every file
    return {str(Path(folder).absolute()) for folder in found}


def places_of(path: str) -> Iterator[str]:
    """The names that decide which file this is: its own, and that of each symbolic link on the way to it."""
    place = path
    for _ in range(_LONGEST_CHAIN):
        yield place
        link = _first_link(place)
        if link is None:
            return
        where, rest = link
        yield where
        place = os.path.normpath(os.path.join(os.path.dirname(where), os.readlink(where), rest))  # noqa: PTH115, PTH118, PTH120 - as above


_LONGEST_CHAIN = 10


def _first_link(path: str) -> tuple[str, str] | None:
    """The first part of the path that is a symbolic link, and what follows it."""
    parts = path.split("/")
    for count in range(1, len(parts) + 1):
        head = "/".join(parts[:count])
        if head and os.path.islink(head):  # noqa: PTH114 - as above
            return head, "/".join(parts[count:])
    return None


def _identity(folder: str) -> tuple[int, int] | None:
    try:
        status = os.stat(folder)  # noqa: PTH116 - as above
    except OSError:
        return None
    return (status.st_dev, status.st_ino)
