"""Which files a run is about, and what its stacks are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.errors import NetapplyError
from reconciler.manifest import discover, load, stacks

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    here = tmp_path / "My.Shop_1"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


def write(folder: Path, name: str, text: str = "containers: {web: }") -> None:
    (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("present", "environment", "found"),
    [
        (["netapply.yaml", "stack.yaml", "compose.yaml"], {}, ["netapply.yaml"]),
        (["stack.yaml", "docker-compose.yml"], {}, ["stack.yaml"]),
        (["compose.yml", "docker-compose.yml"], {}, ["compose.yml"]),
        (["docker-compose.yaml", "docker-compose.yml"], {}, ["docker-compose.yml"]),
        (["compose.yaml", "compose.override.yml"], {}, ["compose.yaml", "compose.override.yml"]),
        (["stack.yaml", "compose.override.yml"], {}, ["stack.yaml"]),
        (["stack.yaml"], {"COMPOSE_FILE": "a.yaml:b/c.yaml"}, ["a.yaml", "b/c.yaml"]),
        ([], {"COMPOSE_FILE": "a;b", "COMPOSE_PATH_SEPARATOR": ";"}, ["a", "b"]),
    ],
)
def test_discovery(folder: Path, present: list[str], environment: dict[str, str], found: list[str]) -> None:
    for name in present:
        write(folder, name)
    assert discover(".", environment) == found


def test_nothing_to_discover(folder: Path) -> None:
    with pytest.raises(NetapplyError, match=r"no manifest in .*My.Shop_1"):
        discover(".", {})


@pytest.mark.parametrize(
    ("file", "text", "argument", "environment", "stack", "named"),
    [
        ("stack.yaml", "", None, {}, "myshop_1", False),
        ("web.yaml", "", None, {}, "web", False),
        ("_Web-2.yml", "", None, {}, "web-2", False),
        ("web.yaml", "name: shop\n", None, {}, "shop", True),
        ("web.yaml", "name: shop\n", None, {"COMPOSE_PROJECT_NAME": "other"}, "other", True),
        ("web.yaml", "name: shop\n", "mine", {"COMPOSE_PROJECT_NAME": "other"}, "mine", True),
        ("web.yaml", "name: ${N:-x}\n", None, {"N": "dev"}, "dev", True),
    ],
)
def test_the_stacks_name(
    folder: Path,
    file: str,
    text: str,
    argument: str | None,
    environment: dict[str, str],
    stack: str,
    named: bool,
) -> None:
    write(folder, file, text + "containers: {web: }")
    manifest = load([file], stack_name=argument, environment=environment)
    assert (manifest.stack, manifest.named) == (stack, named)


@pytest.mark.parametrize(("name", "hint"), [("My Shop", "'myshop' would do"), ("-", "lower-case"), ("a" * 64, "")])
def test_bad_stack_names(folder: Path, name: str, hint: str) -> None:
    write(folder, "a.yaml", f"name: '{name}'\ncontainers: {{web: }}")
    with pytest.raises(NetapplyError) as caught:
        load(["a.yaml"], environment={})
    (problem,) = caught.value.problems
    assert str(problem.source) == "a.yaml:1:7"
    assert hint in problem.hint


def test_standard_input(folder: Path) -> None:
    manifest = load(["-"], environment={}, stdin="name: shop\ncontainers: {web: {ports: [x:80]}}".replace("x:", ""))
    assert (manifest.stack, manifest.origin) == ("shop", "-")
    assert str(manifest.containers[0].source) == "-:2:14"
    with pytest.raises(NetapplyError, match="the stack has no name"):
        load(["-"], environment={}, stdin="containers: {web: }")


def test_a_directory_is_all_the_stacks_in_it(folder: Path) -> None:
    write(folder, "b.yml")
    write(folder, "a.yaml")
    write(folder, ".hidden.yaml", "not: loaded")
    write(folder, "notes.txt", "nor this")
    assert [manifest.stack for manifest in stacks(["."], environment={})] == ["a", "b"]
    assert [manifest.stack for manifest in stacks(["a.yaml", "."], environment={})] == ["a", "b"]


def test_no_arguments_at_all(folder: Path) -> None:
    write(folder, "stack.yaml")
    assert [manifest.stack for manifest in stacks([], environment={})] == ["myshop_1"]
    assert [manifest.stack for manifest in stacks([], environment={}, directory=folder)] == ["myshop_1"]


def test_merged_files_are_one_stack(folder: Path) -> None:
    write(folder, "a.yaml")
    write(folder, "b.yaml", "containers: {app: }")
    (manifest,) = stacks([], merged=["a.yaml", "b.yaml"], environment={})
    assert [container.name for container in manifest.containers] == ["web", "app"]
    assert manifest.stack == "a"


def test_two_stacks_of_one_name(folder: Path) -> None:
    write(folder, "a.yaml", "name: shop")
    write(folder, "b.yaml", "name: shop")
    with pytest.raises(NetapplyError, match=r"two stacks are named 'shop': a.yaml and b.yaml"):
        stacks(["."], environment={})


def test_one_name_for_two_stacks(folder: Path) -> None:
    write(folder, "a.yaml")
    write(folder, "b.yaml")
    with pytest.raises(NetapplyError, match="-p x cannot name 2 stacks"):
        stacks(["a.yaml", "b.yaml"], stack_name="x", environment={})


def test_faults_of_all_stacks_at_once(folder: Path) -> None:
    write(folder, "a.yaml", "containers: {a: {ports: [x]}}")
    write(folder, "b.yaml", "containers: {a: {ports: [y]}}")
    with pytest.raises(NetapplyError) as caught:
        stacks(["a.yaml", "b.yaml", "c.yaml", "."], environment={})
    assert [str(problem).partition("\n")[0] for problem in caught.value.problems] == [
        "error: c.yaml: no such file",
        "a.yaml:1:26: error: 'x' is not a port",
        "b.yaml:1:26: error: 'y' is not a port",
    ]


def test_unused_keys_are_warned_of_once_per_run(folder: Path) -> None:
    write(folder, "a.yaml", "containers: {a: {image: x}}")
    write(folder, "b.yaml", "containers: {a: {image: x, build: .}}")
    first, second = stacks(["."], environment={})
    assert [warning.message for warning in first.warnings] == [
        "accepted, but not used by netapply: build (b.yaml:1:28), image (a.yaml:1:18)",
    ]
    assert first.warnings[0].hint.startswith("images are not run")
    assert second.warnings == ()


def test_unreadable(folder: Path) -> None:
    (folder / "d.yaml").mkdir()
    with pytest.raises(NetapplyError, match=r"d.yaml: is a directory"):
        load(["d.yaml"], environment={})
