"""Ctrl-C, a closed terminal and SIGTERM, while the host is changed: the run is taken back and not left half done."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from reconciler.errors import NetapplyError
from reconciler.plan.plan import Plan, Stage, Step

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WORDS = b"\ninterrupted: undoing what can be undone, finishing the rest; once more to leave everything as it is\n"


@dataclass(slots=True)
class Interruption:
    """Whether somebody asked the run to end; ``reversible`` are its steps that can be undone, by identity."""

    reversible: frozenset[int]
    asked: bool = False

    def check(self, step: Step) -> None:
        """After a step. Raises NetapplyError where the run shall end there, which takes back the steps before it."""
        if self.asked and id(step) in self.reversible:
            raise NetapplyError.of(
                "interrupted, so what was not complete is undone", hint="the same command does it again"
            )

    def ask(self, number: int, frame: FrameType | None) -> None:
        """The signals' handler. Asked twice it raises KeyboardInterrupt, wherever the run is."""
        del number, frame  # whichever it was
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        with suppress(OSError):  # the terminal may be what was lost
            os.write(2, _WORDS)


@contextmanager
def deferred(plan: Plan) -> Iterator[Interruption]:
    """Within the block a signal that would end the process asks for an end between two steps.

    A signal that is ignored (nohup(1)) stays so. Without effect outside of the main thread, which alone gets signals.
    """
    interruption = Interruption(frozenset(id(step) for step in plan.steps if step.stage < Stage.STOP))
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, interruption.ask)
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
