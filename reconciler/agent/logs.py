"""Commands' logs: of one that has grown long, the oldest part is given back to the kernel.

They stand below /run, which is memory. Nothing is moved or renamed, for commands hold them open; fallocate(2)
makes a hole of what is old, so that whoever reads or writes goes on where it was.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
import time

from reconciler.agent.log import log
from reconciler.agent.loop import Loop

LONGEST = 16 << 20
"""Bytes from which on a log is shortened; a command that writes fast has written more by then."""
KEPT = 8 << 20
_LOOK_LEAST, _LOOK_SHARE = 5.0, 0.0005
_KEEP_SIZE, _PUNCH_HOLE = 0x1, 0x2


class Logs:
    """Looks every few seconds; less often where there are so many that it would cost more than a 2000th of the time."""

    def __init__(self, loop: Loop, run_directory: str) -> None:
        self._loop = loop
        self._bundles = os.path.join(run_directory, "processes")  # noqa: PTH118 - pathlib costs the agent 5 ms
        self._loop.call_later(_LOOK_LEAST, self._look)

    def _look(self) -> None:
        began = time.monotonic()
        try:
            for stack in _folders(self._bundles):
                for bundle in _folders(stack):
                    shorten(os.path.join(bundle, "log"))  # noqa: PTH118 - as above
        except OSError as error:
            log("warning", "a command's log could not be shortened", path=error.filename, message=error.strerror)
            if error.errno == errno.EOPNOTSUPP:
                return
        finally:
            pause = max(_LOOK_LEAST, (time.monotonic() - began) / _LOOK_SHARE)
        self._loop.call_later(pause, self._look)


def shorten(path: str) -> None:
    """Free all but the last KEPT bytes of the file, if it takes more than LONGEST; one that is gone is fine.

    Raises OSError: EOPNOTSUPP where the file system cannot make holes.
    """
    try:
        # Asked first, without opening: nearly all are short.
        if os.lstat(path).st_blocks * 512 <= LONGEST:
            return
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        status = os.fstat(descriptor)
        length = (status.st_size - KEPT) // mmap.PAGESIZE * mmap.PAGESIZE
        if stat.S_ISREG(status.st_mode) and length > 0:
            _free(descriptor, path, length)
    finally:
        os.close(descriptor)


def _free(descriptor: int, path: str, length: int) -> None:
    import ctypes  # noqa: PLC0415 - few agents need it: 2 ms, 1 MB

    libc = ctypes.CDLL(None, use_errno=True)
    # glibc's fallocate takes 32 bits on 32-bit machines; musl has only that name, with 64 bits.
    fallocate = getattr(libc, "fallocate64", None) or libc.fallocate
    if fallocate(descriptor, _PUNCH_HOLE | _KEEP_SIZE, ctypes.c_int64(0), ctypes.c_int64(length)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)


def _folders(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
