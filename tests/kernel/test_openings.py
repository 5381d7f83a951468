"""``open:`` for containers in host mode: the host's own INPUT chain, in every engine, lets them in and nobody else."""

from __future__ import annotations

import pytest

from tests.kernel.lab import Host, Machine

STACK = """
name: shop
services:
  web: {network_mode: host, open: [80/tcp]}
  app: {network_mode: host, open: [80/tcp, {port: 8080-8090, sources: [192.0.2.2, 2001:db8::/64]}]}
"""

TUTORIAL = [
    "-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT",
    "-A INPUT -p {icmp} -j ACCEPT",
    "-A INPUT -i lo -j ACCEPT",
    "-A INPUT -p tcp --dport 22 -j ACCEPT",
    "-A INPUT -j REJECT",
]
"""The INPUT chain of the tutorial's host: what is to be reached goes before its last rule."""

NATIVE = """table inet mine {
  chain input { type filter hook input priority 0; policy accept; ct state established,related accept; jump rest; }
  chain rest { iifname "lo" accept; meta l4proto { icmp, ipv6-icmp } accept; tcp dport 22 accept; reject; }
}"""
ENGINES = ["iptables-nft", "iptables-legacy", "nft"]


def close_host(host: Host, engine: str) -> None:
    if engine == "nft":
        host.run(["nft", "-f", "-"], stdin=NATIVE.replace("; ", "\n").replace("{ type", "{\ntype"))
        return
    for program in (engine, engine.replace("iptables", "ip6tables")):
        for rule in TUTORIAL:
            icmp = "icmpv6" if "6" in program else "icmp"
            host.run([program, "-w", *rule.format(icmp=icmp).split()])


def rules(host: Host, engine: str) -> str:
    if engine == "nft":
        return host.run(["nft", "-a", "list", "table", "inet", "mine"]).stdout
    programs = (engine, engine.replace("iptables", "ip6tables"))
    return "".join(host.run([program, "-w", "-S"]).stdout for program in programs)


def reached(host: Host, asker: Machine, port: int) -> list[bool]:
    return [asker.ask(address, port, timeout=3.0) is not None for address in (host.ipv4, host.ipv6)]


@pytest.mark.founding("S0-16", "S2-11", "S2-13", "S2-15")
@pytest.mark.parametrize("engine", ENGINES)
def test_an_opening_goes_before_the_first_reject_and_vanishes(host: Host, outside: Machine, engine: str) -> None:
    """S0-16, S2-11, S2-13, S2-15."""
    host.serve(22, 80, 8081, 9000)
    close_host(host, engine)
    before = rules(host, engine)
    assert reached(host, outside, 80) == [False, False]
    host.write("stack.yaml", STACK)
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []
    assert reached(host, outside, 80) == [True, True]
    assert reached(host, outside, 22) == [True, True]
    assert reached(host, outside, 9000) == [False, False]
    lines = rules(host, engine).splitlines()
    ours = next(number for number, line in enumerate(lines) if "netapply" in line)
    first = next(number for number, line in enumerate(lines) if "reject" in line.lower() or "jump rest" in line)
    assert ours == first - 1
    host.netapply("down", "-p", "shop")
    assert rules(host, engine) == before
    assert reached(host, outside, 80) == [False, False]


@pytest.mark.founding("S2-27")
@pytest.mark.parametrize("backend", ["nftables", "iptables"])
def test_sources_of_an_opening(host: Host, outside: Machine, backend: str) -> None:
    """S2-27: who may come is said, and holds."""
    if backend == "iptables":
        pytest.importorskip("iptc", reason="the extra netapply[iptables] is not installed")
    other = host.lab.machine("other")
    host.serve(8085)
    close_host(host, "iptables-nft")
    host.write("stack.yaml", STACK)
    plan = host.netapply("plan", "stack.yaml", check=False).stdout
    assert "open 80/tcp of the host, any source, any destination" in plan
    assert "open 8080-8090/tcp of the host, from 192.0.2.2/32, 2001:db8::/64, any destination" in plan
    host.netapply("--firewall", backend, "up", "stack.yaml")
    assert host.plan("stack.yaml") == []
    assert reached(host, outside, 8085) == [True, True]
    assert reached(host, other, 8085) == [False, True]


@pytest.mark.founding("S2-22")
def test_one_of_two_openings_of_a_port_goes(host: Host, outside: Machine) -> None:
    """S2-22: two containers, each with an address of the host, open the same port."""
    host.serve(80)
    close_host(host, "iptables-nft")
    host.write("stack.yaml", STACK)
    host.write("other.yaml", "name: blog\nservices: {web: {network_mode: host, open: [80-90/tcp]}}\n")
    host.netapply("up", "stack.yaml")
    host.netapply("up", "other.yaml")
    connection = outside.connect(host.ipv4, 80)
    host.netapply("down", "-p", "shop")
    assert host.plan("other.yaml") == []
    assert reached(host, outside, 80) == [True, True]
    host.netapply("down", "-p", "blog")
    assert reached(host, outside, 80) == [False, False]
    assert not connection.alive(0.5)


@pytest.mark.parametrize("backend", ["nftables", "iptables"])
def test_a_firewall_that_is_loaded_later_is_drift(host: Host, outside: Machine, backend: str) -> None:
    if backend == "iptables":
        pytest.importorskip("iptc", reason="the extra netapply[iptables] is not installed")
    host.serve(80)
    host.write("stack.yaml", STACK)
    host.netapply("--firewall", backend, "up", "stack.yaml")
    assert "mark" not in host.run(["iptables-save"]).stdout
    assert reached(host, outside, 80) == [True, True]
    for engine in ("iptables-nft", "iptables-legacy"):
        close_host(host, engine)
    assert reached(host, outside, 80) == [False, False]
    changes = host.plan("stack.yaml")
    assert [change["action"] for change in changes] == ["create"] * 4
    host.netapply("up", "stack.yaml")
    assert reached(host, outside, 80) == [True, True]
    # Somebody puts a rule before it, and takes the rest away.
    host.run(["iptables-nft", "-w", "-I", "INPUT", "-i", "eth0", "-p", "tcp", "-j", "REJECT"])
    host.run(["iptables-nft", "-w", "-I", "INPUT", "-s", "192.0.2.77", "-j", "DROP"])
    assert not reached(host, outside, 80)[0]
    host.netapply("up", "stack.yaml")
    assert reached(host, outside, 80) == [True, True]
    listed = host.run(["iptables-nft", "-w", "-S", "INPUT"]).stdout.splitlines()
    assert [("192.0.2.77" in line, "netapply" in line) for line in listed[1:3]] == [(True, False), (False, True)]
    for engine in ("iptables-nft", "iptables-legacy"):
        for program in (engine, engine.replace("iptables", "ip6tables")):
            host.run([program, "-w", "-F", "INPUT"])
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []


@pytest.mark.parametrize(("rule", "needs"), [("-s 10.0.0.0/8 -j DROP", False), ("-i eth0 -p tcp -j DROP", True)])
def test_only_what_could_drop_anybody_calls_for_a_rule(host: Host, rule: str, *, needs: bool) -> None:
    host.run(["iptables-nft", "-w", "-A", "INPUT", *rule.split()])
    host.write("stack.yaml", STACK)
    host.netapply("up", "stack.yaml")
    assert ("netapply" in host.run(["iptables-nft", "-w", "-S"]).stdout) == needs


def test_without_host_rule_there_is_a_warning(host: Host) -> None:
    close_host(host, "iptables-nft")
    host.write("stack.yaml", STACK)
    done = host.netapply("up", "--no-host-rule", "stack.yaml")
    assert "INPUT" in done.stdout + done.stderr
    assert "netapply" not in host.run(["iptables-nft", "-w", "-S"]).stdout


@pytest.mark.founding("S0-15", "S2-08", "S2-12")
def test_the_host_mode_needs_no_mapping_and_leaves_nothing(host: Host) -> None:
    """S0-15, S2-12: no translation is made for a container in host mode."""
    before = host.snapshot()
    host.write("stack.yaml", STACK)
    host.netapply("up", "stack.yaml")
    listed = host.run(["nft", "list", "map", "inet", "netapply", "ports4_any"]).stdout
    assert "elements" not in listed
    host.netapply("down", "-p", "shop")
    assert host.snapshot() == before
