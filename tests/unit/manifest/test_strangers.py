"""Manifests of people whom nobody trusts, as a pull request brings them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from reconciler.errors import NetapplyError, Problem, Source
from reconciler.manifest.tree import DISK

if TYPE_CHECKING:
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


def test_what_the_shell_hands_over_is_read() -> None:
    """As in ``netapply plan -f <(command)``."""
    reader, writer = os.pipe()
    os.write(writer, b"containers:")
    os.close(writer)
    try:
        assert DISK.read(f"/dev/fd/{reader}", 100) == b"containers:"
    finally:
        os.close(reader)


def test_the_words_of_a_failure_are_one_line_each() -> None:
    failure = NetapplyError.of("a\nb", hint="c\u2028d")
    assert str(failure) == "error: a\\nb\n  hint: c\\u2028d"
