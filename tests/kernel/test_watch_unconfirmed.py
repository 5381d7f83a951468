"""A watcher beside runs by hand: one that waits to be confirmed is not meddled with, and others are warned."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernel.lab import Host
from tests.kernel.watching import Watcher, pins, until

SHOP = """
networks: {front: {driver_opts: {com.docker.network.bridge.name: brf}, ipam: {config: [{subnet: 172.30.1.0/24}]}}}
containers: {web: {networks: [front], ports: ["8080:80"]}}
"""
SMALL = "containers: {one: {network_mode: none}}\n"


def rules(host: Host) -> str:
    return host.run(["nft", "list", "ruleset"]).stdout


@pytest.fixture
def watcher(host: Host) -> Watcher:
    """At rest over shop.yaml and other.yaml, beside a run of another shop that waits to be confirmed."""
    host.write("manifests/shop.yaml", SHOP)
    host.write("manifests/other.yaml", SMALL)
    watcher = Watcher(host).wait_ready().wait_quiet()
    host.write("more.yaml", "containers: {web: {ports: !override ['9090:80']}}\n")
    said = host.netapply("up", "--confirm", "60", "-f", "manifests/shop.yaml", "-f", "more.yaml").stderr
    assert f"warning: process {watcher.process.pid} watches stack shop and will undo this" in said
    assert f"hint: edit {watcher.folder / 'shop.yaml'} instead" in said
    return watcher


def end(host: Host) -> None:
    """Have the run undone now."""
    (record,) = Path("/run/netapply").glob("*/unconfirmed")
    pid = record.read_text().partition('"pid": ')[2].partition(",")[0]
    host.run(["kill", "-TERM", pid])


@pytest.mark.parametrize("keep", [True, False])
def test_it_is_left_alone_until_it_is_over(watcher: Watcher, host: Host, *, keep: bool) -> None:
    until(lambda: watcher.status()["unconfirmed"], "told of")
    before = rules(host)
    assert "9090" in before
    host.write("manifests/other.yaml", SMALL.replace("{one", "{two"))
    host.run(["ip", "link", "set", "brf", "down"])
    until(lambda: watcher.stack("other")["reason"] == "not applied yet", "read")
    assert "waits to be confirmed" in watcher.status()["unconfirmed"]["message"]
    assert host.netapply("status", check=False).returncode == 2
    assert "waits to be confirmed" in host.netapply("status", check=False).stdout
    assert len(watcher.lines("nothing is done until an unconfirmed run is over")) == 1
    once = host.netapply("watch", "--once", "manifests", check=False)
    assert (once.returncode, "waits to be confirmed" in once.stderr) == (1, True)
    assert rules(host) == before
    assert pins(host) == {"shop.web", "other.one"}
    host.netapply("confirm") if keep else end(host)
    until(lambda: pins(host) == {"shop.web", "other.two"}, "goes on")
    until(lambda: "8080" in rules(host) and "9090" not in rules(host), "as the manifest says")
    until(lambda: host.netapply("status", check=False).returncode == 0, "well")
    assert watcher.status()["unconfirmed"] is None
    host.run(["nft", "delete", "table", "inet", "netapply"])
    until(lambda: "8080" in rules(host), "healed as before")


def test_a_watcher_that_starts_meanwhile_waits_too(watcher: Watcher, host: Host) -> None:
    watcher.stop()
    before = rules(host)
    watcher = Watcher(host)
    until(lambda: watcher.lines("nothing is done until an unconfirmed run is over"), "waits")
    assert rules(host) == before
    end(host)
    until(lambda: watcher.lines("nothing to do", "reconciled"), "goes on")
    until(lambda: host.netapply("status", check=False).returncode == 0, "well")


def test_who_takes_a_watched_stack_down_is_warned(host: Host) -> None:
    host.write("manifests/other.yaml", SMALL)
    watcher = Watcher(host).wait_ready().wait_quiet()
    said = host.netapply("down", "-p", "other").stderr
    assert f"process {watcher.process.pid} watches stack other and will undo this" in said
    assert f"hint: remove {watcher.folder / 'other.yaml'} instead" in said
    until(lambda: pins(host) == {"other.one"}, "undone")
    # Nobody else is.
    host.write("byhand.yaml", f"name: byhand\n{SMALL}")
    assert host.netapply("up", "byhand.yaml").stderr == ""
