"""A run that will be undone unless somebody confirms it: its record, and the process that waits.

The process is forked from the run, before anything is changed, and leaves its session: the end of
the run, of its shell or of the connection does not reach it. What was there before, secrets
included, it has in its memory and nowhere else.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from reconciler.errors import NetapplyError, Problem
from reconciler.kernel import control_group, files
from reconciler.kernel.processes import Identified, process_status

if TYPE_CHECKING:
    from reconciler.kernel.host import Host

FILE = "unconfirmed"
APPLIED, UNDONE = b"a", b"u"
"""The run's last word to the process; its end without one means that it died."""
_PATIENCE = 10.0
_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE)


@dataclass(frozen=True, slots=True)
class Waiting:
    """The record. ``until`` is the time since the epoch, 0 while the run is at work; ``failed`` what could not be undone."""

    stacks: tuple[str, ...]
    seconds: int
    pid: int
    started: int
    until: float = 0.0
    failed: tuple[str, ...] = ()

    @property
    def is_watched(self) -> bool:
        """Whether the process that would undo it still lives."""
        return Identified(self.pid, self.started).alive()


Work = Callable[[Waiting, int], None]


def read(run_directory: Path) -> Waiting | None:
    """The record of the host, or None."""
    try:
        found = json.loads((run_directory / FILE).read_bytes())
    except (OSError, ValueError):
        return None
    match found:
        case {
            "stacks": list(stacks),
            "seconds": int(seconds),
            "pid": int(pid),
            "started": int(started),
            "until": int() | float() as until,
            "failed": list(failed),
        }:
            return Waiting(tuple(map(str, stacks)), seconds, pid, started, until, tuple(map(str, failed)))
    return None


def write(run_directory: Path, waiting: Waiting) -> None:
    """Replace the record."""
    files.write_private(run_directory / FILE, json.dumps(asdict(waiting)))


def forget(run_directory: Path) -> None:
    """Remove it: the run is confirmed, or undone."""
    (run_directory / FILE).unlink(missing_ok=True)


def refuse(host: Host) -> None:
    """Raises NetapplyError while a run waits: what is done now would be undone with it, or make that impossible."""
    problem = standing(host)
    if problem:
        raise NetapplyError([problem])


def standing(host: Host) -> Problem | None:
    """What keeps others from changing the host: that a run waits, or that it could not be undone; None: nothing does."""
    waiting = read(host.run)
    if waiting is None:
        return None
    names = ", ".join(waiting.stacks)
    if waiting.failed:
        message = f"the last up of {names} was not confirmed in time, and could not be undone: {waiting.failed[0]}"
    elif waiting.is_watched:
        left = max(0, round(waiting.until - time.time()))
        message = f"the last up of {names} waits to be confirmed, {left} more seconds; then it is undone"
    else:
        message = f"the last up of {names} waits to be confirmed, and the process that would undo it is gone"
    named = f"-n {host.name} " if host.name else ""
    return Problem(message, hint=f"keep what it did: netapply {named}confirm")


def detach(run_directory: Path, stacks: tuple[str, ...], seconds: int, work: Work) -> int:
    """Write the record and start ``work`` in a process that outlives this one and its session.

    ``work`` gets the record and the descriptor on which the run's last word comes; the other end is returned.
    Raises NetapplyError, OSError.
    """
    word, word_end = os.pipe()
    hello, hello_end = os.pipe()
    child = os.fork()
    if child == 0:
        _become_detached(run_directory, stacks, seconds, work, word, hello_end)
    os.close(word)
    os.close(hello_end)
    try:
        os.waitpid(child, 0)
        ready, _, _ = select.select([hello], [], [], _PATIENCE)
        if not ready or not os.read(hello, 1):
            os.close(word_end)
            raise NetapplyError.of("the process that would undo this run did not start, so nothing is done")
    finally:
        os.close(hello)
    return word_end


def _become_detached(
    run_directory: Path, stacks: tuple[str, ...], seconds: int, work: Work, word: int, hello: int
) -> NoReturn:
    # Never back into the caller's frames: they would let go of a lock, and of descriptors, that are not ours.
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        os.chdir("/")
        os.umask(0o077)
        # The session's end may be the end of all that was started in it (KillUserProcesses= in logind.conf(5)).
        control_group.settle(os.getpid())
        _keep_only({word, hello})
        status = process_status(os.getpid())
        waiting = Waiting(stacks, seconds, os.getpid(), status.started if status else 0)
        write(run_directory, waiting)
        os.write(hello, b"1")
        os.close(hello)
        work(waiting, word)
    finally:
        os._exit(1)


def _keep_only(kept: set[int]) -> None:
    """Close all other descriptors, the caller's lock among them; the standard ones lead nowhere."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # only the names are wanted
        if int(name) not in {0, 1, 2, *kept}:
            with suppress(OSError):  # the listing's own
                os.close(int(name))
