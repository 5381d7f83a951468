"""What the watcher says: its log's beginnings and ends, and all reasons of a stack that is out of sync."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.errors import Problem
from reconciler.watch import report
from reconciler.watch.journal import Journal
from reconciler.watch.keeper import Keeper
from reconciler.watch.manifests import Manifests
from reconciler.watch.pruning import Decision
from reconciler.watch.records import Policy, Round


class Log(list[str]):
    """The events that were logged."""

    def __getattr__(self, _level: str) -> Callable[..., None]:
        return lambda event, **_facts: self.append(event)


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    """Of one stack in m/, on a host that nobody looks at."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m/shop.yaml").write_text("containers: {one: {network_mode: none}}\n")
    manifests = Manifests([str(tmp_path / "m")], {})
    manifests.scan()
    machine: Any = SimpleNamespace(host=SimpleNamespace(run=tmp_path), hear_firewall=lambda: None)
    return Keeper(machine, manifests, Policy())


def test_all_that_a_stack_waits_for_is_named(keeper: Keeper) -> None:
    keeper.waiting = {"shop": (Problem("no blue"), Problem("no red"))}
    assert [each["reason"] for each in report.stacks(keeper)] == ["no blue; no red"]
    keeper.waiting = {"shop": tuple(Problem(f"no {number}") for number in range(7))}
    assert [each["reason"] for each in report.stacks(keeper)] == ["no 0; no 1; no 2; no 3; no 4; and 2 more"]


def test_what_began_ends_in_the_log_too(keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log: Any = Log()
    journal = Journal(log, keeper)
    (tmp_path / "m").rename(tmp_path / "aside")
    keeper.manifests.scan()
    keeper.waiting = {"shop": (Problem("no blue"),)}
    monkeypatch.setattr(Keeper, "decision", Decision(held=((str(tmp_path / "m"), "all of them vanished"),)))
    for _ in range(2):
        journal.manifests()
        journal.round(Round(), "")
    began = [each for each in log if each != "nothing to do"]
    assert began == [
        "directory cannot be read; its stacks stay",
        "waiting for a namespace",
        "stacks without a manifest are kept",
    ]
    log.clear()
    (tmp_path / "aside").rename(tmp_path / "m")
    keeper.manifests.scan()
    keeper.waiting = {}
    monkeypatch.setattr(Keeper, "decision", Decision())
    for _ in range(2):
        journal.manifests()
        journal.round(Round(), "")
    assert [each for each in log if each != "nothing to do"] == [
        "directory can be read again",
        "no longer waiting for a namespace",
        "no stacks without a manifest are kept any more",
    ]
