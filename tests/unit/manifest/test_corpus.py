"""Compose files that others wrote load, or are refused for the right reason at the right place."""

from __future__ import annotations

import csv
from collections import Counter

import pytest

from tests.corpus import outcomes

RECORDED = outcomes.recorded()


@pytest.mark.parametrize("file", outcomes.files())
def test_outcome(file: str) -> None:
    assert outcomes.outcome(file) == RECORDED[file]


def test_every_file_is_accepted_or_refused_with_a_place_and_has_a_licence(capsys: pytest.CaptureFixture[str]) -> None:
    table = Counter(
        "accepted" if each == outcomes.OK else "neither" if each.startswith(("nowhere", "the canon")) else "refused"
        for each in RECORDED.values()
    )
    with capsys.disabled():
        print(f"\ncorpus: {dict(table)}")  # noqa: T201  # the table that a reader of the test's output looks for
    assert table["neither"] == 0
    assert table["accepted"] > 50
    with (outcomes.HERE / "SOURCES.tsv").open(newline="") as sources:
        licences = {row["file"]: row["licence"] for row in csv.DictReader(sources, delimiter="\t")}
    assert set(RECORDED) <= set(licences)
    assert set(licences.values()) <= {"MIT", "Apache-2.0"}


EXPECTED = {
    "TestBadServiceConfig.85": (5, "mutually exclusive 'network_mode' and 'networks'"),
    "TestLoadNetworkInvalidExternalNameAndNameCombination.49": (7, "name and external.name conflict"),
    "TestNonStringKeys.10": (5, "non-string key in services: 123"),
    "TestNonStringKeys.11": (9, "non-string key in networks.default.ipam.config.0: 123"),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_what_the_reference_loader_refuses_is_refused_for_the_same_reason(name: str) -> None:
    (found,) = (text for file, text in RECORDED.items() if name in file)
    line, message = EXPECTED[name]
    assert f".yaml:{line}:" in found
    assert message in found
