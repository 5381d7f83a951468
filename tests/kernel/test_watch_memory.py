"""What a watcher must know beyond its own life: what it made, what it held back, and which file it goes by."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from tests.kernel.lab import Host
from tests.kernel.watching import Watcher, pins, until

SMALL = "containers: {one: {network_mode: none}}\n"
FRONT = """
name: shop
networks: {front: {ipam: {config: [{subnet: 172.30.1.0/24}]}, driver_opts: {com.docker.network.bridge.name: brf}}}
containers:
  web: {networks: [front], ports: ["8080:80"], command: [sleep, "300"], restart: always}
"""


def write(host: Host, *paths: str, text: str = SMALL) -> None:
    for path in paths:
        host.write(f"{path}.yaml", text)


def remove(host: Host, *paths: str) -> None:
    for path in paths:
        (host.folder / f"{path}.yaml").unlink()


def started_again(watcher: Watcher, *options: str, directory: str = "manifests") -> Watcher:
    assert watcher.stop() == 0
    return Watcher(watcher.host, *options, directory=directory).wait_ready().wait_quiet()


def is_gone(host: Host, pin: str) -> bool:
    return pin not in pins(host)


def is_well(host: Host) -> bool:
    return host.netapply("status", check=False).returncode == 0


def test_a_directory_of_another_name(host: Host) -> None:
    write(host, "hand/hand", text=f"name: hand\n{SMALL}")
    host.netapply("up", "hand/hand.yaml")
    write(host, "m/one", "m/three")
    write(host, "m/two", text=f"name: two\n{SMALL}")
    watcher = Watcher(host, directory="m").wait_ready().wait_quiet()
    (host.folder / "m").rename(host.folder / "n")
    watcher = started_again(watcher, directory="n")
    assert is_well(host), host.netapply("status", check=False).stdout
    for name in ("two", "one"):
        remove(host, f"n/{name}")
        until(partial(is_gone, host, f"{name}.one"), "its removal counts there")
    assert pins(host) == {"three.one", "hand.one"}
    watcher.stop()
    for name in ("three", "hand"):
        host.netapply("down", "-p", name)
    left = [str(path) for path in Path("/run/netapply").glob("[0-9]*")]
    assert not left, f"nothing is remembered of nothing: {left}"


def test_what_vanished_at_once_stays_until_somebody_decides(host: Host) -> None:
    write(host, "manifests/a", "manifests/b", "manifests/c")
    watcher = Watcher(host).wait_ready().wait_quiet()
    remove(host, "manifests/a", "manifests/b")
    until(lambda: watcher.status()["directories"][0]["held"], "held")
    write(host, "manifests/d", "manifests/e")
    until(lambda: "e.one" in pins(host), "new ones are made")
    watcher = started_again(watcher)
    time.sleep(1.2)
    assert pins(host) == {f"{name}.one" for name in "abcde"}
    held = watcher.status()["directories"][0]["held"]
    assert "2 of 3 stacks vanished at once" in held
    assert host.netapply("status", check=False).stdout.count(str(host.folder / "manifests")) == 1
    write(host, "manifests/a")
    host.netapply("down", "-p", "b")
    until(lambda: is_well(host), "decided, one for one")
    remove(host, "manifests/d")
    until(lambda: pins(host) == {"a.one", "c.one", "e.one"}, "a single one goes")


def test_two_files_of_one_stack_over_a_restart(host: Host) -> None:
    write(host, "manifests/b", text=f"name: shop\n{SMALL}")
    watcher = Watcher(host).wait_ready().wait_quiet()
    write(host, "manifests/a", text=f"name: shop\n{SMALL.replace('{one', '{two')}")
    until(lambda: watcher.status()["manifest_errors"], "reported")
    watcher = started_again(watcher)
    assert pins(host) == {"shop.one"}
    watcher.stop()
    host.netapply("watch", "--once", "manifests", check=False)
    assert pins(host) == {"shop.one"}
    # Where even that is forgotten, nobody can tell.
    next(Path("/run/netapply").glob("*/watched.json")).unlink()
    done = host.netapply("watch", "--once", "manifests", check=False)
    assert done.returncode == 1
    assert pins(host) == {"shop.one"}
    watcher = Watcher(host).wait_ready().wait_quiet()
    assert pins(host) == {"shop.one"}
    reason = watcher.stack("shop")["reason"]
    assert reason, watcher.status()
    assert all(str(host.folder / f"manifests/{name}.yaml") in reason for name in "ab"), reason
    remove(host, "manifests/b")
    until(lambda: pins(host) == {"shop.two"}, "it can be told again")
    until(lambda: is_well(host), "well")


def test_a_manifest_that_is_broken_from_the_start(host: Host) -> None:
    host.write("manifests/shop.yaml", FRONT)
    watcher = Watcher(host).wait_ready().wait_quiet()
    host.write("manifests/shop.yaml", f"{FRONT}  bad: {{prots: [1]}}\n")
    write(host, "manifests/other")
    watcher = started_again(watcher)
    stack = watcher.stack("shop")
    assert stack["state"] == "out of sync"
    assert stack["last_error"][0]["source"].endswith("shop.yaml:6:9")
    assert watcher.status()["directories"][0]["held"] is None

    def bridge() -> str:
        return host.run(["ip", "-oneline", "address", "show", "brf"], check=False).stdout

    before = bridge()
    pid = host.ps()[-1]["pid"]
    host.run(["ip", "link", "set", "brf", "down"])
    host.run(["nft", "delete", "table", "inet", "netapply"])
    host.run(["ip", "address", "flush", "dev", "brf"])
    until(lambda: "8080" in host.run(["nft", "list", "ruleset"]).stdout and "172.30.1.1" in bridge(), "healed")
    watcher.wait_quiet(0.3)
    host.run(["ip", "link", "delete", "brf"])
    until(lambda: "172.30.1.1" in bridge(), "made again")
    watcher.wait_quiet(0.3)
    host.run(["kill", "-9", str(pid)])
    until(lambda: host.ps()[-1]["pid"] not in {None, pid}, "its command too")
    watcher.wait_quiet()
    assert bridge().split("brf")[1].split("valid")[0] == before.split("brf")[1].split("valid")[0]
    assert watcher.stack("shop")["healed"] > 0
    assert not watcher.lines("failed")
    host.write("manifests/shop.yaml", FRONT)
    until(lambda: is_well(host), "mended")
    host.write("manifests/shop.yaml", "containers: [")
    until(lambda: len(watcher.lines("manifest cannot be used")) == 2, "broken again")
    write(host, "manifests/third")
    remove(host, "manifests/shop")
    until(lambda: pins(host) == {"other.one", "third.one"}, "gone")
    assert watcher.lines("broken manifest is gone")


def test_a_move_between_directories_of_one_watcher(host: Host) -> None:
    write(host, "m/a", "m/b", "n/c", "n/d")
    watcher = Watcher(host, "n", directory="m").wait_ready().wait_quiet()
    pid = watcher.process.pid
    (host.folder / "m/a.yaml").rename(host.folder / "n/a.yaml")
    host.write("n/a.yaml", SMALL.replace("{one", "{two"))
    until(lambda: "a.two" in pins(host), "moved")
    watcher.wait_quiet()
    assert is_well(host), host.netapply("status", check=False).stdout
    remove(host, "n/a")
    until(lambda: pins(host) == {"b.one", "c.one", "d.one"}, "and gone from there")
    assert watcher.process.pid == pid


def test_status_tells_of_commands_that_should_run(host: Host) -> None:
    text = """
containers:
  once: {network_mode: none, command: ["false"], restart: "on-failure:2"}
  al: {network_mode: none, command: ["false"], restart: always}
  fine: {network_mode: none, command: ["true"], restart: on-failure}
  job: {network_mode: none, command: ["false"]}
"""
    host.write("manifests/jobs.yaml", text)
    watcher = Watcher(host).wait_ready()
    until(lambda: "used up" in (watcher.stack("jobs")["reason"] or ""), "given up", 20)
    time.sleep(1)
    stack = watcher.stack("jobs")
    once, _, al = stack["reason"].partition("; ")
    assert once == "command of once ended with 1, its 2 restarts are used up"
    assert al.startswith("command of al ended with 1, restarts in ")
    assert (stack["state"], stack["healed"]) == ("out of sync", 0)
    assert not is_well(host)
