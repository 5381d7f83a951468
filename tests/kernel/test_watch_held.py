"""Stacks whose manifests vanished in a way that is no order: kept, healed, and told of until somebody decides."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.kernel.lab import Host
from tests.kernel.watching import Watcher, pins, until

FRONT = """
networks: {front: {driver_opts: {com.docker.network.bridge.name: brf}, ipam: {config: [{subnet: 172.30.1.0/24}]}}}
containers:
  web: {networks: [front], ports: ["8080:80"], command: [sleep, '300'], restart: always}
"""
SMALL = "containers: {one: {network_mode: none}}\n"
BACK = "networks: {back: }\ncontainers: {db: {networks: [back]}}\n"


def forwarding(host: Host) -> str:
    return host.run(["cat", "/proc/sys/net/ipv4/ip_forward"]).stdout.strip()


def metrics(host: Host, place: Path) -> str:
    def ask() -> str:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(place))
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            return client.makefile().read()

    return host.inside(ask)


def test_they_are_healed_and_told_of(host: Host, tmp_path: Path) -> None:
    host.write("manifests/shop.yaml", FRONT)
    for name in ("two", "three"):
        host.write(f"manifests/{name}.yaml", SMALL)
    place = tmp_path / "metrics.sock"
    watcher = Watcher(host, "--metrics", f"unix:{place}").wait_ready().wait_quiet()
    for path in watcher.folder.iterdir():
        path.unlink()
    until(lambda: watcher.status()["directories"][0]["held"], "held")
    watcher.wait_quiet(0.3)

    def rules() -> str:
        return host.run(["nft", "list", "ruleset"]).stdout

    host.run(["nft", "flush", "ruleset"])
    until(lambda: "8080" in rules(), "its rules are back")
    assert forwarding(host) == "1"
    host.run(["ip", "link", "delete", "brf"])
    until(lambda: "172.30.1.1" in host.run(["ip", "address"]).stdout, "its bridge, too")
    (pid,) = [each["pid"] for each in host.ps() if each["name"] == "web"]
    host.run(["kill", "-9", str(pid)])
    until(lambda: {each["pid"] for each in host.ps() if each["name"] == "web"}.isdisjoint({None, pid}), "its command")
    watcher.wait_quiet(0.3)
    stack = watcher.stack("shop")
    assert (stack["state"], stack["file"]) == ("out of sync", str(watcher.folder / "shop.yaml"))
    assert stack["reason"].startswith("held: it is empty; ")
    assert stack["healed"] > 0
    told = metrics(host, place)
    for line in ('netapply_stacks{state="out of sync"} 3.0', "netapply_held_stacks 3.0"):
        assert line in told
    assert "netapply_unreadable_directories 0.0" in told
    # What is true now is said, not what was when it began.
    host.write("manifests/shop.yaml", FRONT)
    until(lambda: watcher.stack("shop")["state"] == "in sync", "back")
    held = watcher.status()["directories"][0]["held"]
    assert held.startswith("it was empty, and not all of its stacks are back; ")
    assert held.endswith("; kept: three, two")
    # Who takes one down, or makes it his own, has decided.
    host.netapply("down", "-p", "two")
    host.write("three.yaml", f"name: three\n{SMALL.replace('{one', '{other')}")
    host.netapply("up", "--adopt", "three.yaml")
    until(lambda: host.netapply("status", check=False).returncode == 0, "well")
    watcher.wait_quiet(0.3)
    assert pins(host) == {"shop.web", "three.other"}
    assert not watcher.lines("failed")


def test_they_are_healed_by_the_next_watcher(host: Host) -> None:
    host.write("manifests/shop.yaml", FRONT)
    watcher = Watcher(host).wait_ready().wait_quiet()
    (watcher.folder / "shop.yaml").unlink()
    until(lambda: watcher.status()["directories"][0]["held"], "held")
    watcher.stop()
    watcher = Watcher(host).wait_ready().wait_quiet()
    assert watcher.stack("shop")["state"] == "out of sync"
    host.run(["nft", "flush", "ruleset"])
    until(lambda: "8080" in host.run(["nft", "list", "ruleset"]).stdout, "healed")
    host.netapply("down", "-p", "shop")
    until(lambda: not watcher.status()["stacks"], "decided")
    assert pins(host) == set()


def test_a_flush_does_not_turn_forwarding_off_under_stacks_of_others(host: Host) -> None:
    host.write("byhand.yaml", f"name: byhand\n{BACK}")
    host.netapply("up", "byhand.yaml")
    host.write("manifests/small.yaml", SMALL)
    watcher = Watcher(host, "--interval", "0.3").wait_ready().wait_quiet(0.2)
    before = watcher.rounds()
    host.run(["nft", "flush", "ruleset"])
    until(lambda: watcher.rounds() > before + 2, "looked at everything")
    assert forwarding(host) == "1"
    host.netapply("up", "byhand.yaml")
    assert forwarding(host) == "1"
