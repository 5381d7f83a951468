"""Performs the steps of a plan. It decides nothing: what is done, undone and in which order stands in the steps."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from reconciler.actions import ForgetNames, Netlink, ServeNames, StartProcess, StopProcess
from reconciler.errors import NetapplyError, Problem, Source
from reconciler.kernel.netlink import RouteSocket
from reconciler.kernel.perform import Performer
from reconciler.netlink.encode import patched
from reconciler.plan.change import Change, Create, Delete, Update, actions_of
from reconciler.plan.diff import with_implied
from reconciler.plan.plan import Step
from reconciler.resources.resolver import Resolver
from reconciler.state import Kind

Progress = Callable[[Step], None]
_REFUSAL = "the kernel refused to"


class Queued(NamedTuple):
    """A netlink request that waits for its batch, and the step it belongs to."""

    position: int
    request: Netlink


@dataclass(slots=True)
class Executor:
    """Performs steps in order, netlink requests of one namespace in one send.

    ``attempted`` counts the steps that may have had an effect.
    """

    performer: Performer
    progress: Progress = lambda _step: None
    keep_going: bool = False
    attempted: int = 0
    problems: list[Problem] = field(default_factory=list)
    _queue: list[Queued] = field(default_factory=list)
    _unreported: list[Step] = field(default_factory=list)

    def run(self, steps: Sequence[Step]) -> None:
        """Perform them. Raises NetapplyError at the first that fails, unless ``keep_going``: then all are collected."""
        position = 0
        while position < len(steps):
            end = _group_end(steps, position)
            self.attempted = end
            kind = _together(steps[position])
            if kind:
                self._flush(steps)
                self._perform_together(kind, [step.change for step in steps[position:end]])
            else:
                self._perform(steps, position)
            self._unreported += steps[position:end]
            if not self._queue:
                self._report_progress()
            position = end
        self._flush(steps)
        self._report_progress()

    def _report_progress(self) -> None:
        """Name what is done; a step whose request still waits for its batch is not."""
        waiting, self._unreported = self._unreported, []
        for step in waiting:
            self.progress(step)

    def _perform_together(self, kind: str, changes: list[Change]) -> None:
        """Firewall changes are one transaction, a stack's names one message; commands start, and stop, side by side."""
        performer = self.performer
        actions = [action for change in changes for action in actions_of(change)]
        if kind == "firewall":
            self._guard(changes, lambda: performer.firewall(changes))
        elif kind == "stop":
            self._guard(changes, lambda: performer.stop_processes([a for a in actions if isinstance(a, StopProcess)]))
        elif kind == "names":
            names = [a for a in actions if isinstance(a, ServeNames | ForgetNames)]
            self._guard(changes, lambda: performer.serve_names(names))
        else:
            self._guard(changes, lambda: self._start(changes, [a for a in actions if isinstance(a, StartProcess)]))

    def _start(self, changes: list[Change], starts: list[StartProcess]) -> None:
        failures = self.performer.start_processes(starts)
        problems = [
            Problem(problem.message, problem.source or _source(change), problem.hint, details=problem.details)
            for change in changes
            if (failure := failures.get(change.key.name.partition(":")[0]))
            for problem in failure.problems
        ]
        if problems:
            raise NetapplyError(problems)

    def _perform(self, steps: Sequence[Step], position: int) -> None:
        change = steps[position].change
        for action in actions_of(change):
            if isinstance(action, Netlink):
                if self._queue and self._queue[-1].request.namespace != action.namespace:
                    self._flush(steps)
                self._queue.append(Queued(position, action))
            else:
                self._flush(steps)
                self._guard([change], lambda action=action: self.performer.perform(action))  # type: ignore[misc]  # bound now

    def _flush(self, steps: Sequence[Step]) -> None:
        """Send what waits; the first refusal that is not tolerated is the step's failure."""
        queue, self._queue = self._queue, []
        if not queue:
            return
        try:
            refused = self._send(queue)
        except OSError as error:
            self._fail(steps[queue[0].position].change, error.strerror or str(error))
            return
        for position, text in refused:
            self._fail(steps[position].change, text)

    def _send(self, queue: list[Queued]) -> list[tuple[int, str]]:
        inside = self.performer.sockets.socket(queue[0].request.namespace)
        failed: list[tuple[int, str]] = []
        messages, sent = [], []
        for queued in queue:
            request = queued.request
            try:
                body = self._filled_in(request, inside)
            except OSError as error:
                if error.errno not in request.tolerate:
                    failed.append((queued.position, f"{error.filename or request.namespace}: {error.strerror}"))
                continue
            messages.append((request.type, request.flags, body))
            sent.append(queued)
        for refusal in inside.request(messages) if messages else ():
            queued = sent[refusal.position]
            if refusal.errno not in queued.request.tolerate:
                words = dict(queued.request.explained).get(refusal.errno) or refusal.text
                failed.append((queued.position, words or os.strerror(refusal.errno)))
        return failed

    def _filled_in(self, request: Netlink, inside: RouteSocket) -> bytes:
        """The body with interface indexes and the peer's namespace in their places. Raises OSError."""
        body = request.body
        for offset, interface in request.fixups:
            body = patched(body, offset, inside.index(interface))
        if request.peer_namespace:
            offset, namespace = request.peer_namespace
            body = patched(body, offset, self.performer.sockets.descriptor(namespace))
        return body

    def _guard(self, changes: list[Change], act: Callable[[], None]) -> None:
        try:
            act()
        except NetapplyError as error:
            sources = [source for change in changes if (source := _source(change))]
            source = sources[0] if sources else None
            problems = [Problem(p.message, p.source or source, p.hint, details=p.details) for p in error.problems]
            self._report(problems)
        except OSError as error:
            name = f" ({error.filename})" if error.filename else ""
            refusal = "cannot" if isinstance(error, FileNotFoundError) else _REFUSAL
            self._fail(changes[0], f"{error.strerror or error}{name}", refusal)

    def _fail(self, change: Change, text: str, refusal: str = _REFUSAL) -> None:
        resource = change.before if isinstance(change, Delete) else change.after
        what = f"{_verb(change)} {change.key.name}: {resource.describe()}"
        self._report([Problem(f"{refusal} {what}: {text}", _source(change))])

    def _report(self, problems: list[Problem]) -> None:
        self.problems.extend(problems)
        if not self.keep_going:
            raise NetapplyError(problems)


def inverse(steps: Iterable[Step]) -> tuple[Step, ...]:
    """What undoes the steps, last first."""
    undone: list[Step] = []
    for step in reversed(list(steps)):
        change = step.change
        match change:
            case Create(after=after):
                undone.append(Step(step.stage, Delete(after, "rolled back")))
            case Update(before=before, after=after):
                undone.append(Step(step.stage, Update(after, before, "rolled back")))
            case Delete(before=before):
                undone.append(Step(step.stage, Create(before, "rolled back")))
    marked = with_implied([step.change for step in undone])
    return tuple(Step(step.stage, change) for step, change in zip(undone, marked, strict=True))


def _group_end(steps: Sequence[Step], start: int) -> int:
    """Where the steps end that are performed together with this one: of its stage and sort, next to each other."""
    end = start + 1
    sort = _together(steps[start])
    while sort and end < len(steps) and steps[end].stage == steps[start].stage and _together(steps[end]) == sort:
        end += 1
    return end


def _together(step: Step) -> str:
    """The sort of change that is performed together with its neighbours; empty: one by one."""
    kind = step.change.key.kind
    if kind is Kind.PROCESS:
        return "stop" if isinstance(step.change, Delete) else "start"
    if isinstance(step.change.before if isinstance(step.change, Delete) else step.change.after, Resolver):
        return "names"
    return "firewall" if kind in _FIREWALL_KINDS else ""


def _source(change: Change) -> Source | None:
    return None if isinstance(change, Delete) else change.after.source


def _verb(change: Change) -> str:
    return {Create: "make", Update: "change", Delete: "remove"}[type(change)]


_FIREWALL_KINDS = frozenset({Kind.RULE, Kind.PORT, Kind.POLICY})
