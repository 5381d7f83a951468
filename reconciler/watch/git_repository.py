"""A git repository's files at the head of one branch: fetched, checked out beside the last ones, and swapped by a link.

Everything stands in one root-only folder, which outlives a reboot: with the remote out of reach, the last good commit
is still there.

    mirror.git/     what was fetched
    trees/COMMIT/   a checkout
    current         a link to that of now; changed by a rename, so that nobody ever meets half a checkout
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from reconciler.errors import NetapplyError
from reconciler.naming import digest

STATE = Path("/var/lib/netapply")
_SECONDS = 120.0
_FETCHED = "refs/netapply/fetched"
_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/@-]{0,200}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_KEPT = (
    *("HOME", "PATH", "LANG", "LC_ALL", "SSH_AUTH_SOCK", "GIT_SSH_COMMAND", "XDG_CONFIG_HOME"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE"),
)
"""What git and ssh need of the environment; everything else, above all GIT_DIR and its like, would lead astray."""
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_FAILURES_OF_A_MIRROR = 5
"""After so many in a row it is made anew: it may be spoilt, and costs one whole fetch."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where manifests come from: ``path`` is the folder of the repository that they stand in."""

    url: str
    ref: str = "main"
    path: str = "."

    @property
    def shown(self) -> str:
        """The URL without what may be a password."""
        return without_credentials(self.url)

    @property
    def place(self) -> str:
        """Where it stands on this machine; empty for a remote one."""
        parts = urlsplit(self.url)
        if parts.scheme == "file":
            return parts.path
        # host:path is what ssh takes (git-clone(1)).
        return "" if parts.scheme or ":" in self.url.partition("/")[0] else self.url

    def check(self) -> None:
        """Raises NetapplyError for what git must never see as an argument, or what leads out of the repository."""
        if not self.url or self.url.startswith("-") or not self.url.isprintable():
            raise NetapplyError.of(f"--git {self.shown!r}: not the URL or path of a repository")
        if not _REF.fullmatch(self.ref) or ".." in self.ref or "@{" in self.ref:
            raise NetapplyError.of(f"--ref {self.ref!r}: not the name of a branch or tag, nor a commit")
        if self.path.startswith("/") or ".." in self.path.split("/") or not self.path.isprintable():
            raise NetapplyError.of(f"--path {self.path!r}: not a folder of the repository")


def without_credentials(text: str) -> str:
    """The text with user and password taken out of all URLs in it."""
    return _CREDENTIALS.sub("", text)


def folder_of(origin: Origin, host_name: str, environment: Mapping[str, str]) -> Path:
    """Where the repository's folder is, for the host of that name; systemd says where services keep such things."""
    state = Path(environment.get("STATE_DIRECTORY", "").partition(":")[0] or STATE)
    return state / "git" / f"{digest('git', host_name, origin.url, origin.ref):016x}"


class Repository:
    """One branch of one repository, in ``folder``. ``update`` may run in a thread of its own; ``stop`` ends it."""

    def __init__(self, origin: Origin, folder: Path, environment: Mapping[str, str], seconds: float = _SECONDS) -> None:
        origin.check()
        self.origin = origin
        self.folder = folder
        self._mirror = folder / "mirror.git"
        self._seconds = seconds
        self._environment = self._clean(environment)
        self._running: subprocess.Popen[str] | None = None
        self._guard = threading.Lock()
        self._stopped = False
        self._failures = 0

    @property
    def manifests(self) -> Path:
        """The folder of manifests, the same whatever the commit is."""
        return self.folder / "current" / self.origin.path.strip("/")

    def commit(self) -> str:
        """The commit that is checked out; empty before the first."""
        try:
            name = (self.folder / "current").readlink().name
        except OSError:
            return ""
        return name if _COMMIT.fullmatch(name) else ""

    def update(self) -> str:
        """Fetch, and check out what is new; the commit.

        Raises NetapplyError where that fails: what was checked out before stays.
        """
        try:
            return self._update()
        except OSError as error:
            message = f"{error.filename or self.folder}: {error.strerror or error}"
            raise NetapplyError.of(f"git repository {self.origin.shown}: {message}") from None

    def stop(self) -> None:
        """End what runs, for good."""
        with self._guard:
            self._stopped = True
            if self._running is not None:
                _kill(self._running)

    def _update(self) -> str:
        self._make_folder()
        try:
            self._fetch()
        except NetapplyError:
            self._failures += 1
            if self._failures % _FAILURES_OF_A_MIRROR == 0:
                shutil.rmtree(self._mirror, ignore_errors=True)
            raise
        self._failures = 0
        commit = self._git("rev-parse", "--verify", "--end-of-options", f"{_FETCHED}^{{commit}}").strip()
        if not _COMMIT.fullmatch(commit):
            raise NetapplyError.of(f"git repository {self.origin.shown}: {commit[:80]!r} is no commit")
        if commit != self.commit():
            self._check_out(commit)
            self._swap(commit)
        return commit

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.folder, self.folder.parent):
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                raise NetapplyError.of(f"{folder} is not a folder of ours", hint="remove it")
            folder.chmod(0o700)
        if not (self._mirror / "HEAD").exists():
            shutil.rmtree(self._mirror, ignore_errors=True)
            # No template: that is where hooks would come from.
            self._git("init", "--quiet", "--bare", "--template=", str(self._mirror), inside=False)
        # What a fetch that was killed left; nobody else works here.
        for left in (*self._mirror.glob("*.lock"), *self._mirror.glob("refs/netapply/*.lock")):
            left.unlink(missing_ok=True)
        self._trust()

    def _trust(self) -> None:
        """A local repository belongs to whoever it belongs to: naming it is trust enough for git (safe.directory)."""
        lines = [f"[include]\n\tpath = {_quoted(path)}\n" for path in self._users_configurations()]
        if self.origin.place:
            place = str(Path(self.origin.place).resolve())
            lines += [f"[safe]\n\tdirectory = {_quoted(each)}\n" for each in (place, f"{place}/.git")]
        path = self.folder / "gitconfig"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.writelines(lines)

    def _users_configurations(self) -> list[str]:
        """Root's own: proxies, credential helpers, and what else reaching the remote needs."""
        home = self._environment.get("HOME", "")
        above = self._environment.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
        return [*([f"{above}/git/config"] if above else []), *([f"{home}/.gitconfig"] if home else [])]

    def _fetch(self) -> None:
        words = ("fetch", "--quiet", "--depth=1", "--no-tags", "--force", "--no-recurse-submodules")
        # By its name: the URL, which may hold a password, would be seen in the list of processes.
        self._git(*words, "--no-write-fetch-head", "origin", f"{self.origin.ref}:{_FETCHED}")

    def _check_out(self, commit: str) -> None:
        tree = self.folder / "trees" / commit
        if tree.exists():
            return
        draft = self.folder / "trees" / f".{commit}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700, parents=True)
        index = self.folder / "index"
        index.unlink(missing_ok=True)
        try:
            # Not `git checkout`, which runs hooks and writes into the mirror.
            places = {"GIT_INDEX_FILE": str(index), "GIT_WORK_TREE": str(draft)}
            self._git("read-tree", commit, more=places)
            self._git("checkout-index", "--all", "--quiet", more=places, folder=draft)
            draft.rename(tree)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        finally:
            index.unlink(missing_ok=True)

    def _swap(self, commit: str) -> None:
        link, draft, before = self.folder / "current", self.folder / ".current", self.commit()
        draft.unlink(missing_ok=True)
        draft.symlink_to(f"trees/{commit}")
        draft.replace(link)
        # The one before stays for whoever is reading it.
        for tree in (self.folder / "trees").iterdir():
            if tree.name not in {commit, before}:
                shutil.rmtree(tree, ignore_errors=True)

    def _git(
        self, *words: str, inside: bool = True, more: Mapping[str, str] | None = None, folder: Path | None = None
    ) -> str:
        """What git says. Raises NetapplyError with its last words, also when it takes too long or is not there."""
        environment = self._environment | dict(more or {}) | ({"GIT_DIR": str(self._mirror)} if inside else {})
        try:
            with self._guard:
                if self._stopped:
                    raise NetapplyError.of(f"git repository {self.origin.shown}: stopped")
                process = self._running = subprocess.Popen(
                    ["git", *words],
                    cwd=folder or self.folder,
                    env=environment,
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
            message = f"git {words[0]} took more than {self._seconds:.0f} s"
            raise NetapplyError.of(f"git repository {self.origin.shown}: {message}") from None
        finally:
            with self._guard:
                self._running = None
        if process.returncode:
            lines = [line for line in complaint.strip().splitlines() if not line.startswith("warning:")]
            reason = without_credentials(" ".join(lines[-3:])) or f"git {words[0]} failed"
            raise NetapplyError.of(f"git repository {self.origin.shown}: {reason}")
        return said

    def _clean(self, environment: Mapping[str, str]) -> dict[str, str]:
        settings = (
            ("remote.origin.url", self.origin.url),
            ("core.hooksPath", "/dev/null"),
            ("core.fsmonitor", "false"),
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
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "/bin/false",
            "SSH_ASKPASS": "/bin/false",
            "GIT_CONFIG_GLOBAL": str(self.folder / "gitconfig"),
            "GIT_CONFIG_COUNT": str(len(settings)),
            **numbered,
        }


def _kill(process: subprocess.Popen[str]) -> None:
    """It and what it started: its helpers hold the connection."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _quoted(text: str) -> str:
    """As git-config(1) reads it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
