"""The commands' own part of manifests: options, and errors with the source's line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli import config, diagnostics
from reconciler.cli.main import run
from reconciler.errors import Problem, Source

TEXT = """\
name: shop
containers:
  web:
    ports: [8080:80]
    environment: {A: "${A:-}"}
    user: "${WHO:-nobody}"
  debug: {profiles: [debug]}
  more: {profiles: [more]}
"""


def config_of(*arguments: str) -> Result:
    return CliRunner().invoke(config.command, arguments, catch_exceptions=False)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", "COMPOSE_ENV_FILES", "WHO"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "shop.yaml").write_text(TEXT)
    (tmp_path / ".env").write_text("WHO=dot\n")
    (tmp_path / "one.env").write_text("WHO=one\n")
    (tmp_path / "two.env").write_text("WHO=two\n")
    return tmp_path


def containers_of(*arguments: str) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads(config_of("--format", "json", *arguments).stdout)["containers"]
    return found


def test_profiles() -> None:
    assert list(containers_of("shop.yaml")) == ["web"]
    assert list(containers_of("--profile", "debug", "shop.yaml")) == ["web", "debug"]
    assert list(containers_of("--profile", "debug", "--profile", "more", "shop.yaml")) == ["web", "debug", "more"]


def test_env_files() -> None:
    assert containers_of("shop.yaml")["web"]["user"] == "dot"
    assert containers_of("--env-file", "one.env", "shop.yaml")["web"]["user"] == "one"
    assert containers_of("--env-file", "one.env", "--env-file", "two.env", "shop.yaml")["web"]["user"] == "two"


def test_what_the_environment_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "over.yaml").write_text("containers: {web: {hostname: w}}")
    monkeypatch.setenv("COMPOSE_FILE", "shop.yaml:over.yaml")
    monkeypatch.setenv("COMPOSE_PROFILES", "more")
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "other")
    document = json.loads(config_of("--format", "json").stdout)
    assert document["name"] == "other"
    assert list(document["containers"]) == ["web", "more"]
    assert document["containers"]["web"]["hostname"] == "w"


@pytest.mark.parametrize("output_format", ["yaml", "json"])
def test_config_of_config_is_the_same(folder: Path, output_format: str) -> None:
    first = config_of("--format", output_format, "--profile", "debug", "shop.yaml").stdout
    (folder / "again.yaml").write_text(first)
    assert config_of("--format", output_format, "again.yaml").stdout == first


class Terminal(io.StringIO):
    """Standard error of somebody who sits before it."""

    def isatty(self) -> bool:
        return True


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, file: str) -> tuple[int, str]:
    """The exit code of ``config`` and what stands on the screen."""
    screen = Terminal()
    # Not in a fixture: pytest puts its own stream there again before the test begins.
    monkeypatch.setattr("sys.stderr", screen)
    return run(["config", file]), screen.getvalue()


def test_a_terminal_gets_the_line_and_a_caret(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "bad.yaml").write_text('containers:\n\n  web:\n    ports:\n      - "8080::80"\n    prots: []\n')
    code, shown = on_a_terminal(monkeypatch, "bad.yaml")
    assert code == 1
    assert shown == (
        "bad.yaml:5:9: error: '8080::80': '8080' is not an IP address\n"
        '    5 |       - "8080::80"\n'
        "      |         ^\n"
        "  hint: one colon: 8080:80\n"
        "bad.yaml:6:5: error: unknown key 'prots'\n"
        "    6 |     prots: []\n"
        "      |     ^\n"
        "  hint: did you mean 'ports'?\n"
    )


def test_a_terminal_gets_it_for_warnings_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "warn.yaml").write_text("containers: {a: {user: $NOBODY}}\n")
    code, shown = on_a_terminal(monkeypatch, "warn.yaml")
    assert code == 0
    assert "    1 | containers: {a: {user: $NOBODY}}\n      |                        ^\n" in shown


def test_a_warning_that_may_be_the_reason_stands_beside_the_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "bad.yaml").write_text("containers: {a: {ports: [$PORT]}}\n")
    code, shown = on_a_terminal(monkeypatch, "bad.yaml")
    assert code == 1
    assert "bad.yaml:1:26: warning: variable PORT is not set" in shown
    assert "bad.yaml:1:26: error: '' names no port" in shown


def test_no_environment_value_on_the_terminal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "bad.yaml").write_text("containers:\n  a:\n    environment:\n      A: [c4nary]\n    prots: []\n")
    code, shown = on_a_terminal(monkeypatch, "bad.yaml")
    assert code == 1
    assert "bad.yaml:4:7: error" in shown
    assert "c4nary" not in shown
    assert "    5 |     prots: []\n" in shown


def test_no_line_of_a_file_of_variables(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".env").write_text("A: ${NO:?x}c4nary\n'c4nary\n")
    code, shown = on_a_terminal(monkeypatch, "shop.yaml")
    assert code == 1
    assert ".env:1:1: error" in shown
    assert ".env:2:1: error" in shown
    assert "c4nary" not in shown


def test_a_program_gets_no_line(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "bad.yaml").write_text("containers: {a: {prots: []}}\n")
    assert run(["config", "bad.yaml"]) == 1
    assert capfd.readouterr().err == "bad.yaml:1:18: error: unknown key 'prots'\n  hint: did you mean 'ports'?\n"


@pytest.mark.parametrize(
    ("text", "source", "lines"),
    [
        ("ab: c\r\n", Source("f", 1, 5), ["    1 | ab: c", "      |     ^"]),
        ("\tab: c", Source("f", 1, 2), ["    1 |     ab: c", "      |     ^"]),
        ("a", Source("f", 1, 2), ["    1 | a", "      |  ^"]),
        ("'網路': x", Source("f", 1, 7), ["    1 | '網路': x", "      |         ^"]),
        ("'e\u0301': x", Source("f", 1, 7), ["    1 | 'e\u0301': x", "      |      ^"]),
        ("a", Source("f", 2, 1), []),
        ("a", Source("f", 1, 9), []),
        ("a\x1b[2J", Source("f", 1, 1), []),
        ("x" * 201, Source("f", 1, 1), []),
        (None, Source("f", 1, 1), []),
        ("a", None, []),
    ],
)
def test_rendering(text: str | None, source: Source | None, lines: list[str]) -> None:
    problem = Problem("bad", source, "good")
    head, hint = str(problem).split("\n")
    assert diagnostics.render(problem, text) == "\n".join([head, *lines, hint])
