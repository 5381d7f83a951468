"""Private mount namespaces: what is mounted there is nobody else's and goes with its last process."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable

# linux/sched.h, linux/mount.h, sys/mount.h
CLONE_NEWNS = 0x00020000
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_REC = 0x4000
MS_SLAVE = 0x80000

_CGROUP2_MAGIC = 0x63677270  # linux/magic.h
_CGROUP_DIRECTORY = "/sys/fs/cgroup"


def mount(source: str, target: str, file_system: str, flags: int = 0, options: str = "") -> None:
    """Mount in the calling thread's mount namespace; paths may be relative. Raises OSError (mount(2))."""
    library = ctypes.CDLL(None, use_errno=True)
    texts = [text.encode() for text in (source, target, file_system)]
    if library.mount(*texts, ctypes.c_ulong(flags), options.encode()):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def unshare_mounts() -> None:
    """Give the calling thread a mount namespace, a current directory and a umask of its own.

    What the host unmounts goes here too (slave propagation), so that no disk stays busy because of us.
    """
    library = ctypes.CDLL(None, use_errno=True)
    # unshare(2): CLONE_NEWNS implies CLONE_FS, hence the thread's own directory and umask.
    if library.unshare(CLONE_NEWNS):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    mount("none", "/", "none", MS_REC | MS_SLAVE)


def enter_mounts(descriptor: int) -> None:
    """setns(2) of the calling thread into a mount namespace; the current directory becomes its root."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(descriptor, CLONE_NEWNS):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def unified_cgroups() -> bool:
    """Whether /sys/fs/cgroup is the one cgroup version 2 hierarchy."""
    # statfs(2): struct statfs begins with a word f_type; Python's os.statvfs leaves it out.
    library = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(512)
    if library.statfs(_CGROUP_DIRECTORY.encode(), buffer):
        return False
    return ctypes.c_long.from_buffer(buffer).value == _CGROUP2_MAGIC


def cover_cgroups() -> None:
    """Mount the version 2 hierarchy over /sys/fs/cgroup in the calling thread's mount namespace."""
    mount("none", _CGROUP_DIRECTORY, "cgroup2")


class PrivateMounts(threading.Thread):
    """Runs a function in a thread of its own, in a private mount namespace, and hands back what it gave.

    A thread and not a process: a fork would copy the whole program, and what the function spawns
    inherits the thread's namespace, directory and umask.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        super().__init__(name="private-mounts", daemon=True)
        self._function = function
        self._failure: BaseException | None = None

    def run(self) -> None:
        """What the thread does; ``finish`` is for callers."""
        try:
            unshare_mounts()
            self._function()
        except BaseException as failure:  # noqa: BLE001 - handed over to the caller's thread by finish()
            self._failure = failure

    def finish(self) -> None:
        """Start, wait for the end, and raise what was raised there."""
        self.start()
        self.join()
        if self._failure is not None:
            raise self._failure
