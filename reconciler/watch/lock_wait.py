"""Who keeps the watcher from looking at the host, for ``status``."""

from __future__ import annotations

from collections.abc import Callable

SAYS_AFTER = 1.0
"""Seconds for which a lock that another holds is nothing to speak of."""


class LockWait:
    """Since when another one has the host's lock that the watcher needs. ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: float | None = None
        self.holder = ""
        """In words, who had it when it was asked for last; empty: nobody."""

    def goes_on(self, holder: str) -> None:
        """That one has it."""
        self._since = self._clock() if self._since is None else self._since
        self.holder = holder

    def is_over(self) -> None:
        """The watcher had it."""
        self._since, self.holder = None, ""

    @property
    def reason(self) -> str:
        """Why nobody knows how the host is by now; empty: it is known, or will be in a moment."""
        if self._since is None or self._clock() - self._since < SAYS_AFTER:
            return ""
        return f"waiting for this host's lock, which {self.holder} holds"
