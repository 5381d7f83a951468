"""The pipeline: Manifest -> State -> Changes -> Plan -> Outcome. There is no second way to the kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.desired.build import desired
from reconciler.desired.host import blocked, lost_records
from reconciler.desired.parents import idle_parents
from reconciler.desired.routing import unanswered
from reconciler.desired.scope import Scope
from reconciler.errors import NetapplyError, Problem
from reconciler.observation import Observation
from reconciler.plan.change import Update
from reconciler.plan.diff import diff
from reconciler.plan.plan import Plan, Stage, Step, order
from reconciler.plan.shared_namespaces import disturbed_members
from reconciler.plan.verify import differences, touched_sandboxes
from reconciler.state import HOST_OWNER, Key, State

if TYPE_CHECKING:
    # Only who applies touches the host: plans are made where there is none, and no Linux.
    from reconciler.kernel.machine import Machine

Progress = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did: ``done`` steps, those ``undone`` again, and every problem met.

    ``faults`` are the problems by owner, where a transaction met them; what is settled afterwards is nobody's.
    """

    done: tuple[Step, ...] = ()
    undone: tuple[Step, ...] = ()
    problems: tuple[Problem, ...] = ()
    faults: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)


def make_plan(scope: Scope, observation: Observation) -> tuple[Plan, State]:
    """What has to change on the observed host, in order, and the state that it leads to."""
    wanted = desired(scope, observation)
    return plan_to(wanted, observation), wanted


def plan_to(wanted: State, observation: Observation) -> Plan:
    """What has to change on the observed host, in order, so that it is as ``wanted``."""
    observed = observation.state
    changes = diff(observed, wanted)
    steps = order(changes, observed, wanted)
    facts = observation.facts
    warnings = (
        *facts.warnings,
        *lost_records(observed, wanted),
        *blocked(observation, wanted),
        *idle_parents(observation, wanted),
        *unanswered(wanted),
        *disturbed_members(changes, observed),
    )
    return Plan(steps, warnings, (facts.backend, facts.backend_reason))


def apply(machine: Machine, plan: Plan, wanted: State, progress: Progress = lambda _step: None) -> Outcome:
    """Make the host like ``wanted``: the host's own part first, then each stack as a transaction of its own.

    Stacks that hand something to each other, a port or a subnet, are one transaction (``plan/handover.py``).
    """
    host_steps = plan.of(HOST_OWNER)
    first, last = ([s for s in host_steps if s.stage == stage] for stage in (Stage.HOST, Stage.HOST_REMOVE))
    outcome = _transaction(machine, first, wanted, (HOST_OWNER,), progress, last)
    if outcome.problems:
        return outcome
    for owners in plan.transactions:
        outcome = _joined(outcome, _transaction(machine, plan.of(*owners), wanted, owners, progress))
    if outcome.problems:
        made = frozenset(step.change.key for step in host_steps if not isinstance(step.change, Update))
        return _joined(outcome, _settle_host(machine, made, progress))
    return _joined(outcome, _forward(machine, last, progress))


def _transaction(
    machine: Machine,
    steps: Sequence[Step],
    wanted: State,
    owners: Sequence[str],
    progress: Progress,
    later: Sequence[Step] = (),
) -> Outcome:
    """What can be undone, a second look, then what cannot; a failure before that point rolls back.

    ``later``: the owners' steps that somebody else makes after these.
    """
    reversible = [step for step in steps if step.stage < Stage.STOP]
    final = [step for step in steps if step.stage >= Stage.STOP]
    if reversible:
        problems, attempted = machine.run(reversible, progress)
        if not problems:
            problems = _verify(machine, reversible, (*final, *later), wanted, owners)
        if problems:
            undone, more = machine.undo(reversible[:attempted])
            return Outcome((), undone, (*problems, *more), dict.fromkeys(owners, (*problems, *more)))
    forward = _forward(machine, final, progress)
    faults = dict.fromkeys(owners, forward.problems) if forward.problems else {}
    return Outcome((*reversible, *forward.done), (), forward.problems, faults)


def forward(machine: Machine, plan: Plan) -> Outcome:
    """Do all of the plan that can be done, without a second look and without a way back."""
    return _forward(machine, plan.steps, lambda _step: None)


def _forward(machine: Machine, steps: Sequence[Step], progress: Progress) -> Outcome:
    """Past the point of no return: every step is tried, every failure reported."""
    problems = machine.run_on(steps, progress) if steps else ()
    return Outcome(tuple(steps), (), problems)


def _verify(
    machine: Machine, steps: Sequence[Step], pending: Sequence[Step], wanted: State, owners: Sequence[str]
) -> tuple[Problem, ...]:
    sandboxes = touched_sandboxes(steps)
    try:
        now = machine.observe_part(sandboxes)
    except NetapplyError as error:
        return error.problems
    except OSError as error:
        # What nobody could look at is not known to be right, so it is rolled back too.
        return (Problem(f"cannot look at what was made: {error.strerror or error}"),)
    return differences(now, wanted, steps, pending, owners, sandboxes)


def _settle_host(machine: Machine, made: frozenset[Key], progress: Progress) -> Outcome:
    """After a failure: leave of what the plan ``made`` or removes of the host only what the stacks that stand need.

    What stood before stays: what a stack lost in the failure may need it again.
    """
    try:
        observation = machine.observe()
        plan, _ = make_plan(Scope(frozenset()), observation)
    except NetapplyError as error:
        return Outcome((), (), error.problems)
    # What it never had is the next run's to make.
    steps = [step for step in plan.of(HOST_OWNER) if step.change.key in observation.state and step.change.key in made]
    return _forward(machine, steps, progress)


def _joined(first: Outcome, second: Outcome) -> Outcome:
    return Outcome(
        first.done + second.done,
        first.undone + second.undone,
        first.problems + second.problems,
        # Each owner has one transaction.
        {**first.faults, **second.faults},
    )
