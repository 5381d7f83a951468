"""`netapply watch` when the machine fails it: said once, tried again later and later, and never in a circle."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kernel.lab import Host
from tests.kernel.watching import Watcher, pins, until

SMALL = "containers: {one: {network_mode: none}}\n"
COMMAND = "containers: {one: {network_mode: none, command: [sleep, '300']}}\n"
BRIDGE = """
networks: {n: {driver_opts: {com.docker.network.bridge.name: brb}}}
containers: {one: {networks: [n]}}
"""
PORT = "containers: {web: {ports: ['8080:80']}}\n"
_SHARE = 0.5
"""Of a processor that a watcher may use while something fails; in a circle it would be all of one."""


@contextmanager
def little_work(watcher: Watcher, seconds: float) -> Iterator[None]:
    """For so long, and what is done within, the watcher takes next to no processor time."""
    began, before = time.monotonic(), _seconds(watcher)
    yield
    time.sleep(max(0.0, began + seconds - time.monotonic()))
    assert watcher.process.poll() is None
    assert (_seconds(watcher) - before) / (time.monotonic() - began) < _SHARE
    assert not watcher.lines("internal error")


def _seconds(watcher: Watcher) -> float:
    fields = Path(f"/proc/{watcher.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def mounted(*arguments: str) -> Iterator[None]:
    """In the mount namespace of the tests."""
    subprocess.run(["mount", *arguments], check=True, timeout=10)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", arguments[-1]], check=True, timeout=10)


def test_a_full_disk(host: Host) -> None:
    Path("/run/netapply").mkdir(mode=0o700)
    with mounted("-t", "tmpfs", "-o", "size=600k,mode=700", "none", "/run/netapply"):
        host.write("manifests/a.yaml", SMALL)
        watcher = Watcher(host).wait_ready().wait_quiet()
        full = Path("/run/netapply/full")
        with full.open("wb", buffering=0) as file:
            for size in (4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue
        with little_work(watcher, 4):
            host.write("manifests/b.yaml", COMMAND)
            until(lambda: watcher.lines("failed"), "reported")
            assert "No space left" in str(watcher.lines("failed")[0])
        until(lambda: len({line["timestamp"] for line in watcher.lines("failed")}) >= 2, "tried again")
        assert "No space left" in watcher.stack("b")["reason"]
        assert len({line["timestamp"] for line in watcher.lines("failed")}) <= 8
        assert "a.one" in pins(host)
        full.unlink()
        until(lambda: watcher.stack("b")["state"] == "in sync", "tried again")
        host.netapply("down", "-p", "a", "-p", "b", check=False)
        watcher.stop()


def test_a_failed_round_is_one_line_and_each_stack_has_its_own_fault(host: Host) -> None:
    host.write("manifests/ok.yaml", SMALL)
    watcher = Watcher(host).wait_ready().wait_quiet()
    watcher.process.send_signal(signal.SIGSTOP)  # both in one round
    for name, port in (("a", 8081), ("b", 8082)):
        text = f"containers: {{web: {{ports: ['{port}:80'], command: [/no/such/{name}]}}}}\n"
        host.write(f"manifests/{name}.yaml", text)
    watcher.process.send_signal(signal.SIGCONT)
    until(lambda: watcher.lines("failed"), "reported")
    line = watcher.lines("failed")[0]
    # The host's part was made for both and taken away with them: it is no change.
    assert [each["stacks"] for each in watcher.lines("reconciled")] == [["ok"]]
    assert "stacks" not in line
    assert line["undone"] > 0
    assert "/no/such/a" in line["problem"]
    assert "/no/such/b" in str(line["more_problems"])
    for name in ("a", "b"):
        assert f"/no/such/{name}" in watcher.stack(name)["reason"]


def test_a_runtime_that_hangs(host: Host, tmp_path: Path) -> None:
    fake = tmp_path / "crun"
    fake.write_text("#!/bin/sh\nexec sleep 300\n")
    fake.chmod(0o755)
    limit = "from reconciler.kernel import runtime_start; runtime_start.START_SECONDS = 1.0"
    place = subprocess.run(["sh", "-c", "command -v crun"], check=True, capture_output=True, text=True).stdout.strip()
    host.write("manifests/b.yaml", SMALL)
    watcher = Watcher(host, beforehand=limit).wait_ready().wait_quiet()
    with mounted("--bind", str(fake), place), little_work(watcher, 6):
        host.write("manifests/a.yaml", COMMAND)
        until(lambda: watcher.lines("failed"), "reported")
        # It does not have the watcher's whole time.
        host.write("manifests/c.yaml", SMALL)
        until(lambda: "c.one" in pins(host), "the others go on")
    assert watcher.stack("a")["state"] == "out of sync"
    assert len({line["timestamp"] for line in watcher.lines("failed")}) <= 4
    watcher.process.send_signal(signal.SIGHUP)
    until(lambda: watcher.stack("a")["state"] == "in sync", "mended")


def test_a_runtime_that_hangs_does_not_keep_others_from_being_healed(host: Host, tmp_path: Path) -> None:
    fake = tmp_path / "crun"
    fake.write_text("#!/bin/sh\nexec sleep 300\n")
    fake.chmod(0o755)
    place = subprocess.run(["sh", "-c", "command -v crun"], check=True, capture_output=True, text=True).stdout.strip()
    host.write("manifests/b.yaml", BRIDGE)
    watcher = Watcher(host).wait_ready().wait_quiet()
    with mounted("--bind", str(fake), place):
        host.write("manifests/a.yaml", COMMAND)
        until(lambda: any("manifest of a" in line["cause"] for line in watcher.lines("failed")), "given up")
        host.run(["ip", "link", "set", "brb", "down"])
        until(lambda: "state DOWN" not in host.run(["ip", "link", "show", "brb"]).stdout, "healed", 8)
        assert watcher.stack("a")["state"] == "out of sync"
    watcher.process.send_signal(signal.SIGHUP)
    until(lambda: watcher.stack("a")["state"] == "in sync", "mended")


def test_where_no_file_can_be_watched_it_is_said_once(host: Host) -> None:
    full = """
import errno
from reconciler.watch import inotify
def add(self, folder, *_events):
    raise OSError(errno.ENOSPC, "No space left on device")
inotify.Inotify.add = add
"""
    host.write("manifests/b.yaml", BRIDGE)
    watcher = Watcher(host, "--interval", "0.5", beforehand=full).wait_ready()
    until(lambda: watcher.lines("changed files are found late"), "said")
    assert "max_user_watches" in watcher.lines("changed files are found late")[0]["problem"]
    file = next(Path("/run/netapply").glob("*/files/b/one/hostname"))
    file.write_text("intruder\n")
    until(lambda: "intruder" not in file.read_text(), "found by the look at everything")
    host.write("manifests/c.yaml", BRIDGE.replace("brb", "brc"))
    until(lambda: "c.one" in pins(host), "the others go on")
    assert len(watcher.lines("changed files are found late")) == 1


def test_nftables_refuses(host: Host) -> None:
    host.write("manifests/a.yaml", PORT)
    watcher = Watcher(host).wait_ready().wait_quiet()
    # While its owner lives nobody else may change such a table (nft(8)); it goes with it.
    code = "delete table inet netapply; add table inet netapply { flags owner; }"
    inside = ["nsenter", f"--net={host.path}", "nft", "-i"]
    with subprocess.Popen(inside, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as owner:
        assert owner.stdin
        owner.stdin.write(f"{code}\n")
        owner.stdin.flush()
        with little_work(watcher, 4):
            until(lambda: watcher.lines("failed"), "reported")
        assert watcher.stack("a")["state"] == "out of sync"
        assert len({line["timestamp"] for line in watcher.lines("failed")}) <= 8
    until(lambda: "8080" in host.run(["nft", "list", "ruleset"]).stdout, "healed")
    until(lambda: host.netapply("status", check=False).returncode == 0, "in sync")


def test_a_lock_that_somebody_keeps(host: Host) -> None:
    host.write("manifests/a.yaml", SMALL)
    said = "from reconciler.watch import rests; rests.BUSY_WARNING = 1.0"
    watcher = Watcher(host, beforehand=said).wait_ready().wait_quiet()
    with next(Path("/run/netapply").glob("*/lock")).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with little_work(watcher, 4):
            host.write("manifests/b.yaml", SMALL)
            until(lambda: watcher.lines("another netapply holds the host's lock"), "said")
        assert len(watcher.lines("another netapply holds the host's lock")) == 1
        me = f"process {os.getpid()} ("
        assert me in watcher.lines("another netapply holds the host's lock")[0]["holder"]
        # Nobody knows how a is by now.
        assert watcher.stack("a")["state"] == "out of sync"
        assert me in watcher.stack("a")["reason"]
        assert "lock" in watcher.stack("a")["reason"]
    until(lambda: "b.one" in pins(host), "applied")
    until(lambda: watcher.stack("a")["state"] == "in sync", "looked at")


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_memory_is_flat_over_ten_thousand_reconciles(host: Host) -> None:
    host.write("manifests/a.yaml", PORT)
    watcher = Watcher(host).wait_ready().wait_quiet()
    sizes: dict[int, int] = {}
    while (rounds := watcher.status()["reconciles"]) < 10_000:
        for step in (2_000, 6_000):
            if rounds >= step:
                sizes.setdefault(step, _memory(watcher))
        host.write("manifests/a.yaml", PORT.replace("8080", str(8080 + rounds % 7)))
        for _ in range(200):
            watcher.process.send_signal(signal.SIGHUP)
            time.sleep(0.01)
    sizes[10_000] = _memory(watcher)
    assert sizes[10_000] - sizes[2_000] < 2000, f"kilobytes after so many reconciles: {sizes}"


def _memory(watcher: Watcher) -> int:
    return int(Path(f"/proc/{watcher.process.pid}/status").read_text().split("VmRSS:")[1].split()[0])
