"""`netapply watch --git`: the host follows a branch, and keeps the last good commit."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.kernel.lab import Host
from tests.kernel.watching import Watcher, pins, until

SMALL = "containers: {one: {network_mode: none}}\n"
_IDENTITY = ("-c", "user.name=t", "-c", "user.email=t@example.net", "-c", "init.defaultBranch=main")


class Remote:
    """A bare repository, and a clone in which people work."""

    def __init__(self, folder: Path) -> None:
        self.bare, self.work = folder / "remote.git", folder / "work"
        self.work.mkdir()
        self._git(folder, "init", "-q", "--bare", str(self.bare))
        self._git(self.work, "init", "-q")
        self._git(self.work, "remote", "add", "origin", str(self.bare))

    def commit(self, **files: str | None) -> str:
        """Push a commit in which these manifests (None: not) are; its name."""
        for name, text in files.items():
            path = self.work / "manifests" / f"{name}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.unlink() if text is None else path.write_text(text)
        self._git(self.work, "add", "-A")
        self._git(self.work, "commit", "-q", "--allow-empty", "-m", "change")
        self._git(self.work, "push", "-q", "--force", "origin", "HEAD:main")
        return self._git(self.work, "rev-parse", "HEAD").strip()

    def _git(self, folder: Path, *words: str) -> str:
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
        done = subprocess.run(
            ["git", *_IDENTITY, *words],
            cwd=folder,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        )
        return done.stdout


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(tmp_path)


def watcher_of(host: Host, remote: Remote, *options: str) -> Watcher:
    """With nothing of the machine's: its state, its configuration and its home stand in the test's folder."""
    home = host.folder / "home"
    home.mkdir(exist_ok=True)
    environment = {"STATE_DIRECTORY": str(host.folder / "state"), "HOME": str(home), "GIT_DIR": "/nowhere"}
    words = ("--git", str(remote.bare), "--path", "manifests/", "--git-interval", "0.2", *options)
    return Watcher(host, *words, directory="", environment=environment)


def test_a_branch_is_followed(host: Host, remote: Remote, tmp_path: Path) -> None:
    first = remote.commit(a=SMALL, b=SMALL, c=SMALL)
    place = tmp_path / "metrics.sock"
    watcher = watcher_of(host, remote, "--metrics", f"unix:{place}").wait_ready()
    until(lambda: pins(host) == {"a.one", "b.one", "c.one"}, "the first commit")
    assert watcher.status()["git"]["commit"] == first
    second = remote.commit(a=SMALL.replace("{one", "{two"), c=None)
    until(lambda: pins(host) == {"a.two", "b.one"}, "the second, pruned")
    git = watcher.status()["git"]
    assert (git["commit"], git["ref"], git["error"]) == (second, "main", None)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(place))
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        text = b""
        while block := client.recv(65536):
            text += block
    assert f'netapply_git_commit{{commit="{second}"}} 1.0' in text.decode()
    assert first not in text.decode()
    state = host.folder / "state" / "git"
    assert state.stat().st_mode & 0o777 == 0o700
    # A history that was rewritten is followed, too.
    remote._git(remote.work, "commit", "-q", "--amend", "-m", "rewritten")
    third = remote.commit(b=None)
    until(lambda: watcher.status()["git"]["commit"] == third, "rewritten")
    until(lambda: pins(host) == {"a.two"}, "applied")
    assert len(list(state.glob("*/trees/*"))) == 2


def test_out_of_reach_the_last_good_commit_stays(host: Host, remote: Remote) -> None:
    commit = remote.commit(a=SMALL)
    watcher = watcher_of(host, remote).wait_ready()
    until(lambda: pins(host) == {"a.one"}, "applied")
    aside = remote.bare.with_name("aside.git")
    remote.bare.rename(aside)
    until(lambda: watcher.status()["git"]["error"], "reported")
    assert watcher.status()["git"]["commit"] == commit
    assert host.netapply("status", check=False).returncode == 2
    assert len(watcher.lines("git cannot be asked; the last commit stays")) == 1
    watcher.process.send_signal(signal.SIGTERM)
    assert watcher.process.wait(10) == 0
    host.netapply("down", "-p", "a")
    # Another one starts from what was fetched before.
    again = watcher_of(host, remote).wait_ready()
    until(lambda: pins(host) == {"a.one"}, "from what is kept")
    aside.rename(remote.bare)
    until(lambda: not again.status()["git"]["error"], "in reach again")
    assert host.netapply("status", check=False).returncode == 0


def test_a_remote_that_hangs_holds_nothing_up(host: Host, remote: Remote) -> None:
    remote.commit(a=SMALL)
    watcher = watcher_of(host, remote).wait_ready()
    until(lambda: pins(host) == {"a.one"}, "applied")
    # Whoever serves the branch stops in the middle of it: a pipe in the place of a file.
    (remote.bare / "packed-refs").unlink(missing_ok=True)
    os.mkfifo(remote.bare / "packed-refs")
    until(lambda: f"upload-pack\0{remote.bare}" in _command_lines(), "git hangs")
    host.run(["sh", "-c", "ip netns delete $(ls /run/netns | grep '^na[.]')"])
    until(lambda: pins(host) == {"a.one"}, "healed meanwhile", 15)
    assert watcher.stop() == 0
    until(lambda: str(remote.bare) not in _command_lines(), "git ended with it")


def test_the_first_fetch_holds_nothing_up(host: Host, remote: Remote, tmp_path: Path) -> None:
    host.write("manifests/a.yaml", SMALL)
    slow = tmp_path / "ssh"
    slow.write_text("#!/bin/sh\nsleep 60; exit 1\n")
    slow.chmod(0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ears:
        ears.bind(str(tmp_path / "notify"))
        ears.settimeout(0)
        environment = {
            "STATE_DIRECTORY": str(tmp_path),
            "GIT_SSH_COMMAND": str(slow),
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
        }
        watcher = Watcher(host, "--git", "ssh://x.invalid/y", environment=environment)
        until(lambda: pins(host) == {"a.one"}, "the directory beside it is applied")
        assert str(slow) in _command_lines()
        status = watcher.status()
        assert (status["git"]["commit"], status["git"]["error"]) == (None, None)
        assert [each["error"] for each in status["directories"]] == [None]
        with pytest.raises(BlockingIOError):
            ears.recv(100)  # the host is not like the manifests yet
    assert until(lambda: watcher.stop() == 0) < 5
    assert str(slow) not in _command_lines()
    assert not watcher.lines("directory cannot be read; its stacks stay")


def test_ready_is_said_when_the_first_commit_is_applied(host: Host, remote: Remote, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ears:
        ears.bind(str(tmp_path / "notify"))
        ears.settimeout(30)
        environment = {"STATE_DIRECTORY": str(tmp_path), "NOTIFY_SOCKET": str(tmp_path / "notify")}
        for text in ("", SMALL):  # out of reach, then with a commit
            if text:
                remote.commit(a=text)
            words = ("--git", str(remote.bare), "--path", "manifests")
            watcher = Watcher(host, *words, directory="", environment=environment)
            assert ears.recv(1000).startswith(b"READY=1")
            assert pins(host) == ({"a.one"} if text else set())
            assert watcher.stop() == 0
            assert ears.recv(1000) == b"STOPPING=1"


def test_a_commit_without_the_folder(host: Host, remote: Remote) -> None:
    remote.commit(a=SMALL)
    watcher = watcher_of(host, remote, "--allow-empty").wait_ready()
    until(lambda: pins(host) == {"a.one"}, "applied")
    remote.commit(a=None)  # git keeps no empty folder
    until(lambda: not pins(host), "pruned")
    assert watcher.status()["directories"][0]["error"] is None


def _command_lines() -> str:
    """Of all processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_text(errors="replace"))
    return "\n".join(found)


def test_nothing_of_others_runs_and_once_fetches(host: Host, remote: Remote, tmp_path: Path) -> None:
    remote.commit(a=SMALL)
    for path in (remote.bare, *remote.bare.rglob("*")):
        os.chown(path, 12345, 12345)  # what is named may be anybody's
    templates = tmp_path / "templates/hooks"
    templates.mkdir(parents=True)
    for name in ("post-checkout", "reference-transaction", "post-merge", "post-index-change"):
        (templates / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
        (templates / name).chmod(0o755)
    home = host.folder / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        f"[init]\n templateDir = {tmp_path}/templates\n[core]\n hooksPath = {templates}\n fsmonitor = {templates}/post-merge\n"
    )
    environment = {"STATE_DIRECTORY": str(host.folder / "state"), "HOME": str(home)}
    words = ["watch", "--once", "--git", str(remote.bare), "--path", "manifests"]
    host.netapply(*words, environment=environment)
    assert pins(host) == {"a.one"}
    assert not (tmp_path / "hooked").exists()
    assert host.netapply(*words, "--ref", "nowhere", environment=environment, check=False).returncode == 1
    done = host.netapply(
        "watch", "--once", "--git", f"ext::touch {tmp_path}/hooked", environment=environment, check=False
    )
    assert "not allowed" in done.stderr
    assert not (tmp_path / "hooked").exists()
    for option, bad in (("--ref", "-x"), ("--ref", "a..b"), ("--path", "../x")):
        done = host.netapply(*words, f"{option}={bad}", environment=environment, check=False)
        assert done.returncode == 1
        assert f"{option} " in done.stderr
