"""Who is warned that a watcher will undo a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from reconciler import manifest
from reconciler.cli import watched
from reconciler.desired.scope import Scope
from reconciler.observation import Observation
from reconciler.reconcile import make_plan
from reconciler.state import State

TEXT = "name: shop\ncontainers: {one: {network_mode: none}}\n"
KEPT = {"name": "shop", "last_apply": "2026-11-21T07:00:01Z", "held": False}


def told(monkeypatch: pytest.MonkeyPatch, folder: Path, more: str = "", **differing: Any) -> list[str]:
    """What an `up` of that file is warned of, merged with one of ``more``, beside a watcher of it."""
    (folder / "shop.yaml").write_text(TEXT)
    (folder / "more.yaml").write_text(more)
    answer = {"pid": 42, "stacks": [KEPT | {"file": str(folder / "shop.yaml")} | differing]}
    monkeypatch.setattr(watched, "ask", lambda _run, _patience: answer)
    paths = ["shop.yaml", "more.yaml"] if more else ["shop.yaml"]
    monkeypatch.chdir(folder)
    read = manifest.load(paths, environment=os.environ)
    scope = Scope(frozenset({"shop"}), (read,))
    plan, _ = make_plan(scope, Observation(State()))
    return [str(each) for each in watched.undone_by_watcher(folder, scope, plan)]


def test_what_a_watcher_would_do_itself_is_not_undone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert told(monkeypatch, tmp_path) == []
    (warning,) = told(monkeypatch, tmp_path, "containers: {two: {network_mode: none}}\n")
    assert "process 42 watches stack shop and will undo this" in warning
    assert f"hint: edit {tmp_path / 'shop.yaml'} instead" in warning
    (tmp_path / "other.yaml").write_text(TEXT)
    assert told(monkeypatch, tmp_path, file=str(tmp_path / "other.yaml"))


@pytest.mark.parametrize("differing", [{"name": "blog"}, {"last_apply": None}, {"held": True}])
def test_what_it_does_not_keep_is_not_undone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, differing: dict[str, Any]
) -> None:
    assert told(monkeypatch, tmp_path, "containers: {two: {network_mode: none}}\n", **differing) == []


def test_without_a_watcher_nothing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nobody(_run: Path, _patience: float) -> None:
        raise FileNotFoundError

    told(monkeypatch, tmp_path)
    monkeypatch.setattr(watched, "ask", nobody)
    read = manifest.load(["shop.yaml"], environment=os.environ)
    scope = Scope(frozenset({"shop"}), (read,))
    plan, _ = make_plan(scope, Observation(State()))
    assert not list(watched.undone_by_watcher(tmp_path, scope, plan))
