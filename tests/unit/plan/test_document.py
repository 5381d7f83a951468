"""The plan for programs is what its published schema says, to a validator that knows nothing of netapply."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconciler.plan.change import Disruption
from reconciler.plan.document import FORMAT_VERSION
from reconciler.state import Kind

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "schemas/plan.schema.json").read_text())
CASES = sorted((ROOT / "tests/cases").glob("*/expected.json"))


def faults(document: Any) -> list[str]:
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(document)]


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["format_version"]["const"] == FORMAT_VERSION


def test_the_words_are_those_of_the_code() -> None:
    parts = SCHEMA["$defs"]
    assert parts["change"]["properties"]["kind"]["enum"] == list(Kind)
    assert parts["disruption"]["enum"] == list(Disruption)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.parent.name)
def test_every_plan_of_the_cases_is_as_the_schema_says(path: Path) -> None:
    assert faults(json.loads(path.read_text())) == []


def _without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.pop(name)


def _change(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["changes"][0].update(fields)


@pytest.mark.parametrize(
    "spoil",
    [
        _without("format_version"),
        _without("changes"),
        lambda document: document.update(format_version=2),
        lambda document: document["summary"].update(create=-1),
        _change(action="replace"),
        _change(kind="bridge"),
        _change(disruption="slight"),
        _change(action="delete", before={}, after={}),
        _change(action="create", before={}, after={}),
        _change(source=7),
        lambda document: document["exposure"]["opened"].append({"target": "shop/web"}),
    ],
)
def test_what_is_no_plan_is_refused(spoil: Callable[[dict[str, Any]], None]) -> None:
    document = deepcopy(json.loads((ROOT / "tests/cases/first-up/expected.json").read_text()))
    assert faults(document) == []
    spoil(document)
    assert faults(document)
