"""The host's lock: whoever changes it is alone, whoever looks waits a little and then looks all the same."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from reconciler.errors import NetapplyError, Problem
from reconciler.kernel import dead_hosts, leftovers
from reconciler.kernel.host import RUN, Host
from reconciler.kernel.lock_holder import holder

_READERS_WAIT = 2.0
_SAYS_AFTER = 1.0
"""Seconds that a writer waits in silence."""

_LOCK_FILE = "lock"
WATCHED_FILE = "watched.json"
"""What a watcher remembers of the stacks of this host; nothing without them."""

Say = Callable[[str], None]


class LockBusyError(NetapplyError):
    """Somebody else is changing this host; ``holder`` says who."""

    def __init__(self, holder: str) -> None:
        super().__init__([Problem(f"another netapply is changing this host: {holder}")])
        self.holder = holder


@contextmanager
def held(host: Host, *, writing: bool, patience: float | None = None) -> Iterator[None]:
    """Hold it. A writer waits as long as it takes; a reader at most two seconds, then warns and goes on.

    A writer that waits for longer than a second says for whom. One that leaves nothing of ours on the host takes the
    run folder away too. One with ``patience`` waits that many seconds only, then raises LockBusyError.
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


def wait_until_free(host: Host, say: Say) -> None:
    """Wait until nobody holds it. ``say`` is told, from a thread, who does where that takes longer than a second."""
    os.close(_for_writing(host, None, say))


def _for_writing(host: Host, patience: float | None, say: Say | None = None) -> int:
    deadline = None if patience is None else time.monotonic() + patience
    while True:
        host.make_run_folder()
        try:
            descriptor = _open(host)
        except FileNotFoundError:
            continue  # the folder was taken away between the two lines
        if deadline is None:
            _wait_for(descriptor, say or _say_on_standard_error)
        else:
            _lock_alone(descriptor, deadline)
        # Whoever held it may have removed the file: then this is a lock on nothing.
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)


def _lock_alone(descriptor: int, deadline: float) -> None:
    """Closes the descriptor where it raises."""
    while not _try(descriptor, fcntl.LOCK_EX):
        if time.monotonic() >= deadline:
            who = holder(descriptor)
            os.close(descriptor)
            raise LockBusyError(who)
        time.sleep(0.01)


def _wait_for(descriptor: int, say: Say) -> None:
    """The kernel wakes us when it is free; meanwhile a thread says, once, who has it."""
    if _try(descriptor, fcntl.LOCK_EX):
        return
    from threading import Timer  # noqa: PLC0415 - who has to wait can wait for that, too

    timer = Timer(_SAYS_AFTER, lambda: say(holder(descriptor)))
    timer.daemon = True
    timer.start()
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except BaseException:
        os.close(descriptor)
        raise
    finally:
        timer.cancel()
        timer.join()


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _say_on_standard_error(who: str) -> None:
    with suppress(OSError):
        sys.stderr.write(f"note: waiting for this host's lock, which {who} holds\n")
        sys.stderr.flush()


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
    while not _try(descriptor, fcntl.LOCK_SH):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _remove_if_empty(host: Host) -> None:
    leftovers.remove_unused(host)
    if {path.name for path in host.run.iterdir()} <= {_LOCK_FILE, dead_hosts.NAME_FILE, WATCHED_FILE}:
        for name in (WATCHED_FILE, dead_hosts.NAME_FILE, _LOCK_FILE):
            (host.run / name).unlink(missing_ok=True)
        for folder in (host.run, RUN):
            with suppress(OSError):  # another host's folder, or one that just began, stands there
                folder.rmdir()
