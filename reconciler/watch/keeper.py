"""One reconcile after the other: look, plan and apply by the same pipeline as ``up``, for the watched stacks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from reconciler import reconcile
from reconciler.errors import NetapplyError, Problem
from reconciler.kernel import lock
from reconciler.kernel.machine import Machine
from reconciler.manifest.model import Manifest
from reconciler.observation import Observation, Runtime
from reconciler.plan.plan import Plan
from reconciler.reconcile import Outcome, Progress
from reconciler.state import HOST_OWNER, State
from reconciler.watch import outcomes, planning
from reconciler.watch.attached import Waiting, stacks_concerned, waiting_in
from reconciler.watch.backoff import Fights
from reconciler.watch.dead_commands import dead_commands
from reconciler.watch.healing import Healing
from reconciler.watch.hints import Hints
from reconciler.watch.kept import KeptStacks
from reconciler.watch.lock_wait import LockWait
from reconciler.watch.lookout import Lookout, relevant
from reconciler.watch.manifests import Manifests
from reconciler.watch.planning import Attempt
from reconciler.watch.pruning import Decision, origins
from reconciler.watch.putting_back import Dependents, differences, plan_back
from reconciler.watch.records import Policy, Round, StackRecord, StackRecords
from reconciler.watch.remembered import Place, Remembered
from reconciler.watch.removals import Removals
from reconciler.watch.standstill import Standstill

Clock = Callable[[], float]
_REST_AFTER_FAILURE = 4.0
"""A failed round is followed by a pause for its stack of at least so many times its own time."""


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
        self.records = StackRecords()
        self._healing = Healing()
        self._lookout = Lookout(machine)
        self._remembered = Remembered(machine.host.run / lock.WATCHED_FILE)
        manifests.remember({name: place.file for name, place in self._remembered.places.items()})
        self._removals = Removals(manifests, policy, self._remembered)
        self._kept = KeptStacks(manifests, self._remembered)
        self._runtimes: Mapping[str, Runtime] = {}
        self.observation: Observation | None = None
        """The host as it was last seen, or as it was made since; None: it has to be looked at as a whole."""
        self.warnings: tuple[Problem, ...] = ()
        self.waiting: Waiting = {}
        self.lock_wait = LockWait(clock)
        self.standstill = Standstill(machine.host)
        self._progress = progress
        self._clock = clock
        self._pending: set[str] = set()
        self._applied: dict[str, Manifest] = {}
        self._settled = False
        self._calm = False
        """Whether all but what is pending is as it should be."""
        self._began = 0.0
        self._dependents: Dependents | None = None

    @property
    def fights(self) -> Fights:
        """Who undoes what is healed."""
        return self._healing.fights

    @property
    def decision(self) -> Decision:
        """Which stacks go because their manifest is gone, and which stay all the same."""
        return self._removals.decision

    @property
    def held(self) -> Mapping[str, str]:
        """The stacks without a manifest that are kept and healed until somebody decides, with the reason."""
        return self.decision.stacks_held if self.policy.prune else {}

    def file_of(self, stack_name: str) -> str:
        """The path of the file that makes this stack, or did so last; empty: that is not known."""
        place = self._remembered.places.get(stack_name)
        return self.manifests.file_of(stack_name) or (place.file if place else "")

    def changed(self, stacks: Iterable[str]) -> None:
        """The manifests of these stacks changed, came or went: what was put off for them is due at once."""
        for name in stacks:
            self._pending.add(name)
            self._settled = False
            if name in self.records:
                self.records[name].backoff = StackRecord().backoff

    def retry_now(self) -> None:
        """Forget every pause. What is then put back counts as healed: no manifest changed."""
        self._settled = False
        for record in self.records.values():
            record.backoff = StackRecord().backoff
        self._healing.end_waiting()
        self._lookout.forget_processes()

    def reconcile(self, hints: Hints) -> Round:
        """Look where the hints say, and make what differs as it should be. Never raises NetapplyError."""
        if self._stands_still(hints):
            return Round(busy=True)
        began = self._began = self._clock()
        full = hints.full or self.observation is None
        try:
            with lock.held(self.machine.host, writing=True, patience=0.0):
                if self._stands_still(hints):
                    return Round(busy=True)
                self._remembered.refresh()
                done = self._reconcile(hints)
                # What took long is not tried twice in one go, for other stacks wait meanwhile.
                if done.problems and not full and self._clock() - began < self.policy.start_patience:
                    # What was remembered may have been wrong, so the failure does not count.
                    self.observation = None
                    for record in self.records.values():
                        record.backoff.forgive(self._clock())
                    done = self._reconcile(hints)
                self._remembered.save()
        except lock.LockBusyError as error:
            self.lock_wait.goes_on(error.holder)
            return Round(busy=True)
        except NetapplyError as error:
            done = self._failed(error.problems)
        except OSError as error:
            done = self._failed((Problem(f"{error.filename or 'the host'}: {error.strerror or error}"),))
        self.lock_wait.is_over()
        return replace(done, full=full, seconds=self._clock() - began, looking=self._lookout.seconds)

    def _stands_still(self, hints: Hints) -> bool:
        stands_still = self.standstill.lasts(hints)
        if stands_still:
            # Who did the run that waits had the lock, and let go of it.
            self.lock_wait.is_over()
        return stands_still

    def next_due(self) -> float | None:
        """When something that was put off is due; None: nothing was."""
        now = self._clock()
        times = [record.backoff.until for record in self.records.values() if record.backoff.waits(now)]
        times += self._removals.times(now)
        times += [due for due in (self.fights.next(now), self._healing.restarts.next(now)) if due is not None]
        return min(times, default=None)

    def now(self) -> float:
        """By the clock of all pauses."""
        return self._clock()

    def errors_of(self, stack_name: str) -> tuple[Problem, ...]:
        """What failed, of the stack's own and of what all share, or what it waits for."""
        return self.records.errors_of(stack_name) or self.waiting.get(stack_name, ())

    def dead_commands_of(self, stack_name: str) -> list[str]:
        """Its commands that ended and should run, with what becomes of them."""
        manifest = self.manifests.stacks().get(stack_name)
        restarts = self._healing.restarts
        return dead_commands(manifest, self._runtimes, restarts, self._clock()) if manifest else []

    def is_kept(self, stack_name: str) -> bool:
        """Whether it is kept as it stood when its manifest could not be used, for no good one was known."""
        return stack_name in self._kept.states

    def is_pending(self, stack_name: str) -> bool:
        """Whether its manifest has not been applied yet."""
        return stack_name in self._pending

    def _failed(self, problems: tuple[Problem, ...]) -> Round:
        """The host could not even be looked at."""
        self.observation = None
        self._settled = self._calm = False
        self._note_error(HOST_OWNER, problems)
        return Round(problems=problems)

    def _reconcile(self, hints: Hints) -> Round:
        manifests = self.manifests.stacks()
        last = self.observation
        all_manifests = (*manifests.values(), *self._applied.values())
        observation = self._lookout.look(hints, last, all_manifests, was_well=self._calm)
        self._runtimes = observation.runtimes
        before = (last or observation).state
        self._kept.see(before, observation.state, self.held.keys())
        if last is not None:
            self.changed(stacks_concerned(manifests.values(), last.facts, observation.facts))
        is_like_before = last is not None and relevant(observation) == relevant(last)
        if self._settled and is_like_before and last is not None:
            differing = differences(observation.state, last.state)
            if not differing:
                # Which processes run is never compared, but whoever watches them has to know.
                self.observation = replace(last, runtimes=observation.runtimes)
                return Round()
            # What others did to stacks of their own is for the whole pipeline to take in.
            known = manifests.keys() | self._kept.states.keys() | {HOST_OWNER}
            if known.issuperset(differing.values()):
                observation = self._without_early_restarts(observation, manifests)
                return self._put_back(observation, last.state, manifests)
        self.observation = observation
        self._dependents = None
        if HOST_OWNER in self.records:
            # It could be looked at.
            self._note_success(HOST_OWNER)
        return self._converge(observation, manifests, before, alone=is_like_before and self._calm)

    def _put_back(self, observation: Observation, wanted: State, manifests: dict[str, Manifest]) -> Round:
        """Heal: manifests and facts are what they were, so what is wanted is so too, and only that is compared."""
        self.observation = observation
        self._dependents = self._dependents or Dependents(wanted)
        plan = plan_back(observation, wanted, self._dependents)
        attempt = Attempt(dict(manifests))
        if not plan.steps:
            self._settle(attempt, manifests)
            return Round()
        return self._conclude(plan, wanted, self._apply(plan, wanted), attempt, manifests)

    def _converge(
        self, observation: Observation, manifests: dict[str, Manifest], before: State, *, alone: bool
    ) -> Round:
        """``before`` is how the host was. ``alone``: try what is pending by itself first, as ``up`` does; the round after this one takes in all."""
        now = self._clock()
        self.waiting = waiting_in(manifests, observation.facts)
        attempt = self._attempt(observation, manifests, before, now)
        observation = self._without_early_restarts(observation, manifests)
        plan, wanted = None, observation.state
        if alone and self._pending and not attempt.going and self._pending < attempt.manifests.keys():
            only = replace(attempt, manifests={name: attempt.manifests[name] for name in self._pending}, faults={})
            plan, wanted = planning.make_plan(only, self.manifests, observation)
            # Without a change, or with a fault, there may be no next round that sees what others need of it.
            attempt, plan = (attempt, None) if only.faults or not (plan and plan.steps) else (only, plan)
        if plan is None:
            plan, wanted = planning.make_plan(attempt, self.manifests, observation)
        self.warnings = plan.warnings if plan else ()
        if plan is None or not plan.steps:
            self._put_off_faults(attempt, makes_room=False)
            self._settle(attempt, manifests)
            self._remember(attempt, wanted)
            return Round(problems=_flat(attempt.faults))
        done = self._conclude(plan, wanted, self._apply(plan, wanted), attempt, manifests)
        self._remember(attempt, wanted)
        return done

    def _without_early_restarts(self, observation: Observation, manifests: Mapping[str, Manifest]) -> Observation:
        return self._healing.without_early_restarts(observation, manifests, self._kept.commands(), self._clock())

    def _remember(self, attempt: Attempt, wanted: State) -> None:
        """From where each stack of the round came: what a watcher made or kept goes with its manifest."""
        standing = origins(wanted)
        made = {
            name: Place(self.manifests.file_of(name), attempt.manifests[name].origin, standing[name])
            for name in (standing.keys() & attempt.manifests.keys()) - attempt.faults.keys()
        }
        self._remembered.note(standing, made, attempt.faults, adopt=self.policy.adopt)

    def _apply(self, plan: Plan, wanted: State) -> Outcome:
        failures = max((self.records[name].backoff.failures for name in plan.owners if name in self.records), default=0)
        self.machine.start_patience = self.policy.start_patience * 2 ** min(failures, 10)
        return reconcile.apply(self.machine, plan, wanted, self._progress)

    def _conclude(
        self, plan: Plan, wanted: State, outcome: Outcome, attempt: Attempt, manifests: dict[str, Manifest]
    ) -> Round:
        assert self.observation is not None  # noqa: S101  # the caller just set it
        steps = outcomes.standing(outcome.done)
        healed, fights = self._healing.count(
            steps, lambda owner: self._is_asked_for(owner, attempt.going), self._clock()
        )
        for owner, count in healed.items():
            self.records.of(owner).healed += count
        self._put_off_faults(attempt, makes_room=not outcome.problems)
        if outcome.problems:
            attempt.faults.update(outcomes.faults(plan, outcome))
            self.observation = None
        else:
            self.observation = replace(self.observation, state=wanted)
        self._settle(attempt, manifests)
        changes = tuple(step.change for step in steps)
        undone = len(outcome.undone) + (len(outcome.done) - len(steps)) // 2
        return Round(changes, undone, _flat(attempt.faults), sum(healed.values()), tuple(fights))

    def _put_off_faults(self, attempt: Attempt, *, makes_room: bool) -> None:
        """What is in the way of a new manifest may be what goes, or went just now: its next attempt shows it."""
        if makes_room or any(self._removals.times(self._clock())):
            attempt.faults = {name: found for name, found in attempt.faults.items() if name not in self._pending}

    def _attempt(self, observation: Observation, manifests: dict[str, Manifest], before: State, now: float) -> Attempt:
        """The stacks that may change now: not those that wait after a failure, or because of a fight."""
        waiting = self.fights.waiting(now)
        tried = {}
        for name, manifest in manifests.items():
            if name not in self._pending and not waiting.isdisjoint({name, HOST_OWNER}):
                continue
            applied = self._applied.get(name)
            if not self.records.of(name).backoff.waits(now):
                tried[name] = manifest
            elif applied is not None and applied != manifest:
                tried[name] = applied
        going = self._removals.due(observation, manifests, now)
        self._kept.see(before, observation.state, self.held.keys())
        going = {name for name in going if not self.records.of(name).backoff.waits(now)}
        # What goes makes room first: ports and subnets may be meant for another stack.
        return Attempt(
            {} if going else tried,
            frozenset(going),
            self._applied,
            self.policy.adopt,
            self.policy.host_rule,
            kept={name: state for name, state in self._kept.states.items() if self._may_be_healed(name, now)},
            places=self._remembered.of(origins(observation.state)),
        )

    def _may_be_healed(self, name: str, now: float) -> bool:
        return not (self.records.of(name).backoff.waits(now) or self.fights.stack_waits(name, now))

    def _is_asked_for(self, owner: str, going: frozenset[str]) -> bool:
        return owner in self._pending or owner in going or (owner == HOST_OWNER and bool(self._pending))

    def _settle(self, attempt: Attempt, manifests: dict[str, Manifest]) -> None:
        """Write down how each stack of the round fared."""
        now = self._clock()
        for name, found in attempt.faults.items():
            if self.records.of(name).backoff.waits(now):
                # Not even the last one that was applied can be had.
                self._applied.pop(name, None)
            self._note_error(name, found)
        current = {name for name, manifest in attempt.manifests.items() if manifest is manifests.get(name)}
        for name in (current | attempt.going | attempt.kept.keys()) - attempt.faults.keys():
            self._note_success(name)
            if name in current:
                self._applied[name] = manifests[name]
        known = manifests.keys() | self._kept.states.keys() | attempt.faults.keys() | {HOST_OWNER}
        for name in self.records.keys() - known:
            del self.records[name]
            self._applied.pop(name, None)
        self._pending &= manifests.keys() | set(self._removals.missing())
        self._calm = not attempt.faults and self.next_due() is None
        self._settled = self._calm and current == manifests.keys()

    def _note_error(self, name: str, problems: tuple[Problem, ...]) -> None:
        now = self._clock()
        # What hangs for its time limit must not have the whole of the watcher's time.
        self.records.note_error(name, problems, now, _REST_AFTER_FAILURE * (now - self._began))

    def _note_success(self, name: str) -> None:
        self.records.note_success(name, is_new=name in self._pending)
        self._pending.discard(name)


def _flat(problems: Mapping[str, tuple[Problem, ...]]) -> tuple[Problem, ...]:
    return tuple(dict.fromkeys(problem for found in problems.values() for problem in found))
