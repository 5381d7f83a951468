"""Each folder of tests/cases is a test: manifests and an observed host give a plan. No Python is needed to add one.

In a folder stand:

- ``manifest*.yaml``: one stack each, what shall be. None: the stacks in ``down.txt`` go, else all that are there.
- ``before*.yaml``: the host was made by these; or ``observed.json``: the host as `snapshot` writes it; or neither: empty.
- ``drift.json``: what happened to the host since: a list of ``{"remove": [kind, name]}``,
  ``{"change": [kind, name], "fields": {…}}``, ``{"add": {"type": …}}``.
- ``facts.json``: what else is known of the host (reconciler.observation.Facts).
- ``expected.txt``, ``expected.json``, ``expected.md``: the plan for people, programs and pull requests;
  ``expected-detail.txt``: each object of the kernel; or ``expected-error.txt``.

``pytest tests/unit/test_cases.py --rewrite`` writes what is expected anew; read the difference before you keep it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from reconciler import manifest
from reconciler.desired.build import desired
from reconciler.desired.scope import Scope
from reconciler.errors import NetapplyError
from reconciler.graph.topology import topology
from reconciler.manifest.model import Manifest
from reconciler.observation import Observation
from reconciler.plan import markdown
from reconciler.plan.diff import diff
from reconciler.plan.document import document
from reconciler.plan.exposure import difference
from reconciler.plan.plan import Plan, order
from reconciler.plan.text import render
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.snapshot import observation_from_document, observation_to_document
from reconciler.state import State
from tests.property.simulation import as_observed, simulate

CASES = Path(__file__).parents[1] / "cases"
NAMES = sorted(path.name for path in CASES.iterdir() if path.is_dir())
EXPECTATIONS = ("expected.txt", "expected-detail.txt", "expected.json", "expected.md", "expected-error.txt")


@dataclass(frozen=True)
class Case:
    """A folder, read."""

    scope: Scope
    observation: Observation


def read_case(folder: Path) -> Case:
    manifests = _manifests(folder, "manifest*.yaml")
    observation = _observation(folder)
    stacks = {manifest.stack for manifest in manifests}
    down = folder / "down.txt"
    if down.exists():
        stacks |= set(down.read_text().split())
    elif not manifests:
        stacks = {resource.owner for resource in observation.state}
    return Case(Scope(frozenset(stacks), manifests), observation)


def _manifests(folder: Path, pattern: str) -> tuple[Manifest, ...]:
    files = sorted(path.name for path in folder.glob(pattern))
    read = manifest.stacks(files, environment={}, directory=folder) if files else ()
    # The real path differs with every clone.
    return tuple(replace(each, origin=f"/{each.stack}.yaml") for each in read)


def _observation(folder: Path) -> Observation:
    path = folder / "observed.json"
    if path.exists():
        return observation_from_document(json.loads(path.read_text()))
    facts = folder / "facts.json"
    document = {
        "format_version": 1,
        "resources": [],
        "facts": json.loads(facts.read_text()) if facts.exists() else {},
    }
    observation = observation_from_document(document)
    before = _manifests(folder, "before*.yaml")
    made = as_observed(desired(Scope(frozenset(each.stack for each in before), before), observation))
    return _drifted(folder, replace(observation, state=made))


def _drifted(folder: Path, observation: Observation) -> Observation:
    document = observation_to_document(observation)
    entries = {tuple(resource.key): entry for resource, entry in _paired(observation.state, document)}
    path = folder / "drift.json"
    for event in json.loads(path.read_text()) if path.exists() else ():
        match event:
            case {"remove": [kind, name]}:
                del entries[kind, name]
            case {"change": [kind, name], "fields": fields}:
                entries[kind, name] |= fields
            case {"add": entry}:
                entries["added", str(len(entries))] = entry
            case _:
                pytest.fail(f"{path}: no such event: {event}")
    drifted = observation_from_document({**document, "resources": list(entries.values())})
    names = {link.interface for link in drifted.state if isinstance(link, Bridge)}
    names |= {link.host_interface for link in drifted.state if isinstance(link, Endpoint)}
    return replace(drifted, facts=replace(drifted.facts, interfaces=drifted.facts.interfaces | names))


def _paired(state: State, document: dict[str, Any]) -> list[tuple[Any, dict[str, Any]]]:
    return list(zip((resource for _, resource in sorted(state.items())), document["resources"], strict=True))


def result(case: Case) -> dict[str, str]:
    """The texts that the case gives, by file name."""
    try:
        wanted = desired(case.scope, case.observation)
    except NetapplyError as error:
        return {"expected-error.txt": f"{error}\n"}
    observed = case.observation.state
    plan = Plan(order(diff(observed, wanted), observed, wanted), case.observation.facts.warnings)
    assert simulate(plan.steps, observed) == wanted
    assert diff(wanted, desired(case.scope, replace(case.observation, state=wanted))) == ()
    exposed, stacks = difference(observed, wanted), sorted(case.scope.stacks)
    text = json.dumps(document(plan, stacks, exposed), indent=1, ensure_ascii=False)
    return {
        "expected.txt": render(plan, exposed),
        "expected-detail.txt": render(plan, exposed, detail=True),
        "expected.json": f"{text}\n",
        "expected.md": markdown.render(plan, stacks, exposed, topology(wanted, observed)),
    }


@pytest.mark.parametrize("name", NAMES)
def test_case(name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = CASES / name
    monkeypatch.chdir(folder)
    found = result(read_case(folder))
    if request.config.getoption("--rewrite", default=False):
        for file in EXPECTATIONS:
            (folder / file).unlink(missing_ok=True)
        for file, text in found.items():
            (folder / file).write_text(text)
    expected = {file: (folder / file).read_text() for file in EXPECTATIONS if (folder / file).exists()}
    assert found == expected


def test_there_are_cases() -> None:
    assert len(NAMES) >= 20
