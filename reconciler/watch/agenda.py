"""When what is due: named points in time, and one timer of the loop for the next of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum

from reconciler.agent.loop import Loop

NEVER = float("inf")


class Item(Enum):
    """What can be due."""

    FILES = "files may have changed"
    HINTS = "something happened"
    PUT_OFF = "what was put off"
    LOOK = "a look at everything"
    POLL = "what nobody speaks of"
    ALIVE = "a word to whoever looks whether we hang"


class Agenda:
    """Calls ``turn`` when an item is due, and perhaps at other times too."""

    def __init__(self, loop: Loop, turn: Callable[[], None]) -> None:
        self._loop = loop
        self._turn = turn
        self._due: dict[Item, float] = dict.fromkeys(Item, NEVER)
        self._armed = NEVER

    def set(self, item: Item, when: float) -> None:
        """It is due then, whatever was said before."""
        self._due[item] = when
        self._arm()

    def hasten(self, item: Item, when: float) -> None:
        """It is due then, or earlier if that was said before."""
        self.set(item, min(when, self._due[item]))

    def take(self, item: Item) -> bool:
        """Whether it is due; it is not any more afterwards."""
        # A timer may come a little early.
        if self._due[item] > time.monotonic() + 0.0005:
            return False
        self._due[item] = NEVER
        return True

    def turned(self) -> None:
        """A timer went off; arm the next one."""
        self._armed = NEVER
        self._arm()

    def _arm(self) -> None:
        first = min(self._due.values())
        # Timers cannot be taken back; a turn too many does no harm.
        if first < self._armed:
            self._armed = first
            self._loop.call_later(max(0.0, first - time.monotonic()), self._turn)
