"""Only one watcher per host: a lock that goes with its process, and the files of the one that holds it."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

from reconciler.errors import NetapplyError
from reconciler.kernel import lock
from reconciler.kernel.host import Host

LOCK_FILE = "watch.lock"
SOCKET_FILE = "watch.sock"


def become_watcher(host: Host, what: str) -> int:
    """The descriptor that makes this process the host's watcher. ``what`` is said to whoever comes second.

    Raises NetapplyError where there is one already.
    """
    while True:
        host.make_run_folder()
        try:
            descriptor = os.open(host.run / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # the last stack of the host took the folder away between the two lines
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = os.read(descriptor, 4096).decode(errors="replace").strip()
            os.close(descriptor)
            message = f"another watcher keeps this host already: {other or 'it is just starting'}"
            raise NetapplyError.of(message, hint="ask it with: netapply status") from None
        # Whoever held it may have removed the file: then this is a lock on nothing.
        if os.fstat(descriptor).st_nlink:
            break
        os.close(descriptor)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"process {os.getpid()}, {what}\n".encode())
    return descriptor


def resign(host: Host, descriptor: int) -> None:
    """Let another one be it, and leave no file behind."""
    for name in (SOCKET_FILE, LOCK_FILE):
        (host.run / name).unlink(missing_ok=True)
    os.close(descriptor)
    with suppress(NetapplyError, OSError), lock.held(host, writing=True, patience=1.0):
        pass  # takes the run folder away where nothing of ours is left in it
