"""Commands in real containers of a real OCI runtime."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.actions import StartProcess
from reconciler.errors import NetapplyError
from reconciler.kernel import command_log, runtime, runtime_access
from reconciler.kernel.processes import process_status
from reconciler.kernel.runtime_monitor import search
from reconciler.kernel.runtime_records import bundles_directory
from tests.kernel.lab import Lab, Machine
from tests.kernel.snapshot import identity, processes_in

CANARY = f"canary-{os.getpid()}-4c1f"
REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(shutil.which("crun") is None, reason="needs the package crun")


def namespace_path(container: str) -> Path:
    return Path("/run/netns") / container.replace("/", ".")


class Folder:
    """One host's run folder, and what runs of it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        # Unique on the machine, as a host's number is: monitors are known by it, and tests may run side by side.
        self.path = Path(f"/run/netapply/{os.getpid()}")
        self.path.mkdir(mode=0o700, parents=True)

    def sandbox(self, container: str = "shop/web1") -> Machine:
        path = namespace_path(container)
        subprocess.run(["ip", "netns", "add", path.name], check=True)
        subprocess.run(["ip", "-n", path.name, "link", "set", "lo", "up"], check=True)
        return Machine(self.lab, container, path)

    def start(self, *command: str, container: str = "shop/web1", **changes: Any) -> None:
        runtime.start(self.path, definition(*command, container=container, **changes), namespace_path)

    def shell(self, script: str, **changes: Any) -> None:
        self.start("sh", "-c", script, **changes)

    def workload(self, container: str = "shop/web1") -> runtime.Workload:
        found = [each for each in runtime.workloads(self.path, namespace_path) if each.process.container == container]
        assert len(found) == 1
        return found[0]

    def output(self, container: str = "shop/web1") -> str:
        """All that the command wrote until its end."""
        return b"".join(command_log.logs(self.path, container, follow=True)).decode()

    def running(self) -> list[int]:
        """The processes that serve web1: its monitor, its runtime."""
        found = search(bundles_directory(self.path))[str(self.path / "processes/shop/web1")]
        return [process.pid for process in found.runtimes]

    def execute(self, *command: str, container: str = "shop/web1") -> subprocess.CompletedProcess[str]:
        arguments = runtime_access.exec_argv(self.path, container, command)
        return subprocess.run(arguments, check=False, capture_output=True, text=True, timeout=10)

    def stop(self, *containers: str, grace: float = 10.0) -> None:
        runtime.stop_many(self.path, containers or ["shop/web1"], grace)

    def left(self) -> list[str]:
        """What still stands or runs of any container."""
        running = [
            f"{process.pid}" for each in search(bundles_directory(self.path)).values() for process in each.runtimes
        ]
        return [str(path) for path in self.path.rglob("*")] + running


def definition(*command: str, container: str = "shop/web1", **changes: Any) -> StartProcess:
    plain = StartProcess(
        container=container,
        namespace=container,
        command=command,
        environment=(("TOKEN", CANARY),),
        working_dir="",
        user="",
        rootfs="",
        hostname=container.partition("/")[2],
    )
    return replace(plain, **changes)


@pytest.fixture
def folder(lab: Lab) -> Iterator[Folder]:
    made = Folder(lab)
    yield made
    runtime.stop_many(made.path, [each.process.container for each in runtime.workloads(made.path, namespace_path)], 0.0)
    assert made.left() == []


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.005)


def ended(pid: int) -> bool:
    """Gone, or waiting for the machine's first process to take note of it."""
    status = process_status(pid)
    return status is None or status.state in "ZX"


def mount_points() -> list[str]:
    return Path("/proc/thread-self/mountinfo").read_text().splitlines()


def cgroups() -> set[str]:
    """Those that a runtime makes for a container, of all those that the machine and other tests have."""
    return {str(path) for path in Path("/sys/fs/cgroup").rglob("*shop.web1*") if path.is_dir()}


def test_a_server_runs_in_its_sandbox_and_leaves_nothing(folder: Folder) -> None:
    sandbox = folder.sandbox()
    mounts, groups = mount_points(), cgroups()
    folder.start("python3", "-m", "http.server", "80", working_dir="/etc")
    until(lambda: sandbox.exchange("127.0.0.1", 80, b"GET /hostname HTTP/1.0\r\n\r\n") is not None)
    page = sandbox.exchange("127.0.0.1", 80, b"GET /hostname HTTP/1.0\r\n\r\n")
    assert page is not None
    assert page.startswith(b"HTTP/1.0 200")
    workload = folder.workload()
    assert workload.pid is not None
    assert workload.process.fault == ""
    assert "http.server" in Path(f"/proc/{workload.pid}/cmdline").read_text()
    begun = time.monotonic()
    folder.stop()
    # It does not handle SIGTERM, which the first process of a PID namespace then never sees.
    assert time.monotonic() - begun < 2
    assert (mount_points(), cgroups(), folder.left()) == (mounts, groups, [])
    assert list(processes_in({identity(sandbox.path)})) == []
    folder.stop()


def test_what_is_read_back_is_what_was_started(folder: Folder) -> None:
    folder.sandbox()
    wanted = definition("sleep", "100", working_dir="/tmp", user="nobody", hostname="other")
    runtime.start(folder.path, wanted, namespace_path)
    assert folder.workload().process.create() == (wanted,)


def test_an_exit_code_is_kept_and_is_no_fault(folder: Folder) -> None:
    folder.sandbox()
    folder.shell("echo out; echo err >&2; exit 3")
    assert folder.output() == "out\nerr\n"
    until(lambda: folder.workload().exit_code == 3)
    assert (folder.workload().pid, folder.workload().process.fault) == (None, "")
    with pytest.raises(NetapplyError, match="shop/web1 is not running"):
        folder.execute("true")


def test_a_command_that_ends_at_once_has_been_started(folder: Folder) -> None:
    containers = [f"shop/c{number}" for number in range(8)]
    for container in containers:
        folder.sandbox(container)
    starts = [definition("true", container=container) for container in containers]
    assert runtime.start_many(folder.path, starts, namespace_path) == {}
    until(lambda: all(folder.workload(container).exit_code == 0 for container in containers))
    assert {folder.workload(container).process.fault for container in containers} == {""}


def test_exec_has_the_containers_view_and_its_own_status(folder: Folder) -> None:
    folder.sandbox()
    folder.start("sleep", "100")
    done = folder.execute("sh", "-c", "hostname; echo $TOKEN; ip -o link | wc -l; exit 7")
    assert (done.returncode, done.stdout.split()) == (7, ["web1", CANARY, "1"])


@pytest.mark.founding("S1-38")
def test_it_can_change_neither_network_nor_rules(folder: Folder) -> None:
    folder.sandbox()
    folder.start("sleep", "100")
    for command in (
        ["ip", "link", "add", "x", "type", "bridge"],
        ["nft", "add", "table", "inet", "x"],
        ["iptables", "-A", "INPUT", "-j", "ACCEPT"],
        ["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"],
        ["mknod", "/disk", "b", "254", "0"],
        ["mount", "-t", "tmpfs", "x", "/mnt"],
        ["umount", "/etc/shadow"],
    ):
        done = folder.execute(*command)
        assert done.returncode != 0, command
        said = ("permitted", "denied", "Read-only", "superuser")
        assert any(word in done.stderr for word in said), done.stderr


def test_it_sees_the_hosts_files_without_its_secrets_and_changes_none(folder: Folder, tmp_path: Path) -> None:
    folder.sandbox()
    (tmp_path / "page").write_text("original")
    folder.shell(
        f"cat {tmp_path}/page; echo changed > {tmp_path}/page; cat {tmp_path}/page; touch /new;"
        "cat /etc/shadow | wc -c; for each in /root /etc/ssh /run; do test ! -d $each || ls -A $each; done | wc -w;"
        "test -d /run/netapply; echo $?"
    )
    lines = folder.output().split()
    assert lines == ["originalchanged", "0", "0", "1"]
    assert (tmp_path / "page").read_text() == "original"
    assert not Path("/new").exists()


def test_mounts_of_the_host_are_read_only_and_scratch_is_copied(folder: Folder, tmp_path: Path) -> None:
    folder.sandbox()
    point = tmp_path / "disk"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "x", point], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "x", "/var/tmp"], check=True)
    try:
        (point / "file").write_text("of-the-disk")
        Path("/var/tmp/file").write_text("of-scratch")
        folder.shell(f"cat {point}/file; echo x > {point}/file; cat /var/tmp/file; echo x > /var/tmp/file; echo $?")
        assert "Read-only" in (output := folder.output())
        assert output.startswith("of-the-disk")
        assert output.endswith("of-scratch0\n")
        assert Path("/var/tmp/file").read_text() == "of-scratch"
    finally:
        subprocess.run(["umount", "-l", "/var/tmp", point], check=True)


def test_files_of_ours_are_shown_inside(folder: Folder, tmp_path: Path) -> None:
    folder.sandbox()
    hosts = tmp_path / "hosts"
    hosts.write_text("192.0.2.9 db\n")
    runtime.start(folder.path, definition("cat", "/etc/hosts"), namespace_path, {"/etc/hosts": hosts})
    assert folder.output() == "192.0.2.9 db\n"


def test_a_user_is_taken_and_the_environment_is_complete(folder: Folder) -> None:
    folder.sandbox()
    folder.shell("id -un; pwd; echo $HOME $HOSTNAME; kill -0 1", user="daemon", working_dir="/usr")
    assert folder.output().split() == ["daemon", "/usr", "/usr/sbin", "web1"]


def test_a_root_file_system_of_its_own(folder: Folder, tmp_path: Path) -> None:
    folder.sandbox()
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    busy = shutil.which("busybox")
    if busy is None:
        # Any program with its libraries will do.
        for path in {"/bin/cat", *libraries("/bin/cat")}:
            (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, root / path[1:])
    else:
        shutil.copy(busy, root / "bin/cat")
    (root / "greeting").write_text("from my own root")
    folder.start("cat", "/greeting", rootfs=str(root))
    assert folder.output() == "from my own root"


def libraries(program: str) -> set[str]:
    listed = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    return {word for word in listed.split() if word.startswith("/")}


def test_the_hosts_own_network_where_no_namespace_is_named(folder: Folder) -> None:
    folder.shell("readlink /proc/self/ns/net", namespace="")
    assert folder.output().strip() == str(Path("/proc/thread-self/ns/net").readlink())
    assert folder.workload().process.fault == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"command": ("no-such-program",)}, "no-such-program"),
        ({"command": ("/etc/passwd",)}, "(?i)permission denied"),
        ({"user": "no-such-user"}, "no-such-user"),
        ({"rootfs": "/no/such/root"}, "/no/such/root"),
        ({"namespace": "shop/none"}, "shop.none"),
    ],
)
def test_what_cannot_start_says_why_and_leaves_nothing(folder: Folder, changes: dict[str, Any], said: str) -> None:
    folder.sandbox()
    with pytest.raises(NetapplyError, match=said) as raised:
        folder.start("sleep", "100", **changes)
    assert "shop/web1" in str(raised.value) or "user" in changes
    assert CANARY not in str(raised.value)
    assert folder.left() == []


def test_a_missing_runtime_is_named_with_its_package(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_names, **_path: None)
    with pytest.raises(NetapplyError, match="apt install crun"):
        folder.start("true")


def test_a_new_definition_takes_the_place_of_the_old_one(folder: Folder) -> None:
    folder.sandbox()
    folder.start("sleep", "100")
    old = folder.workload().pid
    folder.start("sleep", "101")
    assert old is not None
    assert ended(old)
    assert folder.workload().process.command == ("sleep", "101")


def test_a_handled_signal_gets_its_time_and_no_more(folder: Folder) -> None:
    for name in ("polite", "deaf"):
        folder.sandbox(f"shop/{name}")
    folder.shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done", container="shop/polite")
    folder.shell("trap '' TERM; trap 'x' USR1; echo up; while :; do sleep 0.01; done", container="shop/deaf")
    folder.shell("trap : TERM; echo up; while :; do sleep 0.01; done", container="shop/deaf")
    follower = command_log.logs(folder.path, "shop/polite", follow=True)
    assert next(follower) == b"up\n"
    until(lambda: b"up" in b"".join(command_log.logs(folder.path, "shop/deaf")))
    begun = time.monotonic()
    folder.stop("shop/polite", "shop/deaf", grace=0.5)
    assert 0.4 < time.monotonic() - begun < 3
    assert next(follower) == b"bye\n"
    assert folder.left() == []


def test_logs_follow_until_the_end(folder: Folder) -> None:
    folder.sandbox()
    folder.shell("echo one; sleep 1; echo two")
    begun = time.monotonic()
    assert b"".join(command_log.logs(folder.path, "shop/web1")) in {b"one\n", b""}
    assert time.monotonic() - begun < 0.8
    assert folder.output() == "one\ntwo\n"
    with pytest.raises(NetapplyError, match="no command"):
        command_log.logs(folder.path, "shop/none")


def test_a_secret_is_in_no_readable_file_and_in_no_argument(folder: Folder) -> None:
    folder.sandbox()
    folder.start("sleep", "100", user="nobody")
    own = folder.workload().pid
    for path in folder.path.rglob("*"):
        if path.is_file() and CANARY in path.read_text():
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
        if path.is_dir():
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert any(CANARY in path.read_text() for path in folder.path.rglob("*.json"))
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                arguments, environment = (
                    (process / "cmdline").read_bytes().decode(errors="replace"),
                    (process / "environ").read_bytes().decode(errors="replace"),
                )
            except OSError:  # it ended while we looked
                continue
            assert CANARY not in arguments
            assert CANARY not in environment or int(process.name) == own
    assert CANARY not in str(folder.workload())


def test_nothing_of_the_starter_is_inherited(folder: Folder) -> None:
    folder.sandbox()
    inside, outside = os.pipe()
    os.set_inheritable(outside, True)  # noqa: FBT003 - takes no keywords
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        folder.shell("exec sleep 100")
        os.close(outside)
        os.set_blocking(inside, False)
        # Nobody else has the writing end, neither monitor nor runtime, or this would raise.
        assert os.read(inside, 1) == b""
    finally:
        signal.signal(signal.SIGINT, previous)
        os.close(inside)
    (monitor, *_) = folder.running()
    status = Path(f"/proc/{monitor}/status").read_text()
    ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
    assert not ignored & (1 << (signal.SIGINT - 1) | 1 << (signal.SIGPIPE - 1))


def test_a_killed_command_has_ended(folder: Folder) -> None:
    folder.sandbox()
    folder.start("sleep", "100")
    pid = folder.workload().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: folder.workload().exit_code == 137)
    assert folder.workload().process.fault == ""


def test_killed_monitors_and_runtimes_are_cleared_away(folder: Folder) -> None:
    folder.sandbox()
    mounts = mount_points()
    folder.start("sleep", "100")
    pid = folder.workload().pid
    assert pid is not None
    for serving in folder.running():
        os.kill(serving, signal.SIGKILL)
    # The command itself does not notice.
    assert folder.workload().pid == pid
    folder.stop()
    assert ended(pid)
    assert (mount_points(), folder.left()) == (mounts, [])


def test_a_namespace_that_was_replaced_is_a_fault(folder: Folder) -> None:
    folder.sandbox()
    folder.start("sleep", "100")
    subprocess.run(["ip", "netns", "delete", "shop.web1"], check=True)
    assert "namespace" in folder.workload().process.fault
    folder.sandbox()
    assert "namespace" in folder.workload().process.fault
    folder.start("sleep", "100")
    assert folder.workload().process.fault == ""


def test_what_the_host_unmounts_is_not_kept_by_a_monitor(folder: Folder, tmp_path: Path) -> None:
    folder.sandbox()
    folder.sandbox("shop/other")
    disk = tmp_path / "disk"
    disk.mkdir()
    for options in (f"--bind {tmp_path} {tmp_path}", f"--make-shared {tmp_path}", f"-t tmpfs x {disk}"):
        subprocess.run(["mount", *options.split()], check=True)
    namespace = f"net:[{namespace_path('shop/other').stat().st_ino}]"
    try:
        folder.start("sleep", "100")
        (monitor, *_) = folder.running()
        kept = Path(f"/proc/{monitor}/mountinfo")
        assert namespace in (before := kept.read_text())
        assert str(disk) in before
        subprocess.run(["ip", "netns", "delete", "shop.other"], check=True)
        subprocess.run(["umount", disk], check=True)
        assert namespace not in (after := kept.read_text())
        assert str(disk) not in after
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


# Where the starter is killed: just before each of its steps.
STEPS = [
    "runtime_start.json.dump",
    "runtime_start.Path.rename",
    "runtime_start.mounts.PrivateMounts.finish",
    "runtime_monitor.mounts.mount",
    "runtime_monitor.spawn_detached",
    "runtime_monitor.Launched.identify",
    "runtime_records.Records.record",
    "runtime_monitor.Launched.release",
    "runtime_start._await_starts",
    "runtime_start._progress",
]
KILLED = """
    import os, signal, sys
    from pathlib import Path
    from unittest import mock
    from reconciler.actions import StartProcess
    from reconciler.kernel import runtime, runtime_monitor, runtime_records, runtime_start
    kill = lambda *_arguments, **_named: os.kill(os.getpid(), signal.SIGKILL)
    start = StartProcess("shop/web1", "shop/web1", ("sleep", "100"), (), "", "", "", "web1")
    with mock.patch("reconciler.kernel." + sys.argv[1], kill):
        runtime.start(Path(sys.argv[2]), start, lambda name: Path("/run/netns") / name.replace("/", "."))
"""


@pytest.mark.parametrize("step", STEPS)
def test_whatever_a_killed_start_left_the_next_one_and_a_stop_clear_it(folder: Folder, step: str) -> None:
    sandbox = folder.sandbox()
    arguments = [sys.executable, "-c", textwrap.dedent(KILLED), step, str(folder.path)]
    killed = subprocess.run(arguments, check=False, timeout=20, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})
    assert killed.returncode == -signal.SIGKILL
    seen = runtime.workloads(folder.path, namespace_path)
    assert [each.process.fault for each in seen] in ([], ["its start was interrupted"])
    assert len(seen) == (step not in STEPS[:2])
    if step in STEPS[-4::3]:
        folder.start("sleep", "100")
        assert folder.workload().process.fault == ""
    folder.stop()
    assert folder.left() == []
    assert list(processes_in({identity(sandbox.path)})) == []


class CutOff(BaseException):
    """What a test raises in the starter, whose monitor then goes on alone."""


@pytest.mark.parametrize("milliseconds", [0, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 8])
def test_a_stop_meets_a_runtime_in_any_state(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, milliseconds: float
) -> None:
    sandbox = folder.sandbox()

    def cut_off(*_arguments: object) -> None:
        time.sleep(milliseconds / 1000)
        raise CutOff

    monkeypatch.setattr("reconciler.kernel.runtime_start._await_starts", cut_off)
    with pytest.raises(CutOff):
        folder.start("sleep", "100")
    begun = time.monotonic()
    folder.stop()
    assert time.monotonic() - begun < 2
    assert list(processes_in({identity(sandbox.path)})) == []
    assert folder.left() == []


def test_a_killed_stop_is_finished_by_the_next(folder: Folder) -> None:
    folder.sandbox()
    folder.start("sleep", "100")
    bundle = folder.path / "processes/shop/web1"
    pid = folder.workload().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: folder.workload().exit_code is not None)
    gone = bundle.rename(bundle.with_name(".gone-web1"))
    assert runtime.workloads(folder.path, namespace_path) == []
    assert gone.exists()
    runtime.collect(folder.path)
    until(lambda: folder.left() == [])


def test_many_start_together(folder: Folder) -> None:
    containers = [f"shop/c{number}" for number in range(40)]
    for container in containers:
        folder.sandbox(container)
    starts = [definition("sleep", "100", container=container) for container in containers]
    starts[7] = replace(starts[7], command=("no-such-program",))
    failures = runtime.start_many(folder.path, starts, namespace_path)
    assert list(failures) == ["shop/c7"]
    running = [each for each in runtime.workloads(folder.path, namespace_path) if each.pid]
    assert len(running) == 39
