"""What the watcher no longer needs goes back to the system: it runs for months, and rests nearly always."""

from __future__ import annotations

import ctypes

_libc = ctypes.CDLL(None)


def give_back() -> None:
    """Have the C library hand over its free pages, half a millisecond's work; where it cannot (musl), nothing happens.

    By itself it does so at the end of the heap only (malloc_trim(3)), which after a large plan is rarely free: 5 MB.
    """
    trim = getattr(_libc, "malloc_trim", None)
    if trim is not None:
        trim(0)
