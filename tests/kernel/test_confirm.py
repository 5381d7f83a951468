"""``up --confirm SECONDS``: whatever happens to the run and its session, what nobody confirmed is undone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kernel.lab import Host, Machine

FIRST = """
name: shop
networks: {front: }
containers:
  web: {command: [sleep, "600"], environment: {PASSWORD: c4nary-0a11}, networks: [front], ports: ["8080:80"]}
"""
SECOND = (
    FIRST.replace("8080:80", "8081:80").replace("c4nary-0a11", "c4nary-0b22")
    + '  extra: {command: [sleep, "600"], networks: [front], ports: ["9090:90"]}\n'
)

JOINING = "networks: {theirs: {external: true, name: shop_late}}"


def wait_until(true: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def record(host: Host) -> Path | None:
    """The record of what waits on the host."""
    return next(iter(Path("/run/netapply").glob(f"{cookie(host)}/unconfirmed")), None)


def cookie(host: Host) -> str:
    return host.python("import socket; print(int.from_bytes(socket.socket().getsockopt(1, 71, 8), 'little'))").strip()


def is_undone(host: Host) -> bool:
    host.lab.note_processes()
    return record(host) is None


def password(host: Host) -> bytes:
    pid = next(each for each in host.ps() if each["name"] == "web")["pid"]
    return Path(f"/proc/{pid}/environ").read_bytes()


@pytest.fixture
def shop(host: Host) -> Host:
    """A host with the first manifest up, and the second one in its place."""
    host.write("shop.yaml", FIRST)
    host.netapply("up", "shop.yaml")
    host.write("shop.yaml", SECOND)
    return host


def test_confirmed_it_stays(shop: Host) -> None:
    said = shop.netapply("up", "--confirm", "60", "shop.yaml").stdout
    assert f"netapply -n {shop.name} confirm" in said
    assert record(shop) is not None
    assert shop.netapply("confirm").stdout == "Kept: shop\n"
    assert record(shop) is None
    assert shop.plan("shop.yaml") == []
    # Nothing waits any more: whoever waited has gone.
    wait_until(lambda: not guards())
    done = shop.netapply("confirm", check=False)
    assert (done.returncode, "no up waits" in done.stderr) == (1, True)


def test_not_confirmed_it_is_undone_and_all_is_as_before(shop: Host, outside: Machine) -> None:
    shop.container("web").serve(80, protocols=["tcp"])
    before = shop.netapply("snapshot").stdout
    links = shop.run(["ip", "-br", "link"]).stdout
    assert outside.ask(shop.ipv4, 8080) is not None
    shop.netapply("up", "--confirm", "5", "shop.yaml")
    assert outside.ask(shop.ipv4, 8080) is None
    assert b"c4nary-0b22" in password(shop)
    wait_until(lambda: is_undone(shop))
    assert shop.netapply("snapshot").stdout == before
    assert shop.run(["ip", "-br", "link"]).stdout == links
    assert outside.ask(shop.ipv4, 8080) is not None
    # With its secret, which no file and no command line held meanwhile.
    assert b"c4nary-0a11" in password(shop)
    shop.write("shop.yaml", FIRST)
    assert shop.plan("shop.yaml") == []


def test_of_a_host_that_had_nothing_nothing_is_left(host: Host) -> None:
    host.write("shop.yaml", FIRST)
    before = host.snapshot()
    host.netapply("up", "--confirm", "5", "shop.yaml")
    wait_until(lambda: is_undone(host))
    wait_until(lambda: not guards())
    assert host.snapshot() == before
    assert not Path("/run/netapply").exists()


def test_a_second_up_is_refused_while_it_waits(shop: Host) -> None:
    shop.netapply("up", "--confirm", "60", "shop.yaml")
    before = shop.netapply("snapshot").stdout
    for command in (["up", "shop.yaml"], ["up", "--confirm", "5", "shop.yaml"], ["down", "shop.yaml"]):
        done = shop.netapply(*command, check=False)
        assert done.returncode == 1
        assert "the last up of shop waits to be confirmed" in done.stderr
        assert f"hint: keep what it did: netapply -n {shop.name} confirm" in done.stderr
    assert shop.netapply("snapshot").stdout == before
    # Who only looks is not disturbed.
    assert shop.plan("shop.yaml") == []
    shop.netapply("confirm")
    shop.netapply("down", "shop.yaml")


def test_a_second_terminal_cannot_read_the_secret(shop: Host) -> None:
    shop.netapply("up", "--confirm", "60", "shop.yaml")
    (guard,) = guards()
    assert b"c4nary" not in Path(f"/proc/{guard}/cmdline").read_bytes()
    path = record(shop)
    assert path is not None
    assert path.stat().st_mode & 0o077 == 0
    assert "c4nary" not in path.read_text()
    open_files = sorted(Path(f"/proc/{guard}/fd").iterdir())
    assert {str(path.readlink()) for path in open_files[:3]} == {"/dev/null"}
    # Nothing of the run's own: no lock, no terminal, no socket; only the pipe that the run's word came by.
    assert [str(path.readlink()).partition(":")[0] for path in open_files[3:]] == ["pipe"]
    shop.netapply("confirm")


@contextlib.contextmanager
def session(host: Host, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A shell that runs netapply, in a session of its own as with a login; killed at the end."""
    command = " ".join([*host.command(*arguments), "; sleep 600"])
    shell = subprocess.Popen(
        # Whoever runs the tests may ignore the hang-up signal, which is handed down.
        ["env", "--default-signal=HUP", "sh", "-c", command],
        cwd=host.folder,
        env=host.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield shell
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
        shell.communicate(timeout=60)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_the_session_dies_after_the_run(shop: Host, number: signal.Signals) -> None:
    before = shop.netapply("snapshot").stdout
    with session(shop, "up", "--confirm", "4", "shop.yaml") as shell:
        assert shell.stdout is not None
        while "Keep it with" not in (line := shell.stdout.readline()):
            assert line
        os.killpg(shell.pid, number)
        shell.wait(10)
    assert record(shop) is not None
    wait_until(lambda: is_undone(shop))
    assert shop.netapply("snapshot").stdout == before


def test_killed_at_any_step_it_is_undone_at_once(shop: Host) -> None:
    """However long the time is: nobody can confirm what is half done."""
    before = shop.netapply("snapshot").stdout
    count = _killed(shop, 0)
    undo_now(shop)
    assert count > 50
    assert shop.netapply("snapshot").stdout == before
    halves = 0
    for number in range(8, count, count // 8):
        _killed(shop, number)
        if _until(shop):
            undo_now(shop)  # it was over: this kill came after the last word
        else:
            halves += bool((shop.folder / "tally").read_text())
        wait_until(lambda: is_undone(shop))
        assert shop.netapply("snapshot").stdout == before, number
    assert halves > 3


def _killed(host: Host, number: int) -> int:
    """Run ``up --confirm`` that kills itself before that action; how many there were, of a run that was not killed."""
    tally = host.folder / "tally"
    arguments = ["kill", str(number), str(tally), "-n", host.name, "up", "--confirm", "3600", "shop.yaml"]
    tally.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.kernel.faulty", *arguments],
        check=False,
        cwd=host.folder,
        env=host.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    # A run may have a thing or two less to do than the one before.
    is_missed = done.returncode == 0 and int(tally.read_text()) < number
    assert is_missed or done.returncode == (-signal.SIGKILL if number else 0), done.stderr
    return 0 if number else int(tally.read_text())


def undo_now(host: Host) -> None:
    """Ask the process that waits to end: it does not without undoing."""
    for guard in guards():
        os.kill(guard, signal.SIGTERM)
    wait_until(lambda: is_undone(host))


def _until(host: Host) -> float:
    path = record(host)
    try:
        return float(json.loads(path.read_text())["until"]) if path else 0.0
    except (OSError, ValueError):
        return 0.0


def test_confirmed_by_somebody_else_after_the_session_died(shop: Host) -> None:
    with session(shop, "up", "--confirm", "60", "shop.yaml") as shell:
        wait_until(lambda: _until(shop))
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait(10)
    shop.netapply("confirm")
    assert shop.plan("shop.yaml") == []


def test_what_others_did_meanwhile_stays(shop: Host) -> None:
    """Another stack came in between, by a watcher say, and stands on a network that this run brought."""
    shop.write(
        "shop.yaml",
        SECOND.replace("front: }", "front: , late: }").replace('[front], ports: ["9090', '[late], ports: ["9090'),
    )
    shop.netapply("up", "--confirm", "3600", "shop.yaml")
    shop.write("other.yaml", "containers: {x: {ports: ['7070:70'], networks: [theirs]}}\n" + JOINING)
    code = "from reconciler.kernel import unconfirmed; unconfirmed.refuse = lambda host: None\n"
    code += "import sys; from reconciler.cli.main import run; sys.exit(run(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "-n", shop.name, "up", "other.yaml"]
    subprocess.run(command, check=True, cwd=shop.folder, env=shop.environment(), capture_output=True, timeout=60)
    undo_now(shop)
    assert shop.plan("other.yaml") == []
    assert {each["name"] for each in shop.ps()} == {"web", "x"}
    shop.netapply("down", "other.yaml")
    shop.write("shop.yaml", FIRST)
    assert {change["name"].partition(":")[0] for change in shop.plan("shop.yaml")} == {"shop/late"}


def test_a_run_that_fails_leaves_nothing_to_confirm(host: Host) -> None:
    host.write("bad.yaml", "containers: {a: {command: [/no/such/file]}}")
    done = host.netapply("up", "--confirm", "60", "bad.yaml", check=False)
    assert done.returncode == 1
    wait_until(lambda: not guards())
    assert not Path("/run/netapply").exists()
    assert "waits" not in host.netapply("up", "bad.yaml", check=False).stderr


def test_nothing_to_do_waits_for_nothing(host: Host) -> None:
    host.write("shop.yaml", FIRST)
    host.netapply("up", "shop.yaml")
    assert host.netapply("up", "--confirm", "60", "shop.yaml").stdout == "Nothing to do.\n"
    assert record(host) is None


def test_a_guard_that_was_killed(shop: Host) -> None:
    shop.netapply("up", "--confirm", "60", "shop.yaml")
    (guard,) = guards()
    os.kill(guard, signal.SIGKILL)
    wait_until(lambda: not guards())
    done = shop.netapply("up", "shop.yaml", check=False)
    assert "the process that would undo it is gone" in done.stderr
    shop.netapply("confirm")
    shop.netapply("up", "shop.yaml")


def test_of_a_saved_plan(shop: Host) -> None:
    before = shop.netapply("snapshot").stdout
    shop.netapply("plan", "--out", "shop.plan", "shop.yaml", check=False)
    shop.netapply("up", "--confirm", "1", "shop.plan")
    wait_until(lambda: is_undone(shop))
    assert shop.netapply("snapshot").stdout == before


def guards() -> list[int]:
    """The processes that wait, of this test's mount namespace."""
    found = []
    own = Path("/proc/self/ns/mnt").readlink()
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = (path / "stat").read_text().rpartition(")")[2].split()[1]
            # Forked from the run, they have its arguments, in tests those of what the run was forked from.
            arguments = (path / "cmdline").read_bytes()
            is_fork = b"--confirm" in arguments or b"tests.kernel.prepared" in arguments
            if parent == "1" and is_fork and (path / "ns/mnt").readlink() == own:
                found.append(int(path.name))
    return found
