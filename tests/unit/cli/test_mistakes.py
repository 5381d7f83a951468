"""What hands type by mistake, and what callers leave closed: an error of the usual form, exit 1, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli.main import run

REPOSITORY = Path(__file__).parents[3]
STACK = "name: shop\ncontainers: {web: {command: grüße}}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COMPOSE_FILE", raising=False)
    (tmp_path / "shop.yaml").write_text(STACK)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("pss", "there is no command 'pss'", "did you mean netapply ps?"),
        ("apply shop.yaml", "there is no command 'apply'", "did you mean netapply up?"),
        ("frobnicate", "there is no command 'frobnicate'", "netapply --help lists the commands"),
        ("network create x", "there is no command 'network create'", "says the manifest"),
        ("plan --formt json", "no such option '--formt'", "did you mean --format or --out? see netapply plan --help"),
        ("ls -a", "no such option '-a'", "see netapply ls --help"),
        ("logs", "missing argument 'CONTAINER'", "see netapply logs --help"),
        ("plan --format yaml shop.yaml", "invalid value for '--format': 'yaml' is not one of", "plan --help"),
        ("plan -f", "option '-f' requires an argument", "--help"),
        (
            "watch --interval nan nowhere",
            "invalid value for '--interval': nan is not a number of seconds",
            "see netapply watch",
        ),
        ("watch --git-interval inf nowhere", "invalid value for '--git-interval'", "see netapply watch --help"),
        ("plan --out a --base b shop.yaml", "--out saves what", "see netapply plan --help"),
    ],
)
def test_a_mistyped_command_line(line: str, message: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line.split()) == 1
    said = capsys.readouterr()
    assert said.out == ""
    first, second = said.err.splitlines()
    assert first.startswith(f"error: {message}")
    assert second.startswith("  hint: ")
    assert hint in second


def test_without_any_word_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 1
    assert capsys.readouterr().err.startswith("Usage: netapply")


def test_help_has_whole_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "..." not in told.partition("Commands:")[2]
    assert "up Make the host like the manifest: plan, execute, verify; roll back on failure." in told


@pytest.mark.parametrize("line", [["plan", ""], ["down", "-f", ""], ["config", "shop.yaml", ""]])
def test_an_empty_file_name_is_not_the_folder(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line) == 1
    assert capsys.readouterr().err.startswith("error: the name of a file is empty\n  hint: is a variable")


@pytest.mark.parametrize("command", ["plan", "config", "down"])
def test_only_up_takes_a_saved_plan(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "shop.plan").write_text('{"netapply_plan": 1}')
    assert run([command, "shop.plan"]) == 1
    assert capsys.readouterr().err == (
        "error: shop.plan is a saved plan, not a manifest\n  hint: to do it: netapply up shop.plan\n"
    )


def netapply(redirections: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """A process of its own, for the streams are the question."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONIOENCODING": "ascii"}
    line = f'exec "{sys.executable}" -m reconciler {redirections}'
    return subprocess.run(
        ["sh", "-c", line], input=stdin, capture_output=True, env=environment, timeout=30, check=False
    )


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("config - <&-", 1, b"-:1:1: error: the manifest is empty"),
        ("config shop.yaml >&-", 0, b""),
        ("config nope.yaml 2>&-", 1, b""),
        ("config shop.yaml <&- >&- 2>&-", 0, b""),
        ("config shop.yaml >/dev/full", 1, b"error: No space left on device"),
    ],
)
def test_closed_and_full_streams(line: str, code: int, message: bytes) -> None:
    done = netapply(line)
    assert done.returncode == code
    assert done.stderr.startswith(message)
    assert bool(done.stderr) == bool(message)


def test_standard_input_that_is_not_utf8() -> None:
    done = netapply("config -", b"containers:\n  w\xe9b: {}\n")
    assert done.returncode == 1
    assert done.stderr.startswith(b"-:2:4: error: byte 0xe9 is not valid UTF-8")


def test_a_second_name_is_not_swallowed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["down", "-p", "one", "-p", "two"]) == 1
    assert "-p takes one name: one, two are for one run each" in capsys.readouterr().err
