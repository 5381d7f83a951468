"""While a run of somebody else waits to be confirmed nothing is done: it would be undone with it, or prevent that."""

from __future__ import annotations

from reconciler.errors import Problem
from reconciler.kernel import unconfirmed
from reconciler.kernel.host import Host
from reconciler.watch.hints import Hints


class Standstill:
    """``problem`` is that run; None: there is none."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.problem: Problem | None = None

    def lasts(self, hints: Hints) -> bool:
        """Whether nothing may be done now. Once it is over, everything is to be looked at: the ``hints`` say so."""
        before, self.problem = self.problem, unconfirmed.standing(self._host)
        if before and not self.problem:
            hints.add_timer("an unconfirmed run is over", full=True)
        return self.problem is not None
