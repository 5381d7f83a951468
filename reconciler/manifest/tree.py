"""Where manifests are read from: the disk, or whatever else has files in folders, such as a commit."""

from __future__ import annotations

import errno
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
        place = Path(path)
        if not (by_user and path.startswith(_HANDED_OVER)):
            _check_form(place)
            # What has no size has no content, or is a file of the kernel's, mounted anywhere: some wait for ever.
            most = most if place.stat().st_size else 0
        with place.open("rb") as file:
            return file.read(most)

    def is_file(self, path: str) -> bool:
        """See `Tree`."""
        return Path(path).is_file()

    def is_folder(self, path: str) -> bool:
        """See `Tree`."""
        return Path(path).is_dir()

    def names(self, folder: str) -> list[str]:
        """See `Tree`."""
        return [path.name for path in Path(folder).iterdir()]


def _check_form(place: Path) -> None:
    """Raises OSError for what is no file: reading a pipe or a terminal may take for ever, opening a device do anything."""
    mode = place.stat().st_mode
    is_null = stat.S_ISCHR(mode) and place.samefile("/dev/null")
    # Of a folder the opening itself says so.
    is_form = stat.S_ISREG(mode) or stat.S_ISDIR(mode) or is_null
    if not is_form or (stat.S_ISREG(mode) and str(place.resolve()).startswith(_OF_KERNEL)):
        raise OSError(errno.EINVAL, "Not a regular file", str(place))


_HANDED_OVER = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
_OF_KERNEL = ("/proc/", "/sys/")

DISK = Disk()
