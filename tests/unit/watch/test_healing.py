"""What counts as healed, what is kept as it stood, and which commands are dead."""

from __future__ import annotations

from reconciler.kernel.runtime import ENDED
from reconciler.manifest.model import Container, Manifest
from reconciler.observation import Observation, Runtime
from reconciler.plan.change import Create, Delete, Disruption
from reconciler.plan.plan import Stage, Step
from reconciler.resources.namespace import Namespace
from reconciler.resources.process import Process
from reconciler.state import State
from reconciler.watch.backoff import Restarts
from reconciler.watch.dead_commands import dead_commands
from reconciler.watch.healing import Healing
from reconciler.watch.kept import as_kept

RUNS = Process("shop", "shop/web", ("false",), restart="always")
DEAD = Process("shop", "shop/web", ("false",), restart="always", fault=f"{ENDED} with status 1")
STRAY = Process("shop", "shop/web", ("false",), restart="always", fault="it runs in a namespace that was replaced")


def steps(before: Process) -> list[Step]:
    reason, disruption = "fault changed", Disruption.RECREATE
    return [
        Step(Stage.STOP, Delete(before, reason, disruption)),
        Step(Stage.START, Create(RUNS, reason, disruption)),
    ]


def test_a_restart_by_policy_heals_nothing() -> None:
    healing = Healing()
    assert healing.count(steps(DEAD), lambda _owner: False, 1.0) == ({}, [])
    assert healing.restarts.count("shop/web") == 1
    assert healing.count(steps(STRAY), lambda _owner: False, 1.0)[0] == {"shop": 2}


def test_commands_of_kept_stacks_start_again_less_and_less_often() -> None:
    healing = Healing()
    observation = Observation(State([DEAD]))

    def is_due(now: float) -> bool:
        seen = healing.without_early_restarts(observation, {}, ["shop/web"], now)
        return bool(next(iter(seen.state)).fault)  # type: ignore[attr-defined]  # it is a process

    assert is_due(100.0)
    healing.count(steps(DEAD), lambda _owner: False, 100.0)
    assert not is_due(100.01)
    assert is_due(100.2)


def test_a_stack_is_kept_as_it_stood() -> None:
    stood = State([Namespace("shop", "shop/web", "o", ipv6=True), STRAY])
    now = Observation(State([Namespace("shop", "shop/web", "o", ipv6=False), RUNS, Namespace("b", "b/x", "o")]))
    kept = as_kept(now, {"shop": stood}).state
    # What did not run as it should is no state to go back to.
    assert kept == State([Namespace("shop", "shop/web", "o", ipv6=True), RUNS, Namespace("b", "b/x", "o")])
    assert as_kept(now, {}) is now


def test_which_commands_are_dead_and_what_becomes_of_them() -> None:
    containers = (
        Container("al", restart="always"),
        Container("thrice", restart="on-failure", restart_limit=1),
        Container("fine", restart="on-failure"),
        Container("job"),
        Container("runs", restart="always"),
        Container("none", restart="always"),
    )
    manifest = Manifest("shop", named=True, origin="/m", networks=(), containers=containers)
    ended = {
        f"shop/{name}": Runtime(None, status) for name, status in [("al", 1), ("thrice", 2), ("fine", 0), ("job", 1)]
    }
    restarts = Restarts()
    for now in (100.0, 100.0):
        restarts.postponed("shop/al", None, now)
        restarts.started("shop/al", now)
    restarts.postponed("shop/al", None, 100.0)
    restarts.started("shop/thrice", 100.0)
    assert dead_commands(manifest, ended | {"shop/runs": Runtime(7, None)}, restarts, 100.0) == [
        "command of al ended with 1, restarts in 1 s",
        "command of thrice ended with 2, its restart is used up",
    ]
