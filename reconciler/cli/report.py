"""What a run says on standard output while it is at work. That nobody can read it is no reason to leave the work."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from reconciler.errors import NetapplyError
from reconciler.plan.progress import Progress, undone_lines

if TYPE_CHECKING:
    from reconciler.plan.plan import Plan, Step
    from reconciler.reconcile import Outcome


class Report:
    """A line for each of the plan's entries when all of it is done, and how it ended."""

    def __init__(self, plan: Plan) -> None:
        self._progress = Progress(plan)
        self._planned = {id(step) for step in plan.steps}
        self._settling: list[str] = []
        self._lost: OSError | None = None

    def done(self, step: Step) -> None:
        """The step is done. Raises nothing."""
        line = self._progress.done(step.change)
        if line is None:
            return
        if id(step) in self._planned:
            self.write(line)
        else:
            # After a failure the host is settled; what was undone before that is known, and said, at the end only.
            self._settling.append(line)

    def write(self, line: str) -> None:
        """The line, unless an earlier one could not be written."""
        # Not click.echo, which flushes each line: five thousand of them into a pipe would take a tenth of the time.
        self._try(lambda: sys.stdout.write(f"{line}\n"))

    def ended(self, outcome: Outcome) -> None:
        """What was undone, if anything was, or the sum of what was done."""
        for line in (*undone_lines(step.change for step in outcome.undone), *self._settling):
            self.write(line)
        if not outcome.problems:
            self.write(self._progress.summary())

    def flush(self) -> None:
        """Hand over what was written, so that it stands before what comes on standard error. Raises nothing."""
        self._try(sys.stdout.flush)

    def close(self) -> None:
        """Raises NetapplyError where standard output took no more, and not because its reader had seen enough."""
        self.flush()
        if self._lost and not isinstance(self._lost, BrokenPipeError):
            reason = self._lost.strerror or str(self._lost)
            raise NetapplyError.of(
                f"standard output cannot be written: {reason}", hint="the run itself went on to its end"
            )

    def _try(self, write: Callable[[], object]) -> None:
        if self._lost:
            return
        try:
            write()
        except OSError as error:
            self._lost = error
            # What still waits in the buffer would fail again at the process' end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
