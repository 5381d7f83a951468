"""A snapshot of a real host, and plans made elsewhere from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.kernel.lab import Host

SHOP = """
name: shop
networks: {front: {enable_ipv6: true, ipam: {config: [{subnet: 10.91.0.0/24}, {subnet: "fd91::/64"}]}}, back: {internal: true}}
containers:
  web:
    command: [sleep, "600"]
    environment: {PASSWORD: c4nary-0b5e-11ed}
    networks: {front: {aliases: [www]}, back: }
    ports: ["8080:80", "127.0.0.1::443", "5000-5003:5000-5003/udp"]
    sysctls: {net.ipv4.tcp_fin_timeout: "33"}
    extra_hosts: ["far:192.0.2.77"]
  job: {command: ["true"], rm: true, environment: {PASSWORD: c4nary-0b5e-11ed}}
  helper: {network_mode: "service:web"}
  db: {networks: [back], links: [web]}
"""


def test_a_plan_elsewhere_is_the_plan_here(host: Host) -> None:
    host.write("shop.yaml", SHOP)
    host.netapply("up", "shop.yaml")
    Path(host.folder / "snapshot.json").write_text(host.netapply("snapshot").stdout)
    assert "c4nary" not in (host.folder / "snapshot.json").read_text()
    assert host.plan("--observed", "snapshot.json", "shop.yaml") == []
    host.write("shop.yaml", SHOP.replace("8080:80", "8081:80").replace("  db:", "  new: {networks: [front]}\n  db:"))
    here = host.netapply("plan", "--format", "json", "shop.yaml", check=False).stdout
    there = host.netapply("plan", "--format", "json", "--observed", "snapshot.json", "shop.yaml", check=False).stdout
    assert json.loads(there)["changes"] == json.loads(here)["changes"]
    assert json.loads(there)["exposure"] == json.loads(here)["exposure"]
    assert len(json.loads(there)["changes"]) > 5


def test_it_needs_no_right(host: Host) -> None:
    """No capability at all, in no namespace of the host's: the same plan."""
    host.write("shop.yaml", SHOP)
    host.write("snapshot.json", host.netapply("snapshot").stdout)
    expected = host.netapply("plan", "shop.yaml", check=False).stdout
    assert _powerless(host, "plan", "shop.yaml").returncode == 1
    done = _powerless(host, "plan", "--observed", "snapshot.json", "shop.yaml")
    assert (done.returncode, done.stdout) == (2, expected), done.stderr
    done = _powerless(host, "plan", "--base", "shop.yaml", "shop.yaml")
    assert (done.returncode, done.stdout) == (0, "Nothing to do.\n"), done.stderr


def _powerless(host: Host, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Another user could not run a Python that stands in root's home.
    without = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    return subprocess.run(
        [*without, sys.executable, "-m", "reconciler", *arguments],
        cwd=host.folder,
        env=host.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_who_holds_a_port_is_named_elsewhere(host: Host) -> None:
    host.serve(8080, protocols=["tcp"])
    host.write("shop.yaml", SHOP)
    host.write("snapshot.json", host.netapply("snapshot").stdout)
    done = host.netapply("plan", "--observed", "snapshot.json", "shop.yaml", check=False)
    assert done.returncode == 1
    assert "shop.yaml:9:13: error: " in done.stderr
    assert "8080/tcp" in done.stderr
    assert f"process {os.getpid()}" in done.stderr


def test_a_snapshot_changes_nothing(host: Host) -> None:
    before = host.snapshot()
    host.netapply("snapshot")
    assert host.snapshot() == before
    assert not Path("/run/netapply").exists()
