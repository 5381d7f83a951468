"""inotify(7) without threads, for many folders: one descriptor, and a watch of 1 kB of the kernel's for each of them.

watchdog, which follows the folders of manifests, takes an inotify instance and two threads for each.
"""

from __future__ import annotations

import ctypes
import os
import struct

MODIFY, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x2, 0x40, 0x80, 0x100, 0x200
DELETE_SELF, MOVE_SELF, UNMOUNT, OVERFLOW, IGNORED = 0x400, 0x800, 0x2000, 0x4000, 0x8000
CHANGES = MODIFY | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF
_ONLY_FOLDERS = 0x01000000
_EVENT = struct.Struct("=iIII")
_BLOCK = 1 << 16
_libc = ctypes.CDLL(None, use_errno=True)


class Inotify:
    """Raises OSError where the user has no instance left (fs.inotify.max_user_instances)."""

    def __init__(self) -> None:
        self._descriptor = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def fileno(self) -> int:
        """For the loop."""
        return self._descriptor

    def add(self, folder: str, events: int = CHANGES) -> int:
        """Watch it for these, and no longer for others; a number that its events bear. The same folder has the same.

        Raises OSError: ENOENT or ENOTDIR, ENOSPC where no watch is left (fs.inotify.max_user_watches).
        """
        return _checked(_libc.inotify_add_watch(self._descriptor, os.fsencode(folder), events | _ONLY_FOLDERS))

    def remove(self, number: int) -> None:
        """Watch it no longer; one that is gone is fine."""
        _libc.inotify_rm_watch(self._descriptor, number)

    def read(self) -> list[tuple[int, int, str]]:
        """What happened: number of the folder (-1 with OVERFLOW), what, and the name in it (empty: itself)."""
        try:
            data = os.read(self._descriptor, _BLOCK)
        except BlockingIOError:
            return []
        found = []
        offset = 0
        while offset < len(data):
            number, mask, _, length = _EVENT.unpack_from(data, offset)
            offset += _EVENT.size
            found.append((number, mask, os.fsdecode(data[offset : offset + length].rstrip(b"\0"))))
            offset += length
        return found

    def close(self) -> None:
        """Let go of all."""
        os.close(self._descriptor)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
