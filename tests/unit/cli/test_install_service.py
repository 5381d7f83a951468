"""What `netapply install-service` writes, and what it refuses to write."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from reconciler.cli import main
from reconciler.cli.service_files import UNIT_PATHS, service_files
from reconciler.errors import NetapplyError

WATCH, PROCESSES = UNIT_PATHS
REPOSITORY = ("--git=https://example.org/ops.git", "--path=manifests")


def test_the_unit_quotes_what_systemd_would_take_apart() -> None:
    unit = service_files(["/srv/my manifests/100% $x"])[WATCH]
    assert ' watch "/srv/my manifests/100%% $$x"\n' in unit
    assert 'RequiresMountsFor="/srv/my manifests/100%% $x"\n' in unit
    with pytest.raises(NetapplyError, match="control character"):
        service_files(["/srv/a\nExecStartPre=evil"])


def test_no_line_of_the_unit_swallows_the_next_one() -> None:
    unit = service_files(["/srv/back\\", "/srv/more\\"])[WATCH]
    assert "Description=Keeps container networking like /srv/back\\ /srv/more\\ (netapply)\n" in unit
    assert not [line for line in unit.splitlines() if line.endswith("\\")]


def test_the_unit_of_a_repository_has_a_place_for_it() -> None:
    assert "StateDirectory" not in service_files(["/srv/m"])[WATCH]
    unit = service_files([], REPOSITORY, repository=True)[WATCH]
    assert "StateDirectory=netapply\nStateDirectoryMode=0700\n" in unit
    assert f" watch {' '.join(REPOSITORY)}\n" in unit
    assert "RequiresMountsFor" not in unit


@pytest.mark.parametrize("repository", [False, True])
def test_systemd_finds_no_fault_in_the_units(tmp_path: Path, *, repository: bool) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    written = service_files(["/srv/my manifests/100%"], REPOSITORY if repository else (), repository=repository)
    units = [tmp_path / Path(path).name for path in UNIT_PATHS]
    for unit, path in zip(units, UNIT_PATHS, strict=True):
        unit.write_text(written[path])
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], check=False, capture_output=True, text=True, timeout=30
    )
    # Other units of this machine may have faults of their own.
    assert not [line for line in done.stderr.splitlines() if "netapply" in line]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["/srv", "--option=--bogus"], "no such option '--bogus'"),
        (["/srv", "--option=--once"], "for timers"),
        (["--option=--git=."], "full path"),
        (["--option=--git=https://u:secret@example.org/ops.git"], "credential helper"),
        (["--option=--git=https://secret@example.org/ops.git"], "credential helper"),
        (["--option=--git=/a", "--option=--path=/x"], "--path '/x': not a folder of the repository"),
        (["--option=--git=/a", "--option=--path=../x"], "--path '../x'"),
        (["--option=--git=/a", "--option=--ref=-x"], "--ref '-x'"),
        (["/srv", "--option=--path=x"], "name it with --git"),
        (["/srv", "--option=--ref=x"], "name it with --git"),
        (["/srv", "--option=--metrics=0.0.0.0:80"], "neither unix:PATH nor 127.0.0.1:PORT"),
        (["/srv", "--option=--metrics=bogus"], "neither unix:PATH nor 127.0.0.1:PORT"),
        (["/srv", "--option=--metrics=unix:"], "not a path"),
        (["/srv", "--option=--metrics=unix:rel.sock"], "full path: --metrics=unix:/"),
        (["/srv", "--option=d4"], "give the directory's full path: /"),
        ([], "name a directory"),
        (["/srv", "--remove"], "--remove takes nothing else"),
    ],
)
def test_words_that_watch_would_refuse_at_its_start(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["install-service", "--print", *words]) == 1
    told = capsys.readouterr()
    assert said in told.err
    assert "secret" not in told.err + told.out


def test_a_user_of_ssh_is_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    for url in ("ssh://git@example.org/ops.git", "git@example.org:ops.git", "https://example.org/ops.git"):
        assert main.run(["install-service", "--print", f"--option=--git={url}"]) == 0
        assert url in capsys.readouterr().out


def test_what_is_printed_is_what_would_be_installed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--firewall=nftables", "-v", "install-service", "--print", "relative", "--option=--no-prune"]) == 0
    printed = capsys.readouterr().out
    options = ["--no-prune"]
    files = service_files([str(Path("relative").absolute())], options, ["--firewall=nftables", "--verbose"])
    assert printed == "\n".join(f"# {path}\n{text}" for path, text in files.items())
    assert "--firewall=nftables --verbose watch --no-prune /" in printed
    assert main.run(["-n", "other", "install-service", "--print", "/srv"]) == 1
    assert "not a host given with -n" in capsys.readouterr().err
