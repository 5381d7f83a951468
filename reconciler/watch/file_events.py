"""Changes of files by others: of those that containers see in place of the host's, and of the host's that they follow.

What happened gives hints where to look; our own writes too, after which a look finds nothing to do.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from reconciler.kernel import container_files, host_files
from reconciler.kernel.host import Host
from reconciler.resources.container_file import ContainerFile
from reconciler.state import State
from reconciler.watch.folders import places_of
from reconciler.watch.hints import Hints
from reconciler.watch.inotify import IGNORED, OVERFLOW, Inotify

_SAID = {
    errno.ENOSPC: "no inotify watch is left: see fs.inotify.max_user_watches",
    errno.EMFILE: "no inotify instance is left: see fs.inotify.max_user_instances",
}


class FileEvents:
    """Hears of files of the host's containers. ``warn`` is told, once, why not all of them can be watched.

    Those are found when everything is looked at: whoever cannot hear looks more seldom, that is all.
    """

    def __init__(self, host: Host, warn: Callable[[str], None]) -> None:
        self._host = host
        self._warn = warn
        self._numbers: dict[str, int] = {}
        self._folders: dict[int, str] = {}
        self._containers: dict[int, str] = {}
        self._names: dict[int, set[str]] = {}
        """In folders of the host: the names that count."""
        self._watched: State | None = None
        self._is_warned = False
        self._inotify: Inotify | None = None
        try:
            self._inotify = Inotify()
        except OSError as error:
            self._complain(error)

    @property
    def is_open(self) -> bool:
        """Whether anything can be heard."""
        return self._inotify is not None

    def fileno(self) -> int:
        """For the loop, where it is open."""
        return self._inotify.fileno() if self._inotify else -1

    def watch(self, state: State) -> None:
        """Watch the folders of all container files of this state, and the files of the host."""
        if self._inotify is None or state is self._watched:
            return
        self._watched = state
        containers = {each.container for each in state if isinstance(each, ContainerFile)}
        wanted = {self._folder_of(container): container for container in containers}
        names = self._names_on_host() if wanted else {}
        for folder in self._numbers.keys() - wanted.keys() - names.keys():
            self._inotify.remove(self._numbers[folder])
            self._forget(self._numbers[folder])
        for folder, container in wanted.items():
            if folder not in self._numbers and (number := self._add(self._inotify, folder)):
                self._containers[number] = container
        for folder, counting in names.items():
            number = self._numbers.get(folder) or self._add(self._inotify, folder)
            if number:
                self._names[number] = counting

    def read(self, hints: Hints) -> None:
        """Take in what happened."""
        for number, mask, name in self._inotify.read() if self._inotify else ():
            if mask & OVERFLOW:
                hints.add("events of files were lost", full=True)
            elif number in self._containers:
                container = self._containers[number]
                hints.add(f"file of {container} changed", sandbox=container)
            elif number in self._names:
                self._on_host(number, name, hints)
            if mask & IGNORED:
                # The folder is gone; made anew, it is another one.
                self._forget(number)

    def _on_host(self, number: int, name: str, hints: Hints) -> None:
        sandbox = self._host.namespace_of(name) or ""
        if name in self._names[number]:
            hints.add(f"{name} of the host changed")
            # It may be a link that leads somewhere else now.
            self._watched = None
        elif self._folders[number] == str(container_files.NETNS_FILES) and self._folder_of(sandbox) in self._numbers:
            hints.add(f"{container_files.NETNS_FILES / name} changed", sandbox=sandbox)

    def close(self) -> None:
        """Stop listening."""
        if self._inotify is not None:
            self._inotify.close()

    def _folder_of(self, container: str) -> str:
        return f"{container_files.files_directory(self._host.run)}/{container}"

    def _names_on_host(self) -> dict[str, set[str]]:
        found = {str(container_files.NETNS_FILES): {self._host.name} - {""}}
        for path in host_files.paths(self._host):
            for place in places_of(str(path)):
                folder, _, name = place.rpartition("/")
                found.setdefault(folder or "/", set()).add(name)
        return found

    def _add(self, inotify: Inotify, folder: str) -> int:
        """Its number; 0 where it cannot be watched now."""
        try:
            number = inotify.add(folder)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                self._complain(error)
            return 0
        self._numbers[folder], self._folders[number] = number, folder
        return number

    def _forget(self, number: int) -> None:
        self._numbers.pop(self._folders.pop(number, ""), None)
        self._containers.pop(number, None)
        self._names.pop(number, None)
        self._watched = None

    def _complain(self, error: OSError) -> None:
        if not self._is_warned:
            self._is_warned = True
            self._warn(_SAID.get(error.errno or 0, error.strerror or str(error)))
