"""When to try again: after a failure, for a command that ended, and against somebody who undoes what is healed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from reconciler.state import HOST_OWNER, Key


@dataclass(slots=True)
class Backoff:
    """Doubling pauses, in seconds: ``first``, twice that, … at most ``longest``."""

    first: float
    longest: float
    failures: int = 0
    until: float = 0.0

    def fail(self, now: float, least: float = 0.0) -> float:
        """Count a failure; when to try again, in ``least`` seconds or more."""
        self.until = now + min(self.longest, max(least, self.first * 2 ** min(self.failures, 30)))
        self.failures += 1
        return self.until

    def forgive(self, now: float) -> None:
        """Take back a failure that was counted just now, if one was."""
        if self.waits(now):
            self.failures -= 1
            self.until = now

    def waits(self, now: float) -> bool:
        """Whether it is too early."""
        return self.until > now


@dataclass(slots=True)
class _Restart:
    backoff: Backoff
    started: float = 0.0
    ended: bool = False
    count: int = 0


class Restarts:
    """Which commands that ended may be started again now. The first time at once, then after growing pauses.

    One that ran for ``steady`` seconds counts as well again.
    """

    def __init__(self, first: float = 0.1, longest: float = 60.0, steady: float = 10.0) -> None:
        self._first, self._longest, self._steady = first, longest, steady
        self._known: dict[str, _Restart] = {}

    def postponed(self, container: str, limit: int | None, now: float) -> bool:
        """Whether this one, found ended, has to wait; ``limit`` is how often at most it starts, None: always again."""
        known = self._known.setdefault(container, _Restart(Backoff(self._first, self._longest)))
        if not known.ended:
            known.ended = True
            if now - known.started > self._steady:
                known.backoff = Backoff(self._first, self._longest)
                known.count = 0 if known.started else known.count
                known.backoff.until = now
            else:
                known.backoff.fail(now)
        return known.backoff.waits(now) or (limit is not None and known.count >= limit)

    def started(self, container: str, now: float) -> None:
        """It was started again."""
        known = self._known.setdefault(container, _Restart(Backoff(self._first, self._longest)))
        known.started, known.ended = now, False
        known.count += 1

    def end_waiting(self) -> None:
        """Each may start now, unless it did so often enough; from then on the pauses grow from the first one again."""
        for known in self._known.values():
            known.backoff = Backoff(self._first, self._longest)

    def keep(self, containers: Iterable[str]) -> None:
        """Forget all but these."""
        wanted = set(containers)
        self._known = {name: known for name, known in self._known.items() if name in wanted}

    def count(self, container: str) -> int:
        """How often it was started again."""
        known = self._known.get(container)
        return known.count if known else 0

    def due(self, container: str, now: float) -> float:
        """When it may start again; one that does not wait may now."""
        known = self._known.get(container)
        return known.backoff.until if known and known.ended and known.backoff.waits(now) else now

    def next(self, now: float) -> float | None:
        """When the next one that waits is due."""
        due = [known.backoff.until for known in self._known.values() if known.ended and known.backoff.until > now]
        return min(due, default=None)


@dataclass(frozen=True, slots=True)
class Fight:
    """Somebody undoes the same thing again and again; nobody heals it before ``until``."""

    key: Key
    owner: str
    times: int
    until: float
    description: str


@dataclass(slots=True)
class _Healed:
    owner: str
    description: str
    last: float
    times: int = 1
    until: float = 0.0


@dataclass(slots=True)
class Fights:
    """Counts how often each object is healed.

    From ``patience`` times on, within ``window`` seconds of each other, its stack waits, each time twice as long,
    up to ``longest``.
    """

    patience: int = 20
    window: float = 15.0
    longest: float = 30.0
    _healed: dict[Key, _Healed] = field(default_factory=dict)

    def healed(self, key: Key, owner: str, description: str, now: float) -> Fight | None:
        """Count it; the fight, if it is one."""
        known = self._healed.get(key)
        if known is None or now - max(known.last, known.until) > self.window:
            self._healed[key] = _Healed(owner, description, now)
            return None
        known.times += 1
        known.last = now
        if known.times < self.patience:
            return None
        known.until = now + min(self.longest, 2.0 ** (known.times - self.patience))
        return Fight(key, owner, known.times, known.until, description)

    def waiting(self, now: float) -> frozenset[str]:
        """The owners that wait; with HOST_OWNER among them everybody does."""
        return frozenset(known.owner for known in self._healed.values() if known.until > now)

    def all(self, now: float) -> list[Fight]:
        """The fights that go on."""
        return [
            Fight(key, known.owner, known.times, known.until, known.description)
            for key, known in sorted(self._healed.items())
            if known.times >= self.patience and now - known.until < self.window
        ]

    def next(self, now: float) -> float | None:
        """When the next one that waits is due."""
        return min((known.until for known in self._healed.values() if known.until > now), default=None)

    def forget_old(self, now: float) -> None:
        """Let go of what was healed long ago."""
        kept = {k: known for k, known in self._healed.items() if now - max(known.last, known.until) <= self.window}
        self._healed = kept

    def stack_waits(self, stack_name: str, now: float) -> bool:
        """Whether drift of this stack is not to be healed now."""
        return not self.waiting(now).isdisjoint({stack_name, HOST_OWNER})
