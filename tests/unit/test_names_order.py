"""When resolvers come and go, and that those of a stack go to the agent together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from reconciler.actions import ForgetNames, ServeNames
from reconciler.kernel.execute import Executor, inverse
from reconciler.plan.diff import diff
from reconciler.plan.plan import Plan, Step, order
from reconciler.resources.agent import Agent
from reconciler.resources.namespace import Namespace
from reconciler.resources.process import Process
from reconciler.resources.resolver import Registration, Resolver
from reconciler.state import Resource, State

CONTAINERS = ("shop/a", "shop/b", "shop/c")


def whole(names: Iterable[str] = ("a",)) -> State:
    resources: list[Resource] = [Agent()]
    for container in CONTAINERS:
        registrations = (Registration("net", tuple(names), ("10.0.0.2",)),)
        resources += [
            Namespace("shop", container, "o"),
            Resolver("shop", container, registrations),
            Process("shop", container, ("sleep",)),
        ]
    return State(resources)


def steps(before: State, after: State) -> tuple[Step, ...]:
    return order(diff(before, after), before, after)


def test_a_resolver_is_made_after_its_sandbox_and_before_its_command() -> None:
    found = steps(State(), whole())
    for container in CONTAINERS:
        kinds = [s.change.key.kind.value for s in found if s.change.key.name.startswith(container)]
        assert kinds == ["namespace", "agent", "process"]
    assert found[0].change.key.name == "host:agent"


def test_it_goes_after_its_command_and_before_any_sandbox() -> None:
    found = steps(whole(), State())
    resolvers = [n for n, s in enumerate(found) if isinstance(s.change.before, Resolver)]  # type: ignore[union-attr]  # only deletes
    namespaces = [n for n, s in enumerate(found) if isinstance(s.change.before, Namespace)]  # type: ignore[union-attr]  # as above
    processes = [n for n, s in enumerate(found) if isinstance(s.change.before, Process)]  # type: ignore[union-attr]  # as above
    assert max(processes) < min(resolvers) <= max(resolvers) < min(namespaces)
    assert found[-1].change.key.name == "host:agent"


def test_of_a_lost_sandbox_it_is_served_anew_once_that_is_made() -> None:
    lost = (
        replace(r, listening=False) if isinstance(r, Resolver) and r.container == "shop/a" else r
        for r in whole()
        if not (isinstance(r, Namespace) and r.container == "shop/a")
    )
    found = [(s.change.key.kind.value, type(s.change).__name__) for s in steps(State(lost), whole())]
    assert found == [("namespace", "Create"), ("agent", "Update")]


class Recorder:
    """A performer that only remembers."""

    def __init__(self) -> None:
        self.served: list[list[ServeNames | ForgetNames]] = []
        self.firewall = self.perform = lambda _anything: None
        self.sockets = SimpleNamespace()

    def serve_names(self, actions: list[ServeNames | ForgetNames]) -> None:
        self.served.append(list(actions))

    def start_processes(self, _starts: Any) -> dict[str, Any]:
        return {}

    def stop_processes(self, _stops: Any) -> None:
        return


def perform(found: tuple[Step, ...]) -> list[list[ServeNames | ForgetNames]]:
    recorder = Recorder()
    Executor(recorder).run(found)  # type: ignore[arg-type]  # as much of a performer as is needed
    return recorder.served


def names_only(before: State, after: State) -> tuple[Step, ...]:
    return tuple(s for s in Plan(steps(before, after)).of("shop") if s.change.key.name.endswith(":names"))


def test_all_names_of_a_stack_are_given_in_one_go() -> None:
    bare = State(resource for resource in whole() if not isinstance(resource, Resolver))
    for before, after, kind in (
        (bare, whole(), ServeNames),
        (whole(), whole(["b"]), ServeNames),
        (whole(), bare, ForgetNames),
    ):
        made = names_only(before, after)
        (served,) = perform(made)
        assert [action.container for action in served if isinstance(action, kind)] == sorted(
            CONTAINERS, reverse=kind is ForgetNames
        )
        (undone,) = perform(inverse(made))
        assert {action.container for action in undone} == set(CONTAINERS)


def test_a_resolver_says_what_it_answers() -> None:
    made = Resolver("shop", "shop/a", (Registration("net", ("web", "www"), ("10.0.0.2",)),), (("db", ("10.0.0.3",)),))
    assert made.describe() == "names: web, www, link db"
    assert Resolver("shop", "shop/a").describe() == "no names"
    assert made.record()["networks"] == {"net": {"names": ("web", "www"), "addresses": ("10.0.0.2",)}}
