"""Processes: known beyond their number, ended surely, started so that they outlive us."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import shutil
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CLEAN_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}

# What Python or its caller ignores would stay ignored in what is started.
_DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Identified:
    """A process that cannot be mistaken for a later one of the same id: ``started`` in clock ticks since boot."""

    pid: int
    started: int

    def alive(self) -> bool:
        """Whether it still runs; one that only waits to be reaped does not."""
        status = process_status(self.pid)
        return status is not None and status.started == self.started and status.state not in "ZX"


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """Fields of proc_pid_stat(5)."""

    state: str
    parent: int
    session: int
    started: int


def process_status(pid: int) -> ProcessStatus | None:
    """What /proc says of it; None where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - read for every container of a host
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may itself hold spaces and parentheses.
    fields = text[text.rindex(b")") + 2 :].split()
    return ProcessStatus(fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]))


def command_line(pid: int) -> bytes:
    """Its arguments, each ended by NUL; empty where there is no such process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def is_like_us(pid: int) -> bool:
    """Whether it runs as our user, in our PID namespace.

    Anybody may give a process of theirs any arguments, also root in a container.
    """
    try:
        namespaces = {os.stat(f"/proc/{who}/ns/pid").st_ino for who in (pid, "self")}  # noqa: PTH116 - read for many
        # Not the owner of /proc/PID: it is root for whoever lets nobody trace him (proc_pid(5)).
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    users = next((line.split()[1:] for line in status.splitlines() if line.startswith("Uid:")), [])
    return len(namespaces) == 1 and set(users) == {str(os.geteuid())}


def signal_process(process: Identified, number: int) -> bool:
    """Send it a signal; False where it is gone."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        # The descriptor is of whoever has the id now; the start time says whether that is still ours.
        if not process.alive():
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def wait_for_end(processes: Iterable[Identified], timeout: float) -> list[Identified]:
    """Wait until all have ended, at most ``timeout`` seconds; those that have not."""
    deadline = time.monotonic() + timeout
    left = []
    for process in processes:
        try:
            descriptor = os.pidfd_open(process.pid)
        except ProcessLookupError:
            continue
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            if process.alive() and not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                left.append(process)
        finally:
            os.close(descriptor)
    return left


def spawn_detached(
    arguments: Sequence[str],
    descriptors: Sequence[int],
    environment: Mapping[str, str] = CLEAN_ENVIRONMENT,
) -> None:
    """Run a program with ``descriptors`` as its 0, 1, 2, … and no others, in a session of its own, nobody's child.

    It inherits the calling thread's namespaces, directory and umask. Raises OSError.
    """
    # Not by the PATH of whoever runs us, which may be a stranger's, or cron's.
    detach = shutil.which("setsid", path=CLEAN_ENVIRONMENT["PATH"])
    if detach is None:
        raise FileNotFoundError(errno.ENOENT, "setsid is not installed (package util-linux)")
    count = len(descriptors)
    high: list[int] = []
    try:
        # Out of the way of the numbers that they get: dup2 would close one that is still to be copied.
        high.extend(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, count) for descriptor in descriptors)
        pid = os.posix_spawn(
            detach,
            ["setsid", "--fork", *arguments],
            environment,
            file_actions=[
                *((os.POSIX_SPAWN_DUP2, descriptor, number) for number, descriptor in enumerate(high)),
                *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in _inheritable(count)),
            ],
            setsigmask=[],
            setsigdef=_DEFAULT_SIGNALS,
        )
    finally:
        for descriptor in high:
            os.close(descriptor)
    os.waitpid(pid, 0)


def _inheritable(least: int) -> list[int]:
    """Descriptors that our own starter left open to be inherited: whoever reads them to their end would wait for ever."""
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - only the names are wanted
        try:
            if int(name) >= least and os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:  # the one that the listing itself used
            continue
    return found
