"""The host's lock: whoever changes it is alone, whoever looks waits a little and then looks all the same."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from reconciler.errors import NetapplyError, Problem
from reconciler.kernel import dead_hosts, leftovers
from reconciler.kernel.host import RUN, Host

_READERS_WAIT = 2.0
_LOCK_FILE = "lock"


class LockBusyError(NetapplyError):
    """Somebody else is changing this host."""


@contextmanager
def held(host: Host, *, writing: bool, patience: float | None = None) -> Iterator[None]:
    """Hold it. A writer waits as long as it takes; a reader at most two seconds, then warns and goes on.

    A writer that leaves nothing of ours on the host takes the run folder away too. One with
    ``patience`` waits that many seconds only, then raises LockBusyError.
    """
    if not writing and not (host.run / _LOCK_FILE).exists():
        # Nobody ever wrote here, and who only looks leaves nothing behind.
        yield
        return
    descriptor = _for_writing(host, patience) if writing else _for_reading(host)
    try:
        if writing:
            dead_hosts.remember(host)
            dead_hosts.collect(host)
            leftovers.collect(host)
        yield
    finally:
        try:
            if writing:
                _remove_if_empty(host)
        finally:
            # One that stayed open would be held against this very process, for good.
            os.close(descriptor)


def _for_writing(host: Host, patience: float | None) -> int:
    deadline = None if patience is None else time.monotonic() + patience
    while True:
        host.make_run_folder()
        try:
            descriptor = _open(host)
        except FileNotFoundError:
            continue  # the folder was taken away between the two lines
        _lock_alone(descriptor, deadline)
        # Whoever held it may have removed the file: then this is a lock on nothing.
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)


def _lock_alone(descriptor: int, deadline: float | None) -> None:
    """Closes the descriptor where it raises."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if deadline is None else fcntl.LOCK_NB))
        except BlockingIOError:
            if deadline is not None and time.monotonic() >= deadline:
                os.close(descriptor)
                raise LockBusyError([Problem("another netapply is changing this host")]) from None
            time.sleep(0.01)
        else:
            return


def _for_reading(host: Host) -> int:
    try:
        descriptor = _open(host)
    except FileNotFoundError:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    if not _shared(descriptor):
        sys.stderr.write("warning: another netapply is changing this host; what follows may be half of it\n")
    return descriptor


def _open(host: Host) -> int:
    return os.open(host.run / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _shared(descriptor: int) -> bool:
    deadline = time.monotonic() + _READERS_WAIT
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        else:
            return True


def _remove_if_empty(host: Host) -> None:
    leftovers.remove_unused(host)
    if {path.name for path in host.run.iterdir()} <= {_LOCK_FILE, dead_hosts.NAME_FILE}:
        for name in (dead_hosts.NAME_FILE, _LOCK_FILE):
            (host.run / name).unlink(missing_ok=True)
        for folder in (host.run, RUN):
            with suppress(OSError):  # another host's folder, or one that just began, stands there
                folder.rmdir()
