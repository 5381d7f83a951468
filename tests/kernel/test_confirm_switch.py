"""A run that switches the firewall's backend and is not confirmed: the rules are where they were, of every stack."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.kernel.lab import Host, Machine
from tests.kernel.test_backend_choice import has_nftables, legacy_rules
from tests.kernel.test_confirm import guards, is_undone, undo_now, wait_until

pytest.importorskip("iptc", reason="the extra netapply[iptables] is not installed")

SHOP = """name: shop
networks: {front: {}, back: {internal: true}}
containers: {web: {networks: [front, back], ports: ["8080:80"]}}
"""
BLOG = "{name: blog, containers: {web: {ports: ['9090:80']}}}"
BOTH_WAYS = pytest.mark.parametrize(("old", "new"), [("nftables", "iptables"), ("iptables", "nftables")])


def held_by(host: Host, old: str) -> bool:
    """Whether the backend holds rules and the other none."""
    return (has_nftables(host), bool(legacy_rules(host))) == (old == "nftables", old == "iptables")


def stand(host: Host, old: str) -> str:
    """Both stacks up with the backend, and what the host's snapshot then says."""
    host.write("shop.yaml", SHOP)
    host.write("blog.yaml", BLOG)
    host.netapply("--firewall", old, "up", "shop.yaml", "blog.yaml")
    for stack in ("shop", "blog"):
        host.container("web", stack).serve(80, name=stack, protocols=["tcp"])
    return everything(host)


def everything(host: Host) -> str:
    return host.netapply("snapshot").stdout


def answers(outside: Machine, host: Host) -> list[str]:
    found = [outside.ask(host.ipv4, port, timeout=1) for port in (8080, 9090)]
    return [each.name if each else "" for each in found]


@BOTH_WAYS
def test_not_confirmed_the_rules_are_where_they_were(host: Host, outside: Machine, old: str, new: str) -> None:
    before = stand(host, old)
    # What moves besides is undone with it, and blog, which was not in the run, keeps its rules throughout.
    host.write("shop.yaml", SHOP.replace("8080", "8081"))
    host.netapply("--firewall", new, "up", "--confirm", "3600", "shop.yaml")
    assert held_by(host, new)
    assert answers(outside, host) == ["", "blog"]
    undo_now(host)
    assert held_by(host, old)
    assert everything(host) == before
    assert answers(outside, host) == ["shop", "blog"]


@BOTH_WAYS
def test_killed_half_way_through_the_switch(host: Host, outside: Machine, old: str, new: str) -> None:
    before = stand(host, old)
    # When the new backend holds all, and the old one has not gone yet.
    command = [sys.executable, "-c", _DIES_BEFORE_THE_OLD_BASE_GOES, "-n", host.name]
    command += ["--firewall", new, "up", "--confirm", "3600", "shop.yaml"]
    done = subprocess.run(
        command, check=False, cwd=host.folder, env=host.environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    wait_until(lambda: is_undone(host), 30)
    wait_until(lambda: not guards())
    assert held_by(host, old)
    assert everything(host) == before
    assert answers(outside, host) == ["shop", "blog"]


def test_what_only_nftables_can_do_goes_with_it(host: Host, outside: Machine) -> None:
    """The undo removes the address and goes back to the backend that never could lead it anywhere."""
    before = stand(host, "iptables")
    host.write("shop.yaml", SHOP.replace("ports:", "floating_ip: 192.0.2.60, ports:"))
    host.netapply("--firewall", "nftables", "up", "--confirm", "3600", "shop.yaml")
    assert outside.ask("192.0.2.60", 80)
    undo_now(host)
    assert held_by(host, "iptables")
    assert everything(host) == before


_DIES_BEFORE_THE_OLD_BASE_GOES = """
import os, signal, sys
from reconciler import reconcile
from reconciler.plan.plan import Stage

forward, run_pid = reconcile._forward, os.getpid()

def dying(machine, steps, progress):
    # Not so the process that undoes it, which is a fork.
    if os.getpid() == run_pid and any(step.stage is Stage.HOST_REMOVE for step in steps):
        os.kill(os.getpid(), signal.SIGKILL)
    return forward(machine, steps, progress)

from reconciler.cli.main import run

reconcile._forward = dying
sys.exit(run(sys.argv[1:]))
"""
