"""`netapply watch`: manifests in a directory, a host that is like them."""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.kernel import prepared
from tests.kernel.lab import Host
from tests.kernel.watching import Watcher, pins, until

SHOP = """
name: shop
networks: {front: {ipam: {config: [{subnet: 172.30.1.0/24}]}}}
containers:
  web: {networks: [front], ports: ["8080:80"]}
"""
SMALL = "containers: {one: {network_mode: none}}\n"


@pytest.fixture
def watcher(host: Host) -> Watcher:
    """At work over manifests/shop.yaml, and at rest."""
    host.write("manifests/shop.yaml", SHOP)
    return Watcher(host).wait_ready().wait_quiet()


def save_atomically(path: Path, text: str) -> None:
    """As most editors do: write beside it, then rename."""
    draft = path.with_name(f".{path.name}.swp")
    draft.write_text(text)
    draft.replace(path)


def test_a_directory_becomes_the_host(watcher: Watcher, host: Host) -> None:
    assert pins(host) == {"shop.web"}
    assert host.plan("manifests/shop.yaml") == []
    status = watcher.status()
    assert [(each["name"], each["state"]) for each in status["stacks"]] == [("shop", "in sync")]
    assert "shop" in host.netapply("status").stdout


def test_own_changes_cause_no_loop(watcher: Watcher) -> None:
    # The kernel tells of a carrier up to a second late (net/core/link_watch.c).
    before = watcher.wait_quiet(1.2).rounds()
    time.sleep(1.5)
    assert watcher.rounds() == before


def test_a_command_that_is_taken_out_causes_no_loop(host: Host) -> None:
    host.write("manifests/a.yaml", "containers: {one: {network_mode: none, command: [sleep, '300']}}\n")
    watcher = Watcher(host).wait_ready().wait_quiet()
    host.write("manifests/a.yaml", SMALL)
    until(lambda: host.ps()[0]["pid"] is None, "the command went")
    before = watcher.wait_quiet(1.2).rounds()
    time.sleep(1)
    assert watcher.rounds() == before


def test_a_second_watcher_says_so(watcher: Watcher, host: Host) -> None:
    done = host.netapply("watch", "manifests", check=False)
    assert done.returncode == 1
    assert f"process {watcher.process.pid}" in done.stderr


def test_sigterm_leaves_the_host_as_it_is(watcher: Watcher, host: Host) -> None:
    links = host.run(["ip", "-brief", "address"]).stdout
    rules = host.run(["nft", "list", "ruleset"]).stdout
    assert watcher.stop() == 0
    assert host.run(["ip", "-brief", "address"]).stdout == links
    assert host.run(["nft", "list", "ruleset"]).stdout == rules
    assert host.plan("manifests/shop.yaml") == []
    assert "nobody watches" in host.netapply("status", check=False).stderr
    host.netapply("down", "-p", "shop")
    assert not list(Path("/run/netapply").glob("*/watch*"))


def test_a_saved_manifest_is_applied(watcher: Watcher, host: Host) -> None:
    save_atomically(watcher.folder / "shop.yaml", SHOP.replace("8080:80", "8081:80"))
    until(lambda: "8081" in host.run(["nft", "list", "ruleset"]).stdout, "port 8081")
    assert "8080" not in host.run(["nft", "list", "ruleset"]).stdout
    with (watcher.folder / "shop.yaml").open("a") as file:
        file.write("  more: {networks: [front]}\n")
    until(lambda: "shop.more" in pins(host), "written in place")


def test_what_other_stacks_need_of_a_changed_one_follows(host: Host) -> None:
    billing = """
networks: {n: {name: shared, ipam: {config: [{subnet: 172.30.5.0/24}]}}}
containers: {db: {networks: {n: {ipv4_address: 172.30.5.10}}}}
"""
    shop = """
networks: {n: {name: shared, external: true}}
containers: {web: {networks: [n], external_links: ["billing/db:ledger"]}}
"""
    host.write("manifests/billing.yaml", billing)
    host.write("manifests/shop.yaml", shop)
    watcher = Watcher(host).wait_ready().wait_quiet()
    hosts = next(Path("/run/netapply").glob("*/files/shop/web/hosts"))
    assert "172.30.5.10" in hosts.read_text()
    host.write("manifests/billing.yaml", billing.replace("172.30.5.10", "172.30.5.77"))
    until(lambda: "172.30.5.77" in hosts.read_text(), "the link's new address")
    watcher.wait_quiet()
    alone = [line for line in watcher.lines("reconciled") if line["stacks"] == ["billing"]]
    assert alone, "what was saved is applied first"
    assert host.netapply("status", check=False).returncode == 0


def test_a_removed_manifest_prunes_its_stack_and_no_other(host: Host) -> None:
    host.write("byhand.yaml", "name: byhand\n" + SMALL)
    host.netapply("up", "byhand.yaml")
    for name in ("a", "b", "c"):
        host.write(f"manifests/{name}.yaml", SMALL)
    watcher = Watcher(host).wait_ready().wait_quiet()
    assert pins(host) == {"byhand.one", "a.one", "b.one", "c.one"}
    (watcher.folder / "b.yaml").unlink()
    until(lambda: pins(host) == {"byhand.one", "a.one", "c.one"}, "pruned")


def test_renamed_stacks_are_no_fault(host: Host) -> None:
    def write(file: str, name: str, number: int) -> None:
        host.write(
            f"manifests/{file}.yaml",
            f"name: {name}\n"
            f"networks: {{n: {{driver_opts: {{com.docker.network.bridge.name: br{number}}}}}}}\n"
            f"containers: {{one: {{networks: [n], ports: ['808{number}:80']}}}}\n",
        )

    host.write("manifests/other.yaml", SMALL)
    write("x", "a", 1)
    write("y", "b", 2)
    watcher = Watcher(host).wait_ready().wait_quiet()
    watcher.process.send_signal(signal.SIGSTOP)  # as in one commit
    write("x", "b", 1)
    write("y", "c", 2)
    watcher.process.send_signal(signal.SIGCONT)
    until(lambda: pins(host) == {"other.one", "b.one", "c.one"}, "renamed")
    until(lambda: host.netapply("status", check=False).returncode == 0, "in sync")
    assert not watcher.lines("failed")


def test_no_prune_keeps_it(host: Host) -> None:
    for name in ("a", "b", "c"):
        host.write(f"manifests/{name}.yaml", SMALL)
    watcher = Watcher(host, "--no-prune").wait_ready().wait_quiet()
    (watcher.folder / "b.yaml").unlink()
    time.sleep(2)
    assert pins(host) == {"a.one", "b.one", "c.one"}


@pytest.mark.parametrize("gone", [["a"], ["a", "b"]])
def test_many_vanished_manifests_are_no_order(host: Host, gone: list[str]) -> None:
    names = ["a", "b"] if len(gone) == 2 else ["a"]
    for name in [*names, *(["c"] if len(gone) == 2 else [])]:
        host.write(f"manifests/{name}.yaml", SMALL)
    watcher = Watcher(host).wait_ready().wait_quiet()
    before = pins(host)
    for name in gone:
        (watcher.folder / f"{name}.yaml").unlink()
    until(lambda: watcher.status()["directories"][0]["held"], "reported")
    time.sleep(1.5)
    assert pins(host) == before
    assert watcher.lines("stacks without a manifest are kept")


def test_allow_empty_takes_it_as_an_order(host: Host) -> None:
    host.write("manifests/a.yaml", SMALL)
    watcher = Watcher(host, "--allow-empty").wait_ready().wait_quiet()
    (watcher.folder / "a.yaml").unlink()
    until(lambda: not pins(host), "pruned")


def test_a_directory_taken_away_and_made_again(watcher: Watcher, host: Host) -> None:
    watcher.folder.rename(host.folder / "aside")
    until(lambda: watcher.status()["directories"][0]["error"], "reported")
    time.sleep(1.2)
    assert pins(host) == {"shop.web"}
    shutil.copytree(host.folder / "aside", watcher.folder)
    until(lambda: not watcher.status()["directories"][0]["error"], "read again")
    host.write("manifests/new.yaml", SMALL)
    until(lambda: "new.one" in pins(host), "watched again")


@pytest.mark.parametrize("by", ["removed", "renamed"])
def test_a_directory_that_comes_back_with_those_above_it(host: Host, by: str) -> None:
    host.write("a/b/m/s.yaml", SMALL)
    Watcher(host, directory="a/b/m").wait_ready().wait_quiet()
    above = host.folder / "a"
    shutil.rmtree(above) if by == "removed" else above.rename(host.folder / "aside")
    host.write("a/b/m/s.yaml", SMALL.replace("{one", "{two"))
    assert until(lambda: pins(host) == {"s.two"}, "applied") < 2


def test_a_broken_manifest_keeps_its_last_good_state(watcher: Watcher, host: Host) -> None:
    host.write("manifests/shop.yaml", SHOP + "  bad: {prots: [1]}\n")
    host.write("manifests/new.yaml", SMALL)
    until(lambda: "new.one" in pins(host), "the other stack")
    assert "shop.web" in pins(host)
    fault = watcher.status()["manifest_errors"][0]["problems"][0]
    assert fault["source"].endswith("shop.yaml:6:9")
    assert watcher.lines("manifest cannot be used")
    host.run(["nft", "delete", "table", "inet", "netapply"])
    until(lambda: "8080" in host.run(["nft", "list", "ruleset"]).stdout, "healed by the last good manifest")
    assert host.netapply("status", check=False).returncode == 2
    host.write("manifests/shop.yaml", SHOP)
    until(lambda: host.netapply("status", check=False).returncode == 0, "well again")


def test_a_manifest_that_cannot_be_planned_does_not_hold_up_others(watcher: Watcher, host: Host) -> None:
    host.write("manifests/rival.yaml", SHOP.replace("name: shop", "name: rival").replace("172.30.1", "172.30.2"))
    host.write("manifests/new.yaml", SMALL)
    until(lambda: "new.one" in pins(host), "the other stack")
    until(lambda: watcher.stack("rival")["last_error"], "reported")
    assert "8080" in watcher.stack("rival")["last_error"][0]["message"]
    assert "rival.web" not in pins(host)
    # A stack that stands keeps being healed by what was applied last.
    save_atomically(watcher.folder / "shop.yaml", SHOP.replace("[front]", "[nowhere]"))
    time.sleep(0.5)
    host.run(["nft", "delete", "table", "inet", "netapply"])
    until(lambda: "8080" in host.run(["nft", "list", "ruleset"]).stdout, "healed")


def test_two_files_of_one_stack(watcher: Watcher, host: Host) -> None:
    host.write("manifests/again.yaml", "name: shop\n" + SMALL)
    until(lambda: watcher.status()["manifest_errors"], "reported")
    assert "two stacks are named 'shop'" in watcher.status()["manifest_errors"][0]["problems"][0]["message"]
    assert pins(host) == {"shop.web"}


def test_a_directory_that_is_named_twice_counts_once(host: Host) -> None:
    host.write("manifests/shop.yaml", SMALL)
    (host.folder / "link").symlink_to("manifests")
    watcher = Watcher(host, "./manifests/", "link").wait_ready()
    assert [each["manifests"] for each in watcher.status()["directories"]] == [1]
    assert watcher.lines("watching")[0]["directories"] == [str(watcher.folder)]
    assert watcher.stack("shop")["state"] == "in sync"


def test_swapped_symlinks_as_of_a_config_map(host: Host) -> None:
    folder = host.folder / "manifests"
    for number in (1, 2):
        host.write(f"manifests/..{number}/a.yaml", SMALL.replace("{one", f"{{v{number}"))
    (folder / "..data").symlink_to("..1")
    (folder / "a.yaml").symlink_to("..data/a.yaml")
    Watcher(host).wait_ready().wait_quiet()
    assert pins(host) == {"a.v1"}
    (folder / "..data_tmp").symlink_to("..2")
    (folder / "..data_tmp").replace(folder / "..data")
    until(lambda: pins(host) == {"a.v2"}, "swapped")


def test_a_symlink_to_a_file_elsewhere(host: Host) -> None:
    elsewhere = host.write("elsewhere/real.yaml", SMALL)
    (host.folder / "manifests").mkdir()
    (host.folder / "manifests/a.yaml").symlink_to(elsewhere)
    Watcher(host).wait_ready().wait_quiet()
    save_atomically(elsewhere, SMALL.replace("{one", "{two"))
    until(lambda: pins(host) == {"a.two"}, "changed where it really is")


def test_a_file_that_a_manifest_is_made_of(host: Host) -> None:
    host.write("manifests/a.yaml", 'containers: {one: {network_mode: none, command: [sleep, "${LONG:-100}"]}}\n')
    Watcher(host).wait_ready().wait_quiet()
    host.write("manifests/.env", "LONG=200\n")
    until(lambda: "'sleep', '200'" in str(host.ps()) or "200" in _commands(host), ".env came")


def _commands(host: Host) -> str:
    return "".join(path.read_text() for path in Path("/run/netapply").glob("*/processes/*/*/definition.json"))


def test_a_checkout_of_many_files(host: Host) -> None:
    folder = host.folder / "manifests"
    folder.mkdir()

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.net", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, timeout=30)

    git("init", "-q")
    for number in range(200):
        (folder / f"s{number}.yaml").write_text(
            "containers: {}\n" if number % 2 else SMALL if number < 4 else "containers: {}\n"
        )
    git("add", ".")
    git("commit", "-qm", "1")
    git("checkout", "-qb", "other")
    for number in range(100, 200):
        (folder / f"s{number}.yaml").unlink()
    (folder / "s0.yaml").write_text(SMALL.replace("{one", "{two"))
    git("add", "-A")
    git("commit", "-qm", "2")
    git("checkout", "-q", "main")
    watcher = Watcher(host).wait_ready().wait_quiet()
    assert pins(host) == {"s0.one", "s2.one"}
    git("checkout", "-q", "other")
    until(lambda: pins(host) == {"s0.two", "s2.one"}, "the other branch")
    assert watcher.process.poll() is None


def test_once(host: Host) -> None:
    host.write("manifests/shop.yaml", SHOP)
    host.netapply("watch", "--once", "manifests")
    assert pins(host) == {"shop.web"}
    host.write("manifests/b.yaml", "containers: {x: {prots: []}}\n")
    assert host.netapply("watch", "--once", "manifests", check=False).returncode == 1
    (host.folder / "manifests/b.yaml").unlink()
    (host.folder / "manifests/shop.yaml").rename(host.folder / "manifests/shop2.yaml")
    host.write("manifests/shop2.yaml", SHOP.replace("name: shop", "name: other"))
    host.netapply("watch", "--once", "manifests")
    assert pins(host) == {"other.web"}


def test_a_held_lock_is_waited_for_without_blocking(watcher: Watcher, host: Host) -> None:
    lock = next(Path("/run/netapply").glob("*/lock"))
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        host.write("manifests/new.yaml", SMALL)
        time.sleep(0.7)
        assert watcher.status()["pid"] == watcher.process.pid
        assert "new.one" not in pins(host)
    until(lambda: "new.one" in pins(host), "applied when the lock is free")


@pytest.mark.parametrize("words", [["watch", "--once", "manifests"], ["up", "manifests/shop.yaml"]])
def test_whoever_waits_for_the_lock_says_for_whom(host: Host, words: list[str]) -> None:
    host.write("manifests/shop.yaml", SHOP)
    host.netapply("up", "manifests/shop.yaml")
    with next(Path("/run/netapply").glob("*/lock")).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        told, environment = subprocess.PIPE, host.environment()
        with subprocess.Popen(
            host.command(*words), cwd=host.folder, env=environment, stderr=told, text=True
        ) as waiting:
            assert waiting.stderr is not None
            try:
                assert select.select([waiting.stderr], [], [], 10)[0], "it says nothing"
                line = waiting.stderr.readline()
                before = _switches(waiting.pid)
                time.sleep(0.5)
                assert _switches(waiting.pid) - before < 3, "it asks again and again"
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)
            rest = waiting.stderr.read()
    assert waiting.returncode == 0
    assert f"process {os.getpid()} (" in line
    assert f"process {os.getpid()}" not in rest


def _switches(pid: int) -> int:
    """How often it went to sleep."""
    return int(Path(f"/proc/{pid}/status").read_text().split("\nvoluntary_ctxt_switches:")[1].split()[0])


def test_killed_and_started_again(watcher: Watcher, host: Host) -> None:
    watcher.process.kill()
    watcher.process.wait(5)
    host.run(["nft", "delete", "table", "inet", "netapply"])
    Watcher(host).wait_ready()
    assert host.plan("manifests/shop.yaml") == []


def test_sighup_at_the_very_beginning(host: Host) -> None:
    host.write("manifests/a.yaml", SMALL)
    hangup = """
import os, signal
from reconciler.kernel import host
enter = host.enter
def hung_up(name):
    os.kill(os.getpid(), signal.SIGHUP)
    return enter(name)
host.enter = hung_up
"""
    Watcher(host, beforehand=hangup).wait_ready()
    assert pins(host) == {"a.one"}


def test_sighup_looks_at_everything(watcher: Watcher) -> None:
    watcher.process.send_signal(signal.SIGHUP)
    until(lambda: any("SIGHUP" in line["cause"] for line in watcher.lines("nothing to do")), "a round for SIGHUP")


def test_what_a_sighup_puts_back_is_healed_not_applied(watcher: Watcher, host: Host) -> None:
    before = watcher.stack("shop")
    time.sleep(1.0)  # times are told by the second
    watcher.process.send_signal(signal.SIGSTOP)
    host.run(["sh", "-ec", "ip link set $(ip -br link | grep -o '^na-front-[a-z0-9]*') down"])
    watcher.process.send_signal(signal.SIGHUP)
    watcher.process.send_signal(signal.SIGCONT)
    until(lambda: any("SIGHUP" in line["cause"] for line in watcher.lines("reconciled")), "a round for SIGHUP")
    after = watcher.stack("shop")
    assert after["last_apply"] == before["last_apply"]
    assert after["healed"] > before["healed"]


def test_plan_and_up_work_beside_it(watcher: Watcher, host: Host) -> None:
    assert host.plan("manifests/shop.yaml") == []
    host.write("other.yaml", SMALL)
    host.netapply("up", "other.yaml")
    assert pins(host) == {"shop.web", "other.one"}
    watcher.wait_quiet()
    assert pins(host) == {"shop.web", "other.one"}
    host.write("other.yaml", SMALL.replace("{one", "{two"))
    host.netapply("up", "other.yaml")
    host.run(["nft", "delete", "table", "inet", "netapply"])
    watcher.wait_quiet()
    assert pins(host) == {"shop.web", "other.two"}
    host.netapply("down", "other.yaml")
    watcher.wait_quiet()
    assert pins(host) == {"shop.web"}


def test_what_a_service_manager_hears(host: Host, tmp_path: Path) -> None:
    host.write("manifests/shop.yaml", SHOP)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ears:
        ears.bind(str(tmp_path / "notify"))
        ears.settimeout(15)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000000"}
        watcher = Watcher(host, environment=environment)
        heard = ""
        while "READY=1" not in heard:
            heard = ears.recv(4096).decode()
        assert pins(host) == {"shop.web"}
        while "WATCHDOG=1" not in heard:
            heard = ears.recv(4096).decode()
        watcher.process.send_signal(signal.SIGTERM)
        while "STOPPING=1" not in heard:
            heard = ears.recv(4096).decode()


def test_metrics(host: Host, tmp_path: Path) -> None:
    host.write("manifests/shop.yaml", SHOP)
    place = tmp_path / "metrics.sock"
    Watcher(host, "--metrics", f"unix:{place}").wait_ready().wait_quiet()
    host.run(["nft", "delete", "table", "inet", "netapply"])
    until(lambda: "8080" in host.run(["nft", "list", "ruleset"]).stdout, "healed")
    assert place.stat().st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(place))
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        text = b""
        while block := client.recv(65536):
            text += block
    assert b'netapply_stacks{state="in sync"} 1.0' in text
    healed = next(line for line in text.decode().splitlines() if line.startswith("netapply_healed_total"))
    assert float(healed.split()[1]) > 0


def test_no_manifest_directory_is_an_error(host: Host) -> None:
    done = host.netapply("watch", "nowhere", check=False)
    assert done.returncode == 1
    assert "nowhere is no directory" in done.stderr


def test_a_watcher_that_is_stopped_is_not_waited_for_long(watcher: Watcher, host: Host) -> None:
    pid = watcher.process.pid
    watcher.process.send_signal(signal.SIGSTOP)
    sooner = "from reconciler.cli import status; status._PATIENCE = 2.5"
    with (host.folder / "told").open("w") as told, Path(os.devnull).open("r+") as nothing:
        files = [nothing.fileno(), nothing.fileno(), told.fileno()]
        words = ["-n", host.name, "status"]
        asking = prepared.process().start(words, host.folder, host.environment(), files, sooner)
        assert asking.wait(30) == 1
    note, error, hint = (host.folder / "told").read_text().splitlines()
    assert f"waiting for the watcher, process {pid}," in note
    assert "did not answer within 2 seconds" in error
    assert f"kill -CONT {pid}" in hint
    watcher.process.send_signal(signal.SIGCONT)
    assert host.netapply("status").returncode == 0


def test_the_status_socket_is_for_root_only(watcher: Watcher) -> None:
    path = next(Path("/run/netapply").glob("*/watch.sock"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
