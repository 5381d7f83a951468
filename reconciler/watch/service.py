"""The watcher: one thread, one loop. Events give hints, hints are gathered for a moment, then the keeper reconciles."""

from __future__ import annotations

import gc
import os
import resource
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reconciler.agent.control import ControlServer
from reconciler.agent.loop import READ, Loop
from reconciler.kernel.host import Host
from reconciler.kernel.machine import Machine
from reconciler.watch import memory, report
from reconciler.watch.agenda import Agenda, Item
from reconciler.watch.alone import SOCKET_FILE, become_watcher, resign
from reconciler.watch.git_follower import Follower, follower_of
from reconciler.watch.git_origin import Origin
from reconciler.watch.hearing import Hearing
from reconciler.watch.hints import Hints
from reconciler.watch.journal import Journal
from reconciler.watch.keeper import Keeper
from reconciler.watch.manifest_events import ManifestEvents
from reconciler.watch.manifests import Directory, Manifests
from reconciler.watch.notify import Supervisor
from reconciler.watch.once import once, once_of_git
from reconciler.watch.polls import Pace, Polls
from reconciler.watch.records import Policy, Round
from reconciler.watch.rests import Rests

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from reconciler.watch.metrics import Metrics

_KERNEL_PAUSE = 0.004
"""Seconds that events of the kernel are gathered: what one command does comes within a few milliseconds."""

_POLL_PAUSE = 0.5
_UNCONFIRMED_PAUSE = 0.25
"""Seconds between looks whether an unconfirmed run is over: one small file."""

_FILES_POLL, _FILES_POLL_UNWATCHED = 30.0, 2.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How to watch. ``interval``: seconds between looks at everything, None: as often as costs next to nothing."""

    directories: tuple[str, ...]
    policy: Policy = field(default_factory=Policy)
    interval: float | None = None
    metrics: str = ""
    origin: Origin | None = None
    """The git repository to follow."""
    origin_interval: float = 60.0


class Service:
    """Watches until stopped. The calling thread stands in the host's network namespace."""

    def __init__(self, host: Host, machine: Machine, settings: Settings, logger: FilteringBoundLogger) -> None:
        self._host = host
        self._settings = settings
        self._log = logger
        self._supervisor = Supervisor()
        self._follower = follower_of(settings.origin, host.name, settings.origin_interval)
        followed = (str(self._follower.repository.manifests),) if self._follower else ()
        self._watched = (*settings.directories, *followed)
        # Before the first commit there is no folder to look at.
        is_there = self._follower is None or bool(self._follower.commit)
        self._manifests = Manifests(self._watched if is_there else settings.directories, os.environ)
        self._keeper = Keeper(machine, self._manifests, settings.policy, lambda _step: self._supervisor.alive())
        self._journal = Journal(logger, self._keeper)
        self._metrics = _metrics(self._follower) if settings.metrics else None
        self._polls = Polls(host)
        self._hints = Hints()
        self._started = time.time()
        self._rounds = 0
        self._reloading = False
        self._rests = Rests(settings.interval, logger)
        self._is_ready = False
        # Without a commit, the host is like the manifests only after git was asked for the first time.
        self._waits_for_git = not is_there

    def once(self) -> bool:
        """Read the manifests and make the host like them; whether all is well."""
        if self._follower is None:
            return once(self._keeper, self._journal, self._log)
        # The repository's folder has one user at a time.
        lock = become_watcher(self._host, f"watching {self._follower.repository.origin.shown}")
        try:
            self._look_at_all()
            return once_of_git(self._follower, self._keeper, self._journal, self._log)
        finally:
            resign(self._host, lock)

    def run(self) -> None:
        """Until SIGTERM or SIGINT. Raises NetapplyError where another watcher is at work."""
        lock = become_watcher(self._host, f"watching {' '.join(self._watched)}")
        try:
            with ExitStack() as closing:
                self._open(closing)
                self._log.info("watching", directories=list(self._watched), pid=os.getpid())
                self._hints.add_timer("start", full=True)
                self._agenda.set(Item.FILES, 0.0)
                self._agenda.set(Item.HINTS, 0.0)
                self._agenda.set(Item.ALIVE, self._supervisor.next_word())
                self._loop.run()
                self._supervisor.say("STOPPING=1")
        finally:
            resign(self._host, lock)
        self._log.info("stopped")

    def _open(self, closing: ExitStack) -> None:
        _allow_many_descriptors()
        self._loop = loop = Loop(self._on_error)
        self._agenda = Agenda(loop, self._turn)
        closing.callback(loop.close)
        closing.callback(signal.set_wakeup_fd, -1)
        loop.stop_on(signal.SIGTERM, signal.SIGINT)
        signal.signal(signal.SIGHUP, lambda _number, _frame: loop.call_later(0, self._on_hangup))
        control = ControlServer(loop, str(self._host.run), {"status": self._status}, SOCKET_FILE)
        closing.callback(control.close)
        if self._metrics:
            server = self._metrics.serve(loop, self._settings.metrics, self._keeper)
            closing.callback(server.close)
        self._hearing = Hearing(
            loop,
            self._host,
            lambda: self._hints,
            self._soon,
            lambda why: self._log.warning("changed files are found late", problem=why),
        )
        closing.callback(self._hearing.close)
        self._files = ManifestEvents(loop, self._manifests, lambda when: self._agenda.set(Item.FILES, when))
        closing.callback(self._files.close)
        if self._follower:
            self._follow_git(closing, self._follower)

    def _follow_git(self, closing: ExitStack, follower: Follower) -> None:
        def news() -> None:
            follower.drain()
            follower.tell(self._log)
            if follower.commit:
                self._look_at_all()
            self._agenda.set(Item.FILES, 0.0)
            if self._waits_for_git:
                self._waits_for_git = False
                self._hints.add_timer("git")
                self._agenda.set(Item.HINTS, 0.0)

        closing.callback(follower.close)
        self._loop.watch(follower, READ, news)
        follower.start()

    def _look_at_all(self) -> None:
        for path in self._watched:
            self._manifests.directories.setdefault(path, Directory(path))

    def _status(self, _request: dict[str, Any]) -> dict[str, Any]:
        return report.document(self._keeper, self._started, self._rounds, self._follower)

    def _on_hangup(self) -> None:
        self._supervisor.say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        self._reloading = True  # of the causes, only the first few are kept
        self._keeper.retry_now()
        if self._follower:
            self._follower.hasten()
        self._hints.add_timer("SIGHUP", full=True)
        self._agenda.set(Item.FILES, 0.0)
        self._agenda.set(Item.HINTS, 0.0)

    def _soon(self) -> None:
        if self._hints:
            self._agenda.hasten(Item.HINTS, max(time.monotonic() + _KERNEL_PAUSE, self._rests.quiet_until))

    def _turn(self) -> None:
        """Do what is due."""
        self._supervisor.alive()
        if self._agenda.take(Item.ALIVE):
            self._agenda.set(Item.ALIVE, self._supervisor.next_word())
        if self._agenda.take(Item.FILES):
            self._read_manifests(thorough=True)
        if self._agenda.take(Item.POLL):
            self._poll()
        if self._agenda.take(Item.PUT_OFF):
            self._hints.add_timer("what was put off")
            self._agenda.set(Item.HINTS, 0.0)
        if self._agenda.take(Item.LOOK):
            self._hints.add_timer("interval", full=True)
            self._agenda.set(Item.HINTS, 0.0)
        if self._agenda.take(Item.HINTS) and self._hints:
            self._reconcile()
        self._agenda.turned()

    def _poll(self) -> None:
        observation = self._keeper.observation
        if observation is not None:
            self._polls.look(observation, self._hints)
            self._soon()
        if self._polls.files.due <= time.monotonic():
            self._read_manifests(thorough=False)
        # Without an observation nothing was compared, and what was due still is.
        earliest = time.monotonic() + _POLL_PAUSE if observation is None else 0.0
        self._agenda.set(Item.POLL, max(self._polls.next, earliest))

    def _read_manifests(self, *, thorough: bool) -> None:
        began = time.monotonic()
        changed = self._files.read(thorough=thorough)
        now = time.monotonic()
        self._polls.files = Pace(_FILES_POLL if self._files.complete else _FILES_POLL_UNWATCHED)
        self._polls.files.took(now - began, now)
        self._journal.manifests()
        if changed:
            self._keeper.changed(changed)
            self._hints.add_timer(f"manifest of {', '.join(sorted(changed)[:5])}")
            self._agenda.set(Item.HINTS, 0.0)

    def _reconcile(self) -> None:
        hints, self._hints = self._hints, Hints()
        self._polls.before_round(hints)
        done = self._keeper.reconcile(hints)
        now = time.monotonic()
        if done.busy:
            self._hints = hints
            self._journal.busy()
            if self._keeper.standstill.problem:
                self._agenda.set(Item.HINTS, now + _UNCONFIRMED_PAUSE)
                # It may last for longer than a service manager has patience.
                self._tell_ready()
            else:
                self._agenda.set(Item.HINTS, self._rests.while_locked(now, self._keeper.lock_wait.holder))
            return
        self._rounds += 1
        if self._metrics:
            self._metrics.count(done)
        self._journal.round(done, hints.cause, self._hearing.last_writer)
        self._rests.after(done, now, drift=hints.drift)
        if done.full:
            self._agenda.set(Item.LOOK, self._rests.next_look(done, now))
        put_off = self._keeper.next_due()
        if put_off is not None:
            self._agenda.set(Item.PUT_OFF, put_off)
        self._follow(done)
        if self._rounds == 1:
            self._agenda.set(Item.POLL, time.monotonic())
        self._tell_ready()

    def _follow(self, done: Round) -> None:
        """Hear what is new, and look once more after a change: whatever others did meanwhile is seen then."""
        self._hearing.follow(self._keeper.observation, is_new=bool(done.changes) or done.full)
        if done.changes:
            self._hints.add("own changes")
        memory.give_back()
        self._soon()

    def _tell_ready(self) -> None:
        if self._is_ready and self._reloading:
            self._supervisor.say("READY=1")
        self._reloading = False
        if not self._is_ready and not self._waits_for_git:
            self._ready()

    def _ready(self) -> None:
        self._is_ready = True
        self._supervisor.say("READY=1", f"STATUS=watching {' '.join(self._watched)}")
        # What was imported and read stays; only what comes and goes is looked through for garbage.
        gc.collect()
        gc.freeze()
        gc.enable()

    def _on_error(self, error: BaseException) -> None:
        self._log.error("internal error", exc_info=error)
        self._hints.add_timer("an internal error", full=True)
        self._agenda.set(Item.HINTS, time.monotonic() + 1.0)
        self._agenda.turned()


def _metrics(follower: Follower | None) -> Metrics:
    # 2 MB, for who asked for it.
    from reconciler.watch.metrics import Metrics  # noqa: PLC0415 - as said

    metrics = Metrics()
    if follower:
        metrics.follow(follower)
    return metrics


def _allow_many_descriptors() -> None:
    """One for each running command; the usual 1024 are for programs that use select(2)."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
