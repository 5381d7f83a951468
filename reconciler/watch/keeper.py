"""One reconcile after the other: look, plan and apply by the same pipeline as ``up``, for the watched stacks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from reconciler import reconcile
from reconciler.desired.build import Scope
from reconciler.errors import NetapplyError, Problem
from reconciler.kernel import lock
from reconciler.kernel.machine import Machine
from reconciler.kernel.runtime import ENDED
from reconciler.manifest.model import Manifest
from reconciler.naming import origin_of
from reconciler.observation import Observation
from reconciler.plan.change import Change, Delete, Update
from reconciler.plan.plan import Plan, Step, owner_of
from reconciler.reconcile import Outcome, Progress
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.process import Process
from reconciler.state import HOST_OWNER, Kind, State
from reconciler.watch import planning, pruning
from reconciler.watch.attached import KnownProcesses, Waiting, stacks_concerned, waiting_in
from reconciler.watch.backoff import Backoff, Fight, Fights, Restarts
from reconciler.watch.hints import Hints
from reconciler.watch.manifests import Manifests
from reconciler.watch.planning import Attempt
from reconciler.watch.putting_back import Dependents, differences, plan_back

Clock = Callable[[], float]
PRUNE_AFTER = 1.0
"""Seconds that a manifest must be gone before its stack goes: a checkout takes files away and puts them back."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How the watcher was asked to behave."""

    prune: bool = True
    allow_empty: bool = False
    adopt: bool = False
    host_rule: bool = True
    prune_after: float = PRUNE_AFTER


@dataclass(slots=True)
class StackRecord:
    """What is known of one watched stack, for ``status``. Times are seconds since the epoch."""

    error: tuple[Problem, ...] = ()
    error_time: float = 0.0
    applied_time: float = 0.0
    healed: int = 0
    backoff: Backoff = field(default_factory=lambda: Backoff(1.0, 60.0))


@dataclass(frozen=True, slots=True)
class Round:
    """What one reconcile did; ``healed`` of the changes put back what somebody else had changed."""

    changes: tuple[Change, ...] = ()
    undone: int = 0
    problems: tuple[Problem, ...] = ()
    healed: int = 0
    fights: tuple[Fight, ...] = ()
    full: bool = False
    busy: bool = False
    seconds: float = 0.0


class Keeper:
    """Keeps the host like the manifests. ``progress`` is called at every step, for whoever wants to show life."""

    def __init__(
        self,
        machine: Machine,
        manifests: Manifests,
        policy: Policy,
        progress: Progress = lambda _step: None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.machine = machine
        self.manifests = manifests
        self.policy = policy
        self.records: dict[str, StackRecord] = {}
        self.fights = Fights()
        self.restarts = Restarts()
        self.decision = pruning.Decision()
        self.observation: Observation | None = None
        """The host as it was last seen, or as it was made since; None: it has to be looked at as a whole."""
        self.warnings: tuple[Problem, ...] = ()
        self.waiting: Waiting = {}
        self._processes = KnownProcesses()
        self._progress = progress
        self._clock = clock
        self._pending: set[str] = set()
        self._applied: dict[str, Manifest] = {}
        self._missing_since: dict[str, float] = {}
        self._settled = False
        self._dependents: Dependents | None = None
        machine.hear_firewall()

    def changed(self, stacks: Iterable[str]) -> None:
        """The manifests of these stacks changed, came or went: what was put off for them is due at once."""
        for name in stacks:
            self._pending.add(name)
            self._settled = False
            if name in self.records:
                self.records[name].backoff = StackRecord().backoff

    def retry_now(self) -> None:
        """Forget every pause."""
        self.changed(set(self.records) - {HOST_OWNER})
        self.fights = Fights()
        self._processes = KnownProcesses()

    def reconcile(self, hints: Hints) -> Round:
        """Look where the hints say, and make what differs as it should be. Never raises NetapplyError."""
        began = self._clock()
        full = hints.full or self.observation is None
        try:
            with lock.held(self.machine.host, writing=True, patience=0.0):
                done = self._reconcile(hints)
                if done.problems and not full:
                    # What was remembered may have been wrong, so the failure does not count.
                    self.observation = None
                    for record in self.records.values():
                        record.backoff.forgive(self._clock())
                    done = self._reconcile(hints)
        except lock.LockBusyError:
            return Round(busy=True)
        except NetapplyError as error:
            done = self._failed(error.problems)
        except OSError as error:
            done = self._failed((Problem(f"{error.filename or 'the host'}: {error.strerror or error}"),))
        return replace(done, full=full, seconds=self._clock() - began)

    def next_due(self) -> float | None:
        """When something that was put off is due; None: nothing was."""
        now = self._clock()
        times = [record.backoff.until for record in self.records.values() if record.backoff.waits(now)]
        grace = self.policy.prune_after
        times += [since + grace for since in self._missing_since.values() if since + grace > now]
        times += [due for due in (self.fights.next(now), self.restarts.next(now)) if due is not None]
        return min(times, default=None)

    def now(self) -> float:
        """By the clock of all pauses."""
        return self._clock()

    def is_pending(self, stack_name: str) -> bool:
        """Whether its manifest has not been applied yet."""
        return stack_name in self._pending

    def _failed(self, problems: tuple[Problem, ...]) -> Round:
        """The host could not even be looked at."""
        self.observation = None
        self._settled = False
        self._note_error(HOST_OWNER, problems)
        return Round(problems=problems)

    def _reconcile(self, hints: Hints) -> Round:
        manifests = self.manifests.stacks()
        last = self.observation
        observation = self._look(hints, manifests)
        if last is not None:
            self.changed(stacks_concerned(manifests.values(), last.facts, observation.facts))
        is_steady = self._settled and last is not None and _relevant(observation) == _relevant(last)
        if is_steady and last is not None:
            differing = differences(observation.state, last.state)
            if not differing:
                return Round()
            # What others did to stacks of their own is for the whole pipeline to take in.
            if all(owner == HOST_OWNER or owner in manifests for owner in differing.values()):
                observation = self._without_early_restarts(observation, manifests, self._clock())
                return self._put_back(observation, last.state, manifests)
        self.observation = observation
        self._dependents = None
        if HOST_OWNER in self.records:
            # It could be looked at.
            self._note_success(HOST_OWNER)
        return self._converge(observation, manifests)

    def _put_back(self, observation: Observation, wanted: State, manifests: dict[str, Manifest]) -> Round:
        """Heal: manifests and facts are what they were, so what is wanted is so too, and only that is compared."""
        self.observation = observation
        self._dependents = self._dependents or Dependents(wanted)
        plan = plan_back(observation, wanted, self._dependents)
        attempt = Attempt(dict(manifests))
        if not plan.steps:
            self._settle(attempt, manifests)
            return Round()
        return self._conclude(
            plan, wanted, reconcile.apply(self.machine, plan, wanted, self._progress), attempt, manifests
        )

    def _look(self, hints: Hints, manifests: Mapping[str, Manifest]) -> Observation:
        """The host as it is."""
        if hints.full or hints.firewall:
            self.machine.forget_firewall()
        ports = Scope(frozenset(), tuple(manifests.values())).host_ports
        attachable = Scope(frozenset(), (*manifests.values(), *self._applied.values())).attachable
        last = self.observation
        if hints.full or last is None:
            whole = self.machine.observe(ports, attachable=attachable)
            return replace(whole, facts=self._processes.checked(whole.facts))
        only = frozenset(hints.sandboxes | _containers_of(hints.interfaces, last.state))
        part = self.machine.observe(ports, only, attachable)
        rest = last.state.where(lambda resource: bool(resource.sandbox) and resource.sandbox not in only)
        facts = self._processes.checked(replace(part.facts, namespaces=last.facts.namespaces))
        return Observation(rest.merged(part.state), facts, part.runtimes)

    def _converge(self, observation: Observation, manifests: dict[str, Manifest]) -> Round:
        now = self._clock()
        self.waiting = waiting_in(manifests, observation.facts)
        attempt = self._attempt(observation, manifests, now)
        observation = self._without_early_restarts(observation, manifests, now)
        plan, wanted = planning.make_plan(attempt, self.manifests, observation)
        self.warnings = plan.warnings if plan else ()
        if plan is None or not plan.steps:
            self._settle(attempt, manifests)
            return Round(problems=_flat(attempt.faults))
        outcome = reconcile.apply(self.machine, plan, wanted, self._progress)
        return self._conclude(plan, wanted, outcome, attempt, manifests)

    def _conclude(
        self, plan: Plan, wanted: State, outcome: Outcome, attempt: Attempt, manifests: dict[str, Manifest]
    ) -> Round:
        assert self.observation is not None  # noqa: S101  # the caller just set it
        healed, fights = self._count(outcome.done, attempt.going)
        if outcome.problems:
            done = {owner_of(step.change) for step in outcome.done}
            failed = set(plan.owners) - done or set(plan.owners) or {HOST_OWNER}
            attempt.faults.update(dict.fromkeys(failed, outcome.problems))
            self.observation = None
        else:
            self.observation = replace(self.observation, state=wanted)
        self._settle(attempt, manifests)
        changes = tuple(step.change for step in outcome.done)
        return Round(changes, len(outcome.undone), _flat(attempt.faults), healed, tuple(fights))

    def _attempt(self, observation: Observation, manifests: dict[str, Manifest], now: float) -> Attempt:
        """The stacks that may change now: not those that wait after a failure, or because of a fight."""
        waiting = self.fights.waiting(now)
        tried = {}
        for name, manifest in manifests.items():
            if name not in self._pending and not waiting.isdisjoint({name, HOST_OWNER}):
                continue
            applied = self._applied.get(name)
            if not self._record(name).backoff.waits(now):
                tried[name] = manifest
            elif applied is not None and applied != manifest:
                tried[name] = applied
        going = self._to_prune(observation, manifests, now) if self.policy.prune else set()
        going = {name for name in going if not self._record(name).backoff.waits(now)}
        # What goes makes room first: ports and subnets may be meant for another stack.
        return Attempt(
            {} if going else tried, frozenset(going), self._applied, self.policy.adopt, self.policy.host_rule
        )

    def _to_prune(self, observation: Observation, manifests: dict[str, Manifest], now: float) -> set[str]:
        self.decision = pruning.decide(
            pruning.origins(observation.state), self._views(manifests), allow_empty=self.policy.allow_empty
        )
        self._missing_since = {name: self._missing_since.get(name, now) for name in self.decision.prune}
        return {name for name, first in self._missing_since.items() if now - first >= self.policy.prune_after}

    def _views(self, manifests: Mapping[str, Manifest]) -> Iterable[pruning.View]:
        for directory in self.manifests.directories.values():
            stacks = {name for name, manifest in manifests.items() if manifest.origin == directory.path}
            unknown = sum(1 for file in directory.files.values() if file.manifest is None)
            origin = origin_of(directory.path)
            yield pruning.View(directory.path, origin, frozenset(stacks), unknown, directory.fault)

    def _without_early_restarts(
        self, observation: Observation, manifests: dict[str, Manifest], now: float
    ) -> Observation:
        """Commands that ended and shall not start again yet look as if they were as they should be."""
        limits = {f"{m.stack}/{c.name}": c.restart_limit for m in manifests.values() for c in m.containers if c.restart}
        self.restarts.keep(limits)
        early = [
            replace(resource, fault="")
            for resource in observation.state
            if isinstance(resource, Process)
            and resource.fault.startswith(ENDED)
            and self.restarts.postponed(resource.container, limits.get(resource.container), now)
        ]
        if not early:
            return observation
        return replace(observation, state=observation.state.merged(State(early)))

    def _count(self, steps: Iterable[Step], going: frozenset[str]) -> tuple[int, list[Fight]]:
        """How many of the changes healed what others did; and those that were healed too often."""
        now = self._clock()
        healed, fights = 0, []
        for step in steps:
            change = step.change
            before = change.before if isinstance(change, Update | Delete) else None
            if isinstance(before, Process) and before.fault.startswith(ENDED):
                self.restarts.started(before.container, now)
                continue
            owner = owner_of(change)
            if owner in self._pending or owner in going or (owner == HOST_OWNER and self._pending):
                continue
            healed += 1
            self._record(owner).healed += 1
            resource = change.before if isinstance(change, Delete) else change.after
            if change.key.kind is not Kind.PROCESS:
                fight = self.fights.healed(change.key, owner, resource.describe(), now)
                fights += [fight] if fight else []
        self.fights.forget_old(now)
        return healed, fights

    def _settle(self, attempt: Attempt, manifests: dict[str, Manifest]) -> None:
        """Write down how each stack of the round fared."""
        now = self._clock()
        for name, found in attempt.faults.items():
            if self._record(name).backoff.waits(now):
                # Not even the last one that was applied can be had.
                self._applied.pop(name, None)
            self._note_error(name, found)
        current = {name for name, manifest in attempt.manifests.items() if manifest is manifests.get(name)}
        for name in (current | attempt.going) - attempt.faults.keys():
            self._note_success(name)
            if name in current:
                self._applied[name] = manifests[name]
        for name in self.records.keys() - manifests.keys() - attempt.faults.keys() - {HOST_OWNER}:
            del self.records[name]
            self._applied.pop(name, None)
        self._pending &= manifests.keys() | self._missing_since.keys()
        self._settled = not attempt.faults and current == manifests.keys() and self.next_due() is None

    def _note_error(self, name: str, problems: tuple[Problem, ...]) -> None:
        record = self._record(name)
        record.error, record.error_time = problems, time.time()
        record.backoff.fail(self._clock())

    def _note_success(self, name: str) -> None:
        record = self._record(name)
        if name in self._pending or record.error:
            record.applied_time = time.time()
        record.error = ()
        record.backoff = StackRecord().backoff
        self._pending.discard(name)

    def _record(self, name: str) -> StackRecord:
        return self.records.setdefault(name, StackRecord())


def _containers_of(interfaces: set[str], state: State) -> set[str]:
    """The sandboxes that these links of the host lead into."""
    if not interfaces:
        return set()
    return {r.container for r in state if isinstance(r, Endpoint) and r.host_interface in interfaces and r.interface}


def _relevant(observation: Observation) -> tuple[object, ...]:
    """The facts that change what is wanted of a host that is as it should be."""
    facts = observation.facts
    return (
        facts.links,
        facts.addresses,
        facts.router_advertised,
        facts.backend,
        facts.wanted_accepts,
        facts.nameservers,
        facts.search,
        facts.host_name,
        facts.resolver_options,
        facts.hosts,
        facts.namespaces,
        facts.attachable,
    )


def _flat(problems: Mapping[str, tuple[Problem, ...]]) -> tuple[Problem, ...]:
    return tuple(dict.fromkeys(problem for found in problems.values() for problem in found))
