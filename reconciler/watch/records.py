"""What the watcher was asked to do, and what it notes of its stacks and its rounds."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from reconciler.errors import Problem
from reconciler.plan.change import Change
from reconciler.state import HOST_OWNER
from reconciler.watch.backoff import Backoff, Fight

PRUNE_AFTER = 1.0
"""Seconds that a manifest must be gone before its stack goes: a checkout takes files away and puts them back."""

START_PATIENCE = 2.0
"""Seconds without any progress after which starting commands is given up, the first time: a runtime that hangs must not
keep other stacks from being healed. One that is only slow gets twice as long each time."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How the watcher was asked to behave."""

    prune: bool = True
    allow_empty: bool = False
    adopt: bool = False
    host_rule: bool = True
    prune_after: float = PRUNE_AFTER
    start_patience: float = START_PATIENCE


@dataclass(slots=True)
class StackRecord:
    """What is known of one watched stack, for ``status``. Times are seconds since the epoch."""

    error: tuple[Problem, ...] = ()
    error_time: float = 0.0
    applied_time: float = 0.0
    healed: int = 0
    backoff: Backoff = field(default_factory=lambda: Backoff(1.0, 60.0))


class StackRecords(dict[str, StackRecord]):
    """The records by stack; HOST_OWNER's is of what all share."""

    def of(self, name: str) -> StackRecord:
        """That stack's, a new one where there was none."""
        return self.setdefault(name, StackRecord())

    def errors_of(self, name: str) -> tuple[Problem, ...]:
        """What failed, of the stack's own or of what all share."""
        found = (self[each].error for each in (name, HOST_OWNER) if each in self)
        return next(filter(None, found), ())

    def note_error(self, name: str, problems: tuple[Problem, ...], now: float, least: float) -> None:
        """It failed now: it is tried again in ``least`` seconds or more."""
        record = self.of(name)
        record.error, record.error_time = problems, time.time()
        record.backoff.fail(now, least)

    def note_success(self, name: str, *, is_new: bool) -> None:
        """It is as it should be; ``is_new``: as its manifest says since now."""
        record = self.of(name)
        if is_new or record.error:
            record.applied_time = time.time()
        record.error = ()
        record.backoff = StackRecord().backoff


@dataclass(frozen=True, slots=True)
class Round:
    """What one reconcile did: the ``changes`` that stand, and how many were ``undone``.

    ``healed`` of the changes put back what somebody else had changed.
    """

    changes: tuple[Change, ...] = ()
    undone: int = 0
    problems: tuple[Problem, ...] = ()
    healed: int = 0
    fights: tuple[Fight, ...] = ()
    full: bool = False
    busy: bool = False
    seconds: float = 0.0
    looking: float = 0.0
    """Seconds of a processor that looking at the host took."""
