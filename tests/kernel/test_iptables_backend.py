"""The iptables backend in a throwaway host: packets, reading back, drift, and others at the same tables."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from reconciler.errors import NetapplyError
from reconciler.firewall.policy import FirewallBase, NetworkPolicy, PublishedPort
from reconciler.kernel import iptables
from reconciler.kernel.firewall import Firewall
from reconciler.plan.change import Change, Create, Delete, Update
from reconciler.plan.diff import diff
from reconciler.state import State
from tests.kernel.lab import Host, Lab, Machine
from tests.kernel.reachability import NETS, build, cases, failures, policies
from tests.kernel.watching import until

pytest.importorskip("iptc", reason="the extra netapply[iptables] is not installed")

BASE = FirewallBase("iptables")
FRONT = NETS[0].policy
PROGRAMS = ("iptables-legacy", "ip6tables-legacy")
Result = TypeVar("Result")


def in_host(host: Machine, work: Callable[[Firewall], Result]) -> Result:
    def opened() -> Result:
        firewall = Firewall("iptables")
        try:
            return work(firewall)
        finally:
            firewall.close()

    return host.inside(opened)


def apply(host: Machine, changes: Sequence[Change]) -> None:
    in_host(host, lambda firewall: firewall.apply(changes))


def observed(host: Machine) -> State:
    return State(in_host(host, lambda firewall: firewall.observe_policies()))


def repair(host: Machine, wanted: State) -> tuple[Change, ...]:
    def work(firewall: Firewall) -> tuple[Change, ...]:
        changes = diff(State(firewall.observe_policies()), wanted)
        firewall.apply(changes)
        assert State(firewall.observe_policies()) == wanted
        return changes

    return in_host(host, work)


def save(host: Machine) -> list[str]:
    """Every chain and rule of the legacy tables, without counters and comments of the program."""
    return [
        line.partition(" [")[0]
        for program in PROGRAMS
        for line in host.run([f"{program}-save"]).stdout.splitlines()
        if not line.startswith("#")
    ]


def test_the_helper_starts_without_setuptools() -> None:
    helper = Path(iptables.__file__).with_name("iptables_helper.py")
    command = [sys.executable, "-X", "importtime", "-E", "-P", str(helper), "4"]
    done = subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert (done.stdout, "iptc.ip4tc" in loaded) == ("{}\n", True)
    assert not {"distutils", "setuptools", "pkg_resources"} & loaded


@pytest.mark.parametrize("bridge_netfilter", [False, True], ids=["bridge-nf-0", "bridge-nf-1"])
@pytest.mark.parametrize("engine", ["", "nft", "legacy"], ids=["accept", "drop-nft", "drop-legacy"])
def test_reachability(lab: Lab, engine: str, *, bridge_netfilter: bool) -> None:
    world = build(lab, bridge_netfilter=bridge_netfilter)
    if engine:
        # Before ours, so that of two chains of one priority the host's comes first.
        for program in ("iptables", "ip6tables"):
            world.host.run([f"{program}-{engine}", "-w", "-P", "FORWARD", "DROP"])

    def work(firewall: Firewall) -> None:
        firewall.apply([Create(BASE), *(Create(policy) for policy in policies())])
        sight = firewall.observe()
        assert len(sight.wanted_accepts) == (2 if engine else 0)
        firewall.apply([Create(accept) for accept in sight.wanted_accepts])
        assert State(firewall.observe_policies()) == State([BASE, *policies(), *sight.wanted_accepts])

    in_host(world.host, work)
    assert failures(lab, world, cases()) == []


def odd(interface: str, *subnets: str) -> NetworkPolicy:
    return replace(FRONT, network=f"shop/{interface}", interface=interface, subnets=subnets)


ODD: list[NetworkPolicy | PublishedPort] = [
    replace(odd("o1", "10.1.0.7/32", "fd01::1/128"), icc=False, snat4="192.0.2.1"),
    replace(odd("o2", "10.2.0.0/25"), internal=True, mode4="isolated", mode6="isolated"),
    replace(odd("o3"), mode4="routed", mode6="nat-unprotected", snat6="2001:db8::1"),
    replace(odd("o4", "10.4.0.0/24"), masquerade6=False, trusted_interfaces=("eth0", "eth1")),
    replace(odd("o5", "10.5.0.0/24"), masquerade4=False, masquerade_ports=(7, 7)),
    replace(odd("o6", "10.6.0.0/24"), mode4="nat-unprotected", masquerade_ports=(40000, 40999)),
    PublishedPort("s" * 63, f"{'s' * 63}/{'c' * 63}", "sctp", "::", 65535, "fd30:1::2", 1),
]


def test_everything_reads_back_and_goes_with_the_base(host: Host) -> None:
    wanted = State([BASE, *policies(), *ODD])
    apply(host, diff(State(), wanted))
    assert observed(host) == wanted
    # What other programs make of it is the same: they save and restore these tables.
    for program in PROGRAMS:
        host.run([f"{program}-restore"], stdin=host.run([f"{program}-save"]).stdout)
    assert observed(host) == wanted
    apply(host, [Delete(resource) for resource in wanted])
    assert observed(host) == State()
    assert not [line for line in save(host) if "NETAPPLY" in line or line.startswith("-A")]


def test_looking_makes_no_table(host: Host) -> None:
    assert observed(host) == State()
    assert host.run(["cat", "/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"]).stdout == ""


JUDGE_RULE = "-s 172.30.1.0/24 -i brfront -m comment --comment shop/front -j RETURN"
BASE_DRIFT = {
    "foreign rule in our chain": ["-t mangle -I NETAPPLY-JUDGE 1 -j ACCEPT"],
    "fixed rule gone": ["-t raw -F NETAPPLY-GUARD"],
    "jump gone": ["-t nat -D PREROUTING 1"],
    "jump twice": ["-t nat -A PREROUTING -j NETAPPLY-PREROUTING"],
    "jump not first": ["-t mangle -I FORWARD 1 -s 10.9.9.9 -j DROP"],
    "jump elsewhere": ["-t mangle -A OUTPUT -j NETAPPLY-JUDGE"],
    "chain of our name": ["-t mangle -N NETAPPLY-MINE", "-t mangle -A NETAPPLY-MINE -j ACCEPT"],
    "rules out of order": [
        f"-t mangle -D NETAPPLY-SPOOFED {JUDGE_RULE}",
        f"-t mangle -A NETAPPLY-SPOOFED {JUDGE_RULE}",
    ],
    "rule twice": [f"-t mangle -A NETAPPLY-SPOOFED {JUDGE_RULE}"],
    "port of nobody": ["-t nat -A NETAPPLY-PORTS -p tcp --dport 7 -j DNAT --to-destination 1.1.1.1:1"],
    "unreadable": ["-t nat -A NETAPPLY-PORTS -p tcp -m multiport --dports 7,8 -m comment --comment shop/a1 -j RETURN"],
}


def test_drift_of_the_base(host: Host) -> None:
    wanted = State([BASE, *policies()])

    def work(firewall: Firewall) -> None:
        firewall.apply(diff(State(), wanted))
        before = save(host)
        for name, commands in BASE_DRIFT.items():
            for command in commands:
                host.run(["iptables-legacy", "-w", *command.split()])
            changes = diff(State(firewall.observe_policies()), wanted)
            assert [(type(change), change.key) for change in changes] == [(Update, BASE.key)], name
            firewall.apply(changes)
            assert State(firewall.observe_policies()) == wanted, name
            assert [line for line in save(host) if "10.9.9.9" not in line] == before, name

    in_host(host, work)


POLICY_DRIFT = {
    "rule of a port gone": ("iptables-legacy", "-t nat -D NETAPPLY-PORTS 1", {"shop/a1:127.0.0.1:8082/tcp"}),
    "rule of a network gone": ("iptables-legacy", "-t mangle -D NETAPPLY-JUDGE 1", {"shop/back:brback"}),
    "rule of a network gone, IPv6": ("ip6tables-legacy", "-t mangle -D NETAPPLY-JUDGE 1", {"shop/back:brback"}),
    "port sent elsewhere": (
        "iptables-legacy",
        "-t nat -R NETAPPLY-PORTS 1 -d 127.0.0.1 -p tcp --dport 8082 -m comment --comment shop/a1 -j DNAT --to 172.30.9.9",
        {"shop/a1:127.0.0.1:8082/tcp"},
    ),
}


def test_drift_of_a_policy(host: Host) -> None:
    wanted = State([BASE, *policies()])

    def work(firewall: Firewall) -> None:
        firewall.apply(diff(State(), wanted))
        for name, (program, command, keys) in POLICY_DRIFT.items():
            host.run([program, "-w", *command.split()])
            changes = diff(State(firewall.observe_policies()), wanted)
            assert {change.key.name for change in changes} - {BASE.key.name} == keys, name
            firewall.apply(changes)
            assert State(firewall.observe_policies()) == wanted, name

    in_host(host, work)


def test_everything_flushed_is_made_again(host: Host) -> None:
    wanted = State([BASE, *policies()])
    apply(host, diff(State(), wanted))
    before = save(host)
    for program in PROGRAMS:
        for table in ("mangle", "nat"):
            host.run([program, "-w", "-t", table, "-F"])
    changes = repair(host, wanted)
    assert len(changes) == len(wanted)
    assert save(host) == before


def test_repair_keeps_a_connection(lab: Lab) -> None:
    world = build(lab)
    wanted = State([BASE, *policies()])
    apply(world.host, diff(State(), wanted))
    connection = world.machines["outside"].connect("192.0.2.1", 8080)
    world.host.run(["iptables-legacy", "-w", "-t", "nat", "-F"])
    world.host.run(["iptables-legacy", "-w", "-t", "mangle", "-F"])
    repair(world.host, wanted)
    assert connection.alive()


def test_ports_that_change_places(host: Host) -> None:
    one = PublishedPort("shop", "shop/a1", "tcp", "0.0.0.0", 8080, "172.30.1.2", 80)
    two = replace(one, host_port=8081, target_port=81)
    apply(host, [Create(BASE), Create(one), Create(two)])
    other_one, other_two = replace(one, host_port=8081), replace(two, host_port=8080)
    apply(host, [Update(one, other_one), Update(two, other_two)])
    assert observed(host) == State([BASE, other_one, other_two])


def test_another_mark(host: Host) -> None:
    other = replace(BASE, mark=0x04000000)
    apply(host, [Create(BASE), Create(FRONT)])
    apply(host, [Update(BASE, other)])
    assert observed(host) == State([other, FRONT])


FOREIGN = """*nat
:PREROUTING ACCEPT [0:0]
:MINE - [0:0]
-A PREROUTING -i eth7 -p tcp -m tcp --dport 7000 -j MINE
-A POSTROUTING -s 10.66.0.0/24 ! -o eth7 -m comment --comment "not yours" -j MASQUERADE
-A MINE -p tcp -j DNAT --to-destination 10.66.0.2:70
COMMIT
*mangle
:FORWARD ACCEPT [0:0]
-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
COMMIT
"""


def test_rules_of_others_stay_as_they_are(host: Host) -> None:
    host.run(["iptables-legacy-restore"], stdin=FOREIGN)
    # What these tables hold besides is made by the first look; so that it is no difference, they are all made now.
    for program, tables in zip(PROGRAMS, (("raw",), ("mangle", "nat")), strict=True):
        for table in tables:
            host.run([program, "-t", table, "-S"])
    before = save(host)
    wanted = State([BASE, *policies()])
    apply(host, diff(State(), wanted))
    assert [line for line in save(host) if "NETAPPLY" not in line] == before
    apply(host, [Delete(resource) for resource in wanted])
    assert save(host) == before


WRITER = """
import os, pathlib, subprocess, sys
stop, *command = sys.argv[1:]
done = failed = 0
while not pathlib.Path(stop).exists():
    rule = ["-t", "nat", "-A", "PREROUTING", "-s", f"10.66.{done // 250}.{done % 250}", "-j", "RETURN"]
    if subprocess.run([*command, *rule], stderr=subprocess.DEVNULL).returncode:
        failed += 1
    else:
        done += 1
print(done, failed)
"""


@pytest.mark.parametrize("is_polite", [True, False], ids=["with-the-lock", "without-the-lock"])
def test_beside_another_writer(host: Host, *, is_polite: bool) -> None:
    """Somebody else adds rules all the time; of neither side one that was written is lost.

    Who waits for the lock (``iptables -w``) never fails; who ignores it may, but hears of it.
    """
    command = ["iptables-legacy", "-w"] if is_polite else ["env", "XTABLES_LOCKFILE=/run/other.lock", "iptables-legacy"]
    stop = host.folder / "stop"
    ports = [
        PublishedPort("shop", "shop/a1", "tcp", "0.0.0.0", 9000 + number, "172.30.1.2", 80) for number in range(30)
    ]

    def work(firewall: Firewall) -> tuple[int, int]:
        firewall.apply([Create(BASE), Create(FRONT)])
        writer = host.spawn(["python3", "-c", WRITER, str(stop), *command])
        until(lambda: any("10.66." in line for line in save(host)), "it writes")
        for port in ports:
            firewall.apply([Create(port)])
        for port in ports[::2]:
            firewall.apply([Delete(port)])
        stop.touch()
        said, _ = writer.communicate(timeout=30)
        assert State(firewall.observe_policies()) == State([BASE, FRONT, *ports[1::2]])
        done, failed = said.split()
        return int(done), int(failed)

    done, failed = in_host(host, work)
    # One that fails may have written its rule all the same: the kernel refused only the counters.
    assert done <= sum(line.startswith("-A PREROUTING -s 10.66.") for line in save(host)) <= done + failed
    assert done > 0
    if is_polite:
        assert failed == 0


def test_names_that_cannot_stand_in_a_rule_are_refused(host: Host) -> None:
    with pytest.raises(NetapplyError, match="any ending"):
        apply(host, [Create(BASE), Create(replace(FRONT, interface="br+"))])
    assert observed(host) == State()


def test_a_chain_that_others_lead_to_is_no_silent_failure(host: Host) -> None:
    apply(host, [Create(BASE), Create(FRONT)])
    host.run(["iptables-legacy", "-w", "-t", "nat", "-N", "MINE"])
    host.run(["iptables-legacy", "-w", "-t", "nat", "-A", "MINE", "-j", "NETAPPLY-PORTS"])
    with pytest.raises(NetapplyError, match="NETAPPLY-PORTS"):
        apply(host, [Delete(FRONT), Delete(BASE)])
