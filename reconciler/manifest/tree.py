"""Where manifests are read from: the disk, or whatever else has files in folders, such as a commit."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Protocol


class Tree(Protocol):
    """Files in folders, by paths as the user wrote them, relative to the current directory."""

    def read(self, path: str, most: int, *, by_user: bool = False) -> bytes:
        """The first ``most`` bytes of a file. Raises OSError, or ValueError for what can be no path.

        ``by_user``: the user named it, not a file that may be a stranger's; then it may be what the shell hands
        over as a descriptor, as in ``-f <(command)``.
        """
        ...

    def is_file(self, path: str) -> bool:
        """Whether there is such a file."""
        ...

    def is_folder(self, path: str) -> bool:
        """Whether there is such a folder."""
        ...

    def names(self, folder: str) -> list[str]:
        """The names of what is in a folder, in no order."""
        ...


class Disk:
    """The files of this machine, as they are now."""

    def read(self, path: str, most: int, *, by_user: bool = False) -> bytes:
        """See `Tree`."""
        if by_user and path.startswith(_HANDED_OVER):
            with Path(path).open("rb") as file:
                return file.read(most)
        # Before it is opened as well: that alone may do anything, with a device.
        _check_form(Path(path).stat(), path)
        with open(path, "rb", opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            _check_form(status, path)
            if not status.st_size and os.path.realpath(path).startswith(_OF_KERNEL):
                raise OSError(errno.EINVAL, _NOT_REGULAR, path)
            # What has no size has no content, or is one of the kernel's files, mounted somewhere: those may wait for ever.
            return file.read(most) if status.st_size else b""

    def is_file(self, path: str) -> bool:
        """See `Tree`."""
        return Path(path).is_file()

    def is_folder(self, path: str) -> bool:
        """See `Tree`."""
        return Path(path).is_dir()

    def names(self, folder: str) -> list[str]:
        """See `Tree`."""
        return [path.name for path in Path(folder).iterdir()]


def _check_form(status: os.stat_result, path: str) -> None:
    """Raises OSError for what is no file: reading a pipe or a terminal may take for ever, opening a device do anything."""
    is_null = stat.S_ISCHR(status.st_mode) and status.st_rdev == Path(os.devnull).stat().st_rdev
    # Of a folder the reading itself says so.
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode) or is_null):
        raise OSError(errno.EINVAL, _NOT_REGULAR, path)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


_HANDED_OVER = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
_OF_KERNEL = ("/proc/", "/sys/")
_NOT_REGULAR = "Not a regular file"

DISK = Disk()
