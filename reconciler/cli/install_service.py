"""``netapply install-service``: `watch` as a systemd service."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from reconciler.cli import service_files
from reconciler.cli.main import Settings
from reconciler.cli.service_files import RULE_PATHS, START_SECONDS, UNIT_PATHS, WATCH_UNIT
from reconciler.errors import NetapplyError
from reconciler.kernel import control_group

_SECONDS = 60
_PATIENCE = START_SECONDS + 30
"""Systemd gives up before we do, and says why."""

_READERS = ("systemd-udevd.service", "systemd-networkd.service", "NetworkManager.service")
"""Who reads the rules. Each can be told to without a link or a connection of its own being touched."""


@click.command("install-service")
@click.argument("directories", nargs=-1, metavar="DIR...")
@click.option(
    "--option", "extra", multiple=True, metavar="OPTION", help="Pass this to watch, e.g. --option=--no-prune."
)
@click.option("--print", "only_print", is_flag=True, help="Print the files instead of installing them.")
@click.option("--remove", is_flag=True, help="Stop the service and remove its files; containers go on.")
@click.pass_obj
def command(
    settings: Settings, directories: tuple[str, ...], extra: tuple[str, ...], *, only_print: bool, remove: bool
) -> int:
    """Install and start a systemd service that keeps this host like the manifests in DIR, or of --option=--git=URL.

    With it come the rules that keep udev, NetworkManager and networkd off netapply's interfaces.
    """
    if remove:
        if directories or extra or only_print:
            raise click.UsageError("--remove takes nothing else")
        _check_rights()
        _remove()
        click.echo("the service is removed; what runs goes on until: netapply down")
        return 0
    paths = [str(Path(directory).absolute()) for directory in directories]
    watched, repository = _check_options(settings, [*extra, *paths])
    files = service_files.service_files(paths, extra, _global_options(settings), repository=repository)
    if only_print:
        click.echo("\n".join(f"# {path}\n{text}" for path, text in files.items()), nl=False)
        return 0
    _check_rights()
    if not _booted():
        raise NetapplyError.of("this machine was not started by systemd", hint="see the files with --print")
    for path in watched:
        if not Path(path).is_dir():
            raise NetapplyError.of(f"{path} is no directory", hint="name a directory of manifests")
    for path, text in files.items():
        _write(Path(path), text)
    _tell_readers()
    _systemctl("daemon-reload")
    _systemctl("enable", WATCH_UNIT)
    _systemctl("restart", WATCH_UNIT, seconds=_PATIENCE)
    click.echo(f"{WATCH_UNIT} is installed and runs; ask it with: netapply status")
    return 0


def _check_options(settings: Settings, words: list[str]) -> tuple[tuple[str, ...], bool]:
    """The directories, and whether a repository is followed. Raises UsageError, NetapplyError for words that `watch` would not take."""
    if settings.host_name:
        hint = "run netapply -n HOST watch by a unit of your own, which makes that namespace first"
        raise NetapplyError.of("the service keeps the machine itself, not a host given with -n", hint=hint)
    from reconciler.cli import watch  # noqa: PLC0415  # --remove needs none of it

    given: dict[str, Any] = watch.command.make_context("watch", words).params
    if given["once"]:
        raise click.UsageError("a service watches until it is stopped; --once is for timers")
    if not given["directories"] and not given["url"]:
        raise click.UsageError("name a directory of manifests, or a repository with --option=--git=URL")
    origin = watch.check(*(given[name] for name in ("directories", "url", "ref", "inner_path", "metrics")))
    _check_paths(given)
    if origin and origin.has_secret:
        hint = "leave user, token and password to a credential helper in root's ~/.gitconfig, or use an SSH key"
        raise NetapplyError.of(
            "--git: anybody could read what stands before the @ of this URL in the service's unit", hint=hint
        )
    return given["directories"], origin is not None


def _check_paths(given: dict[str, Any]) -> None:
    """Raises UsageError for one that would mean another place in a service, which starts in /."""
    for path in given["directories"]:
        if not Path(path).is_absolute():
            raise click.UsageError(f"give the directory's full path: {Path(path).absolute()}")
    if given["url"] and Path(given["url"]).is_dir() and not Path(given["url"]).is_absolute():
        raise click.UsageError(f"give the repository's full path: --git={Path(given['url']).absolute()}")
    socket_path = given["metrics"].removeprefix("unix:")
    if socket_path != given["metrics"] and not Path(socket_path).is_absolute():
        raise click.UsageError(f"give the socket's full path: --metrics=unix:{Path(socket_path).absolute()}")


def _global_options(settings: Settings) -> list[str]:
    firewall = [f"--firewall={settings.firewall}"] if settings.firewall != "auto" else []
    return [*firewall, *(["--verbose"] if settings.verbose else [])]


def _check_rights() -> None:
    if os.geteuid() != 0:
        raise NetapplyError.of("installing a service needs root", hint="run with sudo, or see it with --print")


def _booted() -> bool:
    return Path("/run/systemd/system").is_dir()


def _write(target: Path, text: str) -> None:
    if target.is_file() and target.read_text(encoding="utf-8", errors="replace") == text:
        return
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    # Its name ends like none that is read.
    draft = target.with_name(f".{target.name}.new")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(0o644)
    draft.replace(target)


def _remove() -> None:
    if _booted() and Path(UNIT_PATHS[0]).exists():
        _systemctl("disable", "--now", WATCH_UNIT)
        if not control_group.settled():
            _systemctl("stop", control_group.UNIT_NAME)
    for path in (*UNIT_PATHS, *RULE_PATHS):
        Path(path).unlink(missing_ok=True)
    if _booted():
        _systemctl("daemon-reload")
        _tell_readers()


def _tell_readers() -> None:
    for name in _READERS:
        if not _status("is-active", "--quiet", name):
            try:
                _systemctl("reload", name)
            except NetapplyError as error:
                click.echo(f"warning: {error}; the rules count from the next boot", err=True)


def _systemctl(*words: str, seconds: float = _SECONDS) -> None:
    """Raises NetapplyError with what it said where it fails."""
    done = _run(words, seconds)
    if done.returncode:
        reason = done.stderr.strip() or f"exit status {done.returncode}"
        raise NetapplyError.of(f"systemctl {' '.join(words)}: {reason}")


def _status(*words: str) -> int:
    return _run(words, _SECONDS).returncode


def _run(words: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["systemctl", *words], check=False, capture_output=True, text=True, timeout=seconds)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise NetapplyError.of(f"systemctl {' '.join(words)}: {error}") from None
