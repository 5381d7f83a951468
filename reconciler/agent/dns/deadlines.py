"""Things that end by themselves some time after they last did something."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from reconciler.agent.loop import Loop

Item = TypeVar("Item", bound=Hashable)


class Deadlines(Generic[Item]):
    """Calls ``expire`` for each item that was not renewed or dropped for ``seconds``. One timer for all of them."""

    def __init__(self, loop: Loop, seconds: float, expire: Callable[[Item], None]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._expire = expire
        self._items: dict[Item, float] = {}
        """In the order of their ends, for all have the same time."""
        self._waiting = False

    def __len__(self) -> int:
        return len(self._items)

    def renew(self, item: Item) -> None:
        """Begin its time, or begin it anew."""
        self._items.pop(item, None)
        self._items[item] = time.monotonic() + self._seconds
        self._wait(self._seconds)

    def drop(self, item: Item) -> None:
        """It ended otherwise."""
        self._items.pop(item, None)

    def _wait(self, seconds: float) -> None:
        if not self._waiting:
            self._waiting = True
            self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._waiting = False
        now = time.monotonic()
        try:
            for item, end in list(self._items.items()):
                if end > now:
                    break
                if self._items.pop(item, None) is None:
                    continue  # gone with one before it
                self._expire(item)
        finally:
            if self._items:
                self._wait(max(0.0, next(iter(self._items.values())) - now))
