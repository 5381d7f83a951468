"""Manifests of people whom nobody trusts, as a pull request brings them."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING

import pytest

from reconciler.cli.arguments import Arguments
from reconciler.errors import NetapplyError, Problem, Source
from reconciler.manifest import stacks
from reconciler.manifest.tree import DISK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.manifest.conftest import FaultsOf


def test_a_name_cannot_look_like_a_line_of_its_own(faults_of: FaultsOf) -> None:
    """A CI service takes such a line for a command, a terminal obeys what follows an escape."""
    (fault,) = faults_of('containers: {web: {"a\\n::error::b\\e[2J\\r": 1}}')
    first, *others = str(fault).splitlines()
    assert first == r"a.yaml:1:20: error: unknown key 'a\n::error::b\x1b[2J\r'"
    assert [line.partition(":")[0] for line in others] == ["  hint"]


def test_nor_can_the_name_of_a_file_or_what_a_command_wrote() -> None:
    problem = Problem("bad", Source("a\nb.yaml", 1, 2), details=("first", "sec\x1bond"))
    assert str(problem) == "a\\nb.yaml:1:2: error: bad\n  first\n  sec\\x1bond"


@pytest.mark.timeout(20)
def test_what_is_no_file_is_not_opened(tmp_path: Path, faults_of: FaultsOf) -> None:
    """A pipe would be read for ever, by a watcher too."""
    os.mkfifo(tmp_path / "pipe")
    (fault,) = faults_of(f"containers: {{web: {{command: x, env_file: {tmp_path}/pipe}}}}")
    assert str(fault).endswith(f"error: {tmp_path}/pipe: not a regular file")
    with pytest.raises(OSError, match="regular"):
        DISK.read("/dev/zero", 10)
    assert DISK.read("/dev/null", 10) == b""


@pytest.fixture
def pipe() -> Iterator[tuple[str, IO[str]]]:
    """A pipe's name, as the shell hands it over, and its other end, which stays open."""
    reader, writer = os.pipe()
    with os.fdopen(reader), os.fdopen(writer, "w") as end:
        yield f"/dev/fd/{reader}", end


def test_what_the_shell_hands_over_is_read(pipe: tuple[str, IO[str]]) -> None:
    """As in ``netapply plan -f <(command)``; whether it is a saved plan must not be asked of it."""
    name, end = pipe
    end.write("containers: {web: }")
    end.close()
    (manifest,) = Arguments(merged=(name,), stack_name="x").stacks()
    assert [container.name for container in manifest.containers] == ["web"]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("include: [NAME]", "a.yaml:1:11"),
        ("include: [{path: ok.yaml, env_file: NAME}]", "a.yaml:1:11"),
        ("containers: {a: {extends: {file: NAME, service: x}}}", "a.yaml:1:27"),
        ("containers: {a: {command: x, env_file: NAME}}", "a.yaml:1:40"),
    ],
)
def test_what_a_manifest_names_is_a_file(
    faults_of: FaultsOf, pipe: tuple[str, IO[str]], tmp_path: Path, text: str, place: str
) -> None:
    """A pipe that nobody closes, and the kernel's own files, some of which wait until something happens."""
    (tmp_path / "ok.yaml").write_text("containers: {b: }")
    for name in (pipe[0], "/proc/version"):
        (fault,) = faults_of(text.replace("NAME", name))
        assert str(fault) == f"{place}: error: {name}: not a regular file"


@pytest.mark.timeout(20)
def test_what_stands_beside_a_manifest_names_no_pipe(tmp_path: Path, pipe: tuple[str, IO[str]]) -> None:
    (tmp_path / ".env").write_text(f"COMPOSE_FILE={pipe[0]}\n")
    with pytest.raises(NetapplyError, match="not a regular file"):
        stacks([], environment={}, directory=tmp_path)
    (tmp_path / ".env").unlink()
    (tmp_path / "compose.yaml").write_text("services: {a: }")
    (tmp_path / ".env").symlink_to("/proc/version")
    with pytest.raises(NetapplyError, match="not a regular file"):
        stacks([], environment={}, directory=tmp_path)


def test_a_dash_in_a_manifest_is_no_standard_input(faults_of: FaultsOf) -> None:
    (fault,) = faults_of("include: ['-']")
    assert str(fault) == "a.yaml:1:11: error: -: no such file"


def test_the_words_of_a_failure_are_one_line_each() -> None:
    failure = NetapplyError.of("a\nb", hint="c\u2028d")
    assert str(failure) == "error: a\\nb\n  hint: c\\u2028d"
