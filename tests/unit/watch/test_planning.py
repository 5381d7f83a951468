"""Whose a stack is that stands already, when a watcher finds a manifest of its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.naming import origin_of
from reconciler.observation import Observation
from reconciler.resources.namespace import Namespace
from reconciler.state import State
from reconciler.watch.manifests import Manifests
from reconciler.watch.planning import Attempt, make_plan
from reconciler.watch.remembered import Place


@pytest.fixture
def known(tmp_path: Path) -> Manifests:
    folder = tmp_path / "git" / ("0" * 16) / "current"
    (tmp_path / "m").mkdir()
    folder.mkdir(parents=True)
    for path in (folder, tmp_path / "m"):
        (path / f"{path.name[0]}.yaml").write_text("containers: {one: {network_mode: none}}\n")
    found = Manifests([str(tmp_path / "m"), str(folder)], {})
    found.scan()
    return found


def problems(known: Manifests, origin: str, place: str = "") -> str:
    """What is wrong when stack ``c`` stands with this origin, made by a watcher from ``place``."""
    state = State([Namespace("c", "c/one", origin)])
    places = {"c": Place(place, str(Path(place).parent), origin)} if place else {}
    attempt = Attempt({"c": known.stacks()["c"]}, places=places)
    make_plan(attempt, known, Observation(state))
    return " ".join(str(each) for found in attempt.faults.values() for each in found)


def test_a_name_that_was_only_derived_is_not_taken_from_others(known: Manifests, tmp_path: Path) -> None:
    assert "came from another manifest" in problems(known, origin_of("/elsewhere"))
    there = tmp_path / "c.yaml"
    there.touch()
    assert f": {there}" in problems(known, origin_of("/elsewhere"), str(there))


def test_the_directories_of_one_watcher_are_one_owner(known: Manifests, tmp_path: Path) -> None:
    assert problems(known, origin_of(str(tmp_path / "m"))) == ""
    assert problems(known, origin_of("/m"), str(tmp_path / "m/c.yaml")) == ""


def test_a_directory_that_is_gone_was_renamed(known: Manifests) -> None:
    assert problems(known, origin_of("/m"), "/no/such/m/c.yaml") == ""


def test_another_ref_takes_the_place_of_the_one_before(known: Manifests, tmp_path: Path) -> None:
    before = tmp_path / "git" / ("1" * 16) / "current" / "c.yaml"
    before.parent.mkdir(parents=True)
    before.touch()
    assert problems(known, origin_of(str(before.parent)), str(before)) == ""
