"""Where processes live that outlive their starter: in a unit of systemd of their own.

What is started in a service is born in that service's control group, and is killed, limited and counted with it
(systemd.kill(5)). At a shutdown, what no unit waits for any more is given 90 s to end, and the first process of a
container does not even see SIGTERM.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

UNIT_NAME = "netapply-processes.service"
"""Delegated to us, so that we may put processes there (systemd's CGROUP_DELEGATION document)."""

_BOOTED = Path("/run/systemd/system")
_MEMBERS = Path("/sys/fs/cgroup/system.slice", UNIT_NAME, "cgroup.procs")


def settle(pid: int) -> None:
    """Move a process there, and with it all that it starts from now on; where that unit does not run, it stays."""
    # sd_booted(3). Whoever has another /run, as in a container, is not to reach for the machine's units.
    if not _BOOTED.is_dir():
        return
    # Not there, another version of control groups, or the process has ended: all of these are fine.
    with suppress(OSError):
        members = os.open(_MEMBERS, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(members, str(pid).encode())
        finally:
            os.close(members)


def settled() -> bool:
    """Whether any process lives there, besides the one that keeps the group."""
    try:
        return len(_MEMBERS.read_bytes().split()) > 1
    except OSError:
        return False
