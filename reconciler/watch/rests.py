"""When the watcher rests: after a look that found nothing, between looks at everything, and while others hold the lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.watch.backoff import Backoff
from reconciler.watch.polls import Pace
from reconciler.watch.records import Round

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

BUSY_PAUSE, _BUSY_PAUSE_LONGEST = 0.05, 1.0
BUSY_WARNING = 10.0
"""Seconds after which it is said that somebody holds the lock."""

_LOOK_SHARE, _LOOK_LEAST, _LOOK_MOST = 0.0007, 60.0, 600.0
_LONGEST_BREAK = 10.0
"""After a look that found nothing come breaks, at most this many times as long as the look."""


class Rests:
    """``interval``: seconds between looks at everything, None: as often as costs next to nothing."""

    def __init__(self, interval: float | None, logger: FilteringBoundLogger) -> None:
        self.quiet_until = 0.0
        """Nothing that happens on the host is looked at before."""
        self._log = logger
        self._interval = interval
        self._breaks = 0.0
        self._look_pace = Pace(_LOOK_LEAST, _LOOK_SHARE, _LOOK_MOST)
        self._busy: Backoff | None = None
        self._busy_since = 0.0
        self._busy_said = False

    def after(self, done: Round, now: float, *, drift: bool) -> None:
        """Who looks without doing anything takes breaks that grow, so that a storm costs a part of the time only.

        ``drift``: something on the host gave the cause.
        """
        did = bool(done.changes or done.undone)
        self._breaks = 0.0 if did else min(self._breaks + 1.0, _LONGEST_BREAK)
        self.quiet_until = now + self._breaks * done.seconds if drift else now
        self._busy = None

    def next_look(self, done: Round, now: float) -> float:
        """When to look at everything again after a round that did."""
        self._look_pace.took(done.looking, now)
        return self._look_pace.due if self._interval is None else now + self._interval

    def while_locked(self, now: float, holder: str) -> float:
        """When to ask for the host's lock again: a little later each time; it is said where that takes long."""
        if self._busy is None:
            self._busy, self._busy_since, self._busy_said = Backoff(BUSY_PAUSE, _BUSY_PAUSE_LONGEST), now, False
        elif now - self._busy_since > BUSY_WARNING and not self._busy_said:
            self._busy_said = True
            seconds = round(now - self._busy_since, 1)
            self._log.warning("another netapply holds the host's lock", holder=holder, seconds=seconds)
        return self._busy.fail(now)
