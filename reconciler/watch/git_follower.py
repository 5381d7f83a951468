"""Follows a git repository in a thread of its own, so that a slow remote never holds up healing."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import TYPE_CHECKING

from reconciler.errors import NetapplyError, Problem
from reconciler.watch.folders import wake
from reconciler.watch.git_origin import Origin
from reconciler.watch.git_repository import Repository, folder_of

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


class Follower:
    """Updates ``repository`` at once and every ``interval`` seconds.

    ``fileno`` is ready when there is something new to say, as after the first update of all.
    """

    def __init__(self, repository: Repository, interval: float) -> None:
        self.repository = repository
        self.problem: Problem | None = None
        """Why the last update failed."""
        self.commit = repository.commit()
        self.updated = 0.0
        """When the last update that did not fail ended, in seconds since the epoch."""
        self._interval = interval
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            end.settimeout(0)
        self._due = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._follow, name="git", daemon=True)

    def update(self) -> None:
        """Update now, in the calling thread."""
        before = (self.commit, str(self.problem))
        try:
            self.commit = self.repository.update()
        except NetapplyError as error:
            self.problem = error.problems[0]
        except Exception as error:  # noqa: BLE001  # a thread that dies would follow nothing, and say nothing
            self.problem = Problem(f"git repository {self.repository.origin.shown}: {error!r}")
        else:
            self.problem = None
            self.updated = time.time()
        if before != (self.commit, str(self.problem)):
            wake(self._waker)

    def start(self) -> None:
        """Follow from now on."""
        self._thread.start()

    def tell(self, logger: FilteringBoundLogger) -> None:
        """Log what there is new to say."""
        origin, commit, problem = self.repository.origin, self.commit, self.problem
        if problem and commit:
            logger.error("git cannot be asked; the last commit stays", commit=commit, problem=str(problem))
        elif problem:
            logger.error("git cannot be asked; there is no commit yet", problem=str(problem))
        elif commit:
            logger.info("git", url=origin.shown, ref=origin.ref, commit=commit)
            if self.repository.commit_without_folder == commit:
                logger.warning("the commit has no such folder; it counts as an empty one", path=origin.path)

    def hasten(self) -> None:
        """Update at once."""
        self._due.set()

    def fileno(self) -> int:
        """For the loop."""
        return self._woken.fileno()

    def drain(self) -> None:
        """Take in that there is something new."""
        try:
            self._woken.recv(4096)
        except BlockingIOError:
            return

    def close(self) -> None:
        """End it, and the git that runs."""
        self._stopped = True
        self._due.set()
        self.repository.stop()
        if self._thread.is_alive():
            self._thread.join(5)
        self._woken.close()
        self._waker.close()

    def _follow(self) -> None:
        while not self._stopped:
            self.update()
            self._due.wait(self._interval)
            self._due.clear()


def follower_of(origin: Origin | None, host_name: str, interval: float) -> Follower | None:
    """What follows it for the host of that name; nothing follows nothing."""
    if origin is None:
        return None
    folder = folder_of(origin, host_name, os.environ)
    return Follower(Repository(origin, folder, os.environ), interval)
