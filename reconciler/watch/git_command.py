"""The git command: in a clean environment, with a time limit, and with the reason where it fails."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

from reconciler.errors import NetapplyError
from reconciler.watch.git_origin import Origin, without_credentials

_KEPT = (
    *("PATH", "SSH_AUTH_SOCK", "GIT_SSH_COMMAND", "XDG_CONFIG_HOME"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE"),
)
"""What git and ssh need of the environment; everything else, above all GIT_DIR and its like, would lead astray."""

_BESIDE_THE_POINT = ("warning:", "hint:", "please make sure you have the correct access rights", "and the repository")
_BECAUSE_OF_ANOTHER = ("fatal: Could not read from remote repository", "fatal: the remote end hung up unexpectedly")
"""What git says where ssh or the remote said before what is wrong."""


class Git:
    """git for one repository. ``run`` may be called in a thread of its own; ``stop`` ends it.

    ``folder`` is where it works, ``environment`` whose it gets a part of, ``seconds`` the time limit of one command.
    """

    def __init__(self, origin: Origin, folder: Path, environment: Mapping[str, str], seconds: float) -> None:
        self._origin = origin
        self._folder = folder
        self._seconds = seconds
        self._home = environment.get("HOME") or _home_of_user()
        self._environment = self._clean(environment)
        self._running: subprocess.Popen[str] | None = None
        self._guard = threading.Lock()
        self._stopped = False

    def users_configurations(self) -> list[str]:
        """Root's own files: proxies, credential helpers, and what else reaching the remote needs."""
        above = self._environment.get("XDG_CONFIG_HOME") or f"{self._home}/.config"
        return [f"{above}/git/config", f"{self._home}/.gitconfig"]

    def run(self, *words: str, more: Mapping[str, str] | None = None, folder: Path | None = None) -> str:
        """What git says. Raises NetapplyError with the reason, also when it takes too long or is not there."""
        try:
            with self._guard:
                if self._stopped:
                    raise self.failure("stopped")
                process = self._running = subprocess.Popen(
                    ["git", *words],
                    cwd=folder or self._folder,
                    env=self._environment | dict(more or {}),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    errors="replace",
                    start_new_session=True,
                )
        except FileNotFoundError:
            raise NetapplyError.of("--git needs the git command, which is not there", hint="install git") from None
        try:
            said, complaint = process.communicate(timeout=self._seconds)
        except subprocess.TimeoutExpired:
            _kill(process)
            process.communicate()
            raise self.failure(f"git {words[0]} took more than {self._seconds:.0f} s") from None
        finally:
            with self._guard:
                self._running = None
        if process.returncode:
            raise self.failure(without_credentials(reason_in(complaint)) or f"git {words[0]} failed")
        return said

    def failure(self, reason: str) -> NetapplyError:
        """An error that says of which repository it is."""
        return NetapplyError.of(f"git repository {self._origin.shown}: {reason}")

    def stop(self) -> None:
        """End what runs, for good."""
        with self._guard:
            self._stopped = True
            if self._running is not None:
                _kill(self._running)

    def _clean(self, environment: Mapping[str, str]) -> dict[str, str]:
        settings = (
            ("remote.origin.url", self._origin.url),
            ("core.hooksPath", "/dev/null"),
            ("core.fsmonitor", "false"),
            ("core.attributesFile", "/dev/null"),
            ("protocol.ext.allow", "never"),
            # Housekeeping within the time limit, not in a process that goes on behind our back.
            ("gc.autoDetach", "false"),
            ("maintenance.autoDetach", "false"),
            ("advice.detachedHead", "false"),
        )
        numbered = {f"GIT_CONFIG_KEY_{number}": name for number, (name, _) in enumerate(settings)}
        numbered |= {f"GIT_CONFIG_VALUE_{number}": value for number, (_, value) in enumerate(settings)}
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=20",
            **{name: environment[name] for name in _KEPT if name in environment},
            # A service has none (systemd.exec(5)), and credential helpers look there.
            "HOME": self._home,
            # What it says is looked at.
            "LC_ALL": "C.UTF-8",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "/bin/false",
            "SSH_ASKPASS": "/bin/false",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(self._folder / "gitconfig"),
            "GIT_CONFIG_COUNT": str(len(settings)),
            **numbered,
        }


def reason_in(complaint: str) -> str:
    """The lines of what git said that tell why it failed; empty: none does."""
    lines = [line.strip() for line in complaint.splitlines()]
    lines = [line for line in lines if line and not line.lower().startswith(_BESIDE_THE_POINT)]
    fatal = next((number for number, line in enumerate(lines) if line.startswith("fatal:")), len(lines) - 1)
    # What follows is advice; what ssh or the remote said stands before.
    told = lines[max(0, fatal - 2) : fatal + 1]
    return " ".join([line for line in told if not line.startswith(_BECAUSE_OF_ANOTHER)] or told)


def _home_of_user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return "/"


def _kill(process: subprocess.Popen[str]) -> None:
    """It and what it started: its helpers hold the connection."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
