"""The other half of ``up --confirm``: what the detached process does that undoes a run nobody confirmed."""

from __future__ import annotations

import os
import signal
import syslog
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from reconciler import reconcile
from reconciler.desired.scope import Scope
from reconciler.errors import NetapplyError, Problem
from reconciler.kernel import lock, unconfirmed
from reconciler.kernel.host import Host
from reconciler.kernel.machine import Machine
from reconciler.kernel.unconfirmed import Waiting
from reconciler.observation import Observation
from reconciler.plan.plan import Plan
from reconciler.plan.undo import backend_before, undone
from reconciler.reconcile import Outcome
from reconciler.state import State

_TICK = 0.1
_ATTEMPTS = 3
_PAUSE = 1.0


@dataclass(slots=True)
class Guarded:
    """A run at work under guard; ``finished`` tells the guard of its end."""

    task: _Task
    word_end: int

    def finished(self, outcome: Outcome) -> float:
        """The run is over; until when it can be confirmed, in seconds since the epoch. 0: nothing stands that could be."""
        host = self.task.host
        if outcome.problems and not self.task.undoing()[1].steps:
            unconfirmed.forget(host.run)
            os.write(self.word_end, unconfirmed.UNDONE)
            return 0.0
        waiting = unconfirmed.read(host.run)
        if waiting is None:
            raise NetapplyError.of("the record of this run is gone, so nothing undoes it")
        until = time.time() + waiting.seconds
        unconfirmed.write(host.run, replace(waiting, until=until))
        os.write(self.word_end, unconfirmed.APPLIED)
        return until


@contextmanager
def guarded(host: Host, scope: Scope, plan: Plan, before: Observation, seconds: int) -> Iterator[Guarded]:
    """Have ``plan`` undone when the block is left without a word, however that happens, or nobody confirms it in time.

    Entered before anything is done, under the host's lock. Raises NetapplyError.
    """
    task = _Task(host, scope, plan, before)
    stacks = tuple(sorted(scope.stacks))
    word_end = unconfirmed.detach(host.run, stacks, seconds, task.wait)
    try:
        yield Guarded(task, word_end)
    finally:
        os.close(word_end)


@dataclass(slots=True)
class _Task:
    host: Host
    scope: Scope
    plan: Plan
    before: Observation
    is_told_to: bool = False

    def wait(self, waiting: Waiting, word: int) -> None:
        """Wait for the run's end, then for a confirmation; then undo. Asked to end (SIGTERM), undo at once."""
        signal.signal(signal.SIGTERM, lambda *_: self._hurry())
        said = os.read(word, 1)
        if said == unconfirmed.UNDONE:
            return
        deadline = time.monotonic() + (waiting.seconds if said == unconfirmed.APPLIED else 0)
        while time.monotonic() < deadline and not self.is_told_to:
            if not self._is_still(waiting):
                return
            time.sleep(_TICK)
        self._undo(waiting)

    def _hurry(self) -> None:
        self.is_told_to = True

    def _is_still(self, waiting: Waiting) -> bool:
        found = unconfirmed.read(self.host.run)
        return found is not None and (found.pid, found.started) == (waiting.pid, waiting.started)

    def _undo(self, waiting: Waiting) -> None:
        problems: tuple[Problem, ...] = ()
        for attempt in range(_ATTEMPTS):
            with lock.held(self.host, writing=True):
                if not self._is_still(waiting):
                    return
                try:
                    # The last time all that can be undone is, even if that is not all.
                    problems = self._attempt(forward=attempt == _ATTEMPTS - 1).problems
                except NetapplyError as error:
                    problems = error.problems
                except OSError as error:
                    problems = (Problem(str(error)),)
                if not problems:
                    unconfirmed.forget(self.host.run)
                    _log(f"{', '.join(waiting.stacks)}: not confirmed, so undone")
                    return
                failed = tuple(each.message for each in problems)
                unconfirmed.write(self.host.run, replace(waiting, failed=failed))
            time.sleep(_PAUSE)
        _log(f"{', '.join(waiting.stacks)}: not confirmed, and not undone: {problems[0].message}")

    def undoing(self) -> tuple[Machine, Plan, State]:
        """What is left to undo of the run, and what it leads to. Raises NetapplyError, OSError."""
        # The run may have switched it: what was chosen for the run is not what the host had.
        machine = Machine(self.host, backend_before(self.before))
        now = machine.observe()
        wanted = undone(self.plan, self.before.state, now, host_rule=self.scope.host_rule)
        return machine, reconcile.plan_to(wanted, now), wanted

    def _attempt(self, *, forward: bool) -> Outcome:
        machine, plan, wanted = self.undoing()
        return reconcile.forward(machine, plan) if forward else reconcile.apply(machine, plan, wanted)


def _log(text: str) -> None:
    """Nobody is there to be told, so the system's log is."""
    syslog.openlog("netapply", syslog.LOG_PID, syslog.LOG_DAEMON)
    syslog.syslog(syslog.LOG_WARNING, text)
