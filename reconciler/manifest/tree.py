"""Where manifests are read from: the disk, or whatever else has files in folders, such as a commit."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Protocol


class Tree(Protocol):
    """Files in folders, by paths as the user wrote them, relative to the current directory."""

    def read(self, path: str, most: int) -> bytes:
        """The first ``most`` bytes of a file. Raises OSError, or ValueError for what can be no path."""
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

    def read(self, path: str, most: int) -> bytes:
        """See `Tree`."""
        _check_form(path)
        with Path(path).open("rb") as file:
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


def _check_form(path: str) -> None:
    """Raises OSError for what is no file: reading a pipe or a terminal may take for ever, opening a device do anything.

    What the shell hands over as a descriptor, as in ``-f <(command)``, is the user's own choice.
    """
    place = Path(path)
    # Of a folder, or of nothing at all, the opening itself says so.
    if place.exists() and not (place.is_file() or place.is_dir() or path.startswith(_HANDED_OVER) or _is_null(place)):
        raise OSError(errno.EINVAL, "Not a regular file", path)


def _is_null(place: Path) -> bool:
    return place.is_char_device() and place.samefile("/dev/null")


_HANDED_OVER = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")

DISK = Disk()
