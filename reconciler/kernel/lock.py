"""The host's lock: whoever changes it is alone, whoever looks waits a little and then looks all the same."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from reconciler.kernel import dead_hosts
from reconciler.kernel.host import Host

_READERS_WAIT = 2.0


@contextmanager
def held(host: Host, *, writing: bool) -> Iterator[None]:
    """Hold it. A writer waits as long as it takes; a reader at most two seconds, then warns and goes on."""
    path = host.run / "lock"
    if writing:
        host.make_run_folder()
    elif not path.exists():
        # Nobody ever wrote here, and who only looks leaves nothing behind.
        yield
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if writing:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            dead_hosts.remember(host)
            dead_hosts.collect(host)
        elif not _shared(descriptor):
            sys.stderr.write("warning: another netapply is changing this host; what follows may be half of it\n")
        yield
    finally:
        os.close(descriptor)


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
