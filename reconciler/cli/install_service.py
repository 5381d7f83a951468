"""``netapply install-service``: `watch` as a systemd service."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import click

from reconciler.errors import NetapplyError

_UNIT_FOLDER = Path("/etc/systemd/system")
_NAME = "netapply-watch.service"
_SECONDS = 60

_UNIT = """\
# Written by: netapply install-service
[Unit]
Description=Keeps container networking like the manifests in {directories}
After=network-pre.target nftables.service iptables.service
Wants=network-pre.target

[Service]
Type=notify
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=2
WatchdogSec=120
TimeoutStartSec=300
# Containers' commands and the host's agent are started by the watcher and live on without it.
KillMode=process
LimitNOFILE=65536
{state}# No mount namespace of its own (ProtectSystem=, PrivateTmp=): namespaces pinned there would be seen by nobody else.
NoNewPrivileges=no
UMask=0077

[Install]
WantedBy=multi-user.target
"""

_STATE = """\
# Where the repository's last good commit stands, also after a reboot.
StateDirectory=netapply
StateDirectoryMode=0700
"""


@click.command("install-service")
@click.argument("directories", nargs=-1, metavar="DIR...")
@click.option(
    "--option", "extra", multiple=True, metavar="OPTION", help="Pass this to watch, e.g. --option=--no-prune."
)
@click.option("--print", "only_print", is_flag=True, help="Print the unit instead of installing it.")
def command(directories: tuple[str, ...], extra: tuple[str, ...], *, only_print: bool) -> int:
    """Install and start a systemd service that keeps this host like the manifests in DIR, or of --option=--git=URL."""
    if not directories and not _follows_git(extra):
        raise click.UsageError("name a directory of manifests, or a repository with --option=--git=URL")
    paths = [str(Path(directory).absolute()) for directory in directories]
    unit = unit_text(paths, extra)
    if only_print:
        click.echo(unit, nl=False)
        return 0
    if os.geteuid() != 0:
        raise NetapplyError.of("installing a service needs root", hint="run with sudo, or see it with --print")
    if not Path("/run/systemd/system").is_dir():
        raise NetapplyError.of("this machine was not started by systemd", hint="see the unit with --print")
    for path in paths:
        if not Path(path).is_dir():
            raise NetapplyError.of(f"{path} is no directory", hint="name a directory of manifests")
    target = _UNIT_FOLDER / _NAME
    draft = target.with_name(f".{_NAME}.new")
    draft.write_text(unit)
    draft.chmod(0o644)
    draft.replace(target)
    for words in (["daemon-reload"], ["enable", _NAME], ["restart", _NAME]):
        _systemctl(words)
    click.echo(f"{target} is installed and runs; ask it with: netapply status")
    return 0


def unit_text(paths: list[str], extra: tuple[str, ...] = ()) -> str:
    """The unit that watches these directories."""
    # The interpreter that runs now has what is needed; a command's name may lead elsewhere tomorrow.
    words = [sys.executable, "-P", "-s", "-m", "reconciler", "--log-format", "json", "watch", *extra, *paths]
    command_line = " ".join(_quoted(word) for word in words)
    watched = " ".join(path.replace("%", "%%") for path in paths) or "a git repository"
    state = _STATE if _follows_git(extra) else ""
    return _UNIT.format(directories=watched, command=command_line, state=state)


def _follows_git(extra: tuple[str, ...]) -> bool:
    return any(option == "--git" or option.startswith("--git=") for option in extra)


def _quoted(word: str) -> str:
    """As systemd.syntax(7) wants it: percent and dollar signs doubled, C-style quotes where needed."""
    if any(ord(letter) < 32 for letter in word):  # noqa: PLR2004 - below the space are control characters
        raise NetapplyError.of(f"{word!r} holds a control character")
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return word if shlex.quote(word) == word else f'"{word}"'


def _systemctl(words: list[str]) -> None:
    try:
        done = subprocess.run(["systemctl", *words], check=False, capture_output=True, text=True, timeout=_SECONDS)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise NetapplyError.of(f"systemctl {' '.join(words)}: {error}") from None
    if done.returncode:
        reason = done.stderr.strip() or f"exit status {done.returncode}"
        raise NetapplyError.of(f"systemctl {' '.join(words)}: {reason}")
