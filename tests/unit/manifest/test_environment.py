"""Files of environment variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.manifest import load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.manifest.conftest import FaultsOf, LoadText


@pytest.fixture
def files(tmp_path: Path) -> None:
    (tmp_path / "one.env").write_text("A=1\nB=\"one $OUTER\"\n# no\nexport C='$x'\n")
    (tmp_path / "two.env").write_text("B=two\nD=$A\nE\n")
    (tmp_path / "raw.env").write_text('# no\nQ="kept $A"\nR= s\n')


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("written", "environment"),
    [
        ("one.env", {"A": "1", "B": "one o", "C": "$x"}),
        ("[one.env]", {"A": "1", "B": "one o", "C": "$x"}),
        ("[one.env, two.env]", {"A": "1", "B": "two", "C": "$x", "D": "1"}),
        ("{path: one.env}", {"A": "1", "B": "one o", "C": "$x"}),
        ("[{path: one.env}, {path: none.env, required: false}]", {"A": "1", "B": "one o", "C": "$x"}),
        ("{path: raw.env, format: raw}", {"Q": '"kept $A"', "R": " s"}),
        ("", {}),
        ("[]", {}),
    ],
)
def test_forms(load_text: LoadText, written: str, environment: dict[str, str]) -> None:
    manifest = load_text(f"containers: {{a: {{command: x, env_file: {written}}}}}", OUTER="o")
    assert dict(manifest.containers[0].environment) == environment


@pytest.mark.usefixtures("files")
def test_the_manifest_goes_before_the_files(load_text: LoadText) -> None:
    manifest = load_text("containers: {a: {env_file: one.env, environment: {A: own}}}", OUTER="o")
    assert dict(manifest.containers[0].environment) == {"A": "own", "B": "one o", "C": "$x"}


@pytest.mark.usefixtures("files")
def test_files_of_several_manifests_add_up(load_text: LoadText) -> None:
    manifest = load_text(
        "containers: {a: {env_file: one.env}}", "containers: {a: {env_file: [{path: two.env}]}}", OUTER="o"
    )
    assert dict(manifest.containers[0].environment)["B"] == "two"


def test_the_path_starts_where_the_manifest_is(tmp_path: Path) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    (folder / "x.env").write_text("A=1\n")
    (folder / "m.yaml").write_text("containers: {a: {env_file: x.env}}")
    manifest = load([folder / "m.yaml"], stack_name="t", environment={})
    assert manifest.containers[0].environment == (("A", "1"),)


@pytest.mark.parametrize("form", ["none.env", "[none.env]", "{path: none.env}"])
def test_a_missing_file(load_text: LoadText, faults_of: FaultsOf, form: str) -> None:
    (fault,) = faults_of(f"containers: {{a: {{command: x, env_file: {form}}}}}")
    assert fault.message.endswith("none.env: no such file")
    assert str(fault.source) == f"a.yaml:1:{40 + form.index('none')}"
    (warning,) = load_text(f"containers: {{a: {{env_file: {form}}}}}").warnings
    assert warning.message.endswith("none.env: no such file")


def test_faults_in_a_file_have_its_place_and_no_value(faults_of: FaultsOf, tmp_path: Path) -> None:
    (tmp_path / "bad.env").write_text("A=1\n'c4nary\nB=${NO:?c4nary}\n")
    faults = faults_of("containers: {a: {command: x, env_file: {path: bad.env, format: rw}}}")
    assert [str(fault.source).removeprefix(f"{tmp_path}/") for fault in faults] == [
        "bad.env:2:1",
        "bad.env:3:1",
        "a.yaml:1:64",
    ]
    assert faults[2].hint == "did you mean 'raw'?"


@pytest.mark.usefixtures("files")
def test_compose_env_files(load_text: LoadText) -> None:
    manifest = load_text("containers: {a: {user: $A$D}}", COMPOSE_ENV_FILES="one.env,two.env")
    assert manifest.containers[0].user == "11"
