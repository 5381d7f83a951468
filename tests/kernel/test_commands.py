"""``plan --commands``: run by a shell, the lines make what ``up`` makes (S3-25)."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from reconciler.kernel import host as hosts
from reconciler.kernel.machine import Machine
from reconciler.state import Kind, State
from tests.kernel.isolation import inside
from tests.kernel.lab import Host
from tests.kernel.lab import Machine as Neighbour
from tests.kernel.snapshot import identity, processes_in

SHOP = """
name: shop
networks:
  front:
    enable_ipv6: true
    ipam: {config: [{subnet: 172.30.1.0/24}, {subnet: fd30::/64}]}
  back:
    internal: true
    driver_opts: {com.docker.network.bridge.enable_icc: "false"}
    ipam: {config: [{subnet: 172.30.2.0/24}]}
containers:
  web:
    networks:
      front: {ipv4_address: 172.30.1.10, ipv6_address: "fd30::10"}
      back: {}
    ports: ["8080:80", "127.0.0.1:9000-9002:9000-9002", "53/udp"]
    sysctls: {net.ipv4.ip_default_ttl: 17}
  database:
    networks: [back]
"""
CHANGED = (
    SHOP.replace("8080:80", "8081:80")
    .replace(", back: {}", "")
    .replace("172.30.1.10", "172.30.1.11")
    .replace("    internal: true\n", "")
    .replace("      back: {}\n", "")
    + "  late: {networks: [front]}\n"
)
OF_EVERYTHING = """
name: all
networks:
  front:
    allow: [{network: back, ports: [5432/tcp]}]
    ipam: {config: [{subnet: 172.30.1.0/24}]}
  back:
    ipam: {config: [{subnet: 172.30.2.0/24}]}
  lan:
    driver: macvlan
    driver_opts: {parent: eth0}
    host_address: 192.0.2.100
    ipam: {config: [{subnet: 192.0.2.0/24, ip_range: 192.0.2.128/25, gateway: 192.0.2.254}]}
containers:
  web:
    networks: [front]
    ports: [{target: 80, published: 8080, sources: [192.0.2.0/24]}]
    links: [store]
  side: {network_mode: "service:web"}
  machine: {network_mode: host, open: [{port: 80, sources: [192.0.2.0/24]}, 443/tcp]}
  store: {networks: [front, back], extra_hosts: ["www.rayx.me:198.51.100.12"]}
  vpn: {networks: {front: {}, back: {gw_priority: 1}}}
  client:
    networks:
      front:
        gateway: service:vpn
        routes: [{to: 10.20.0.0/16, via: 172.30.1.1}, {to: 10.66.0.0/16, type: blackhole}]
  both: {networks: [lan, front], ports: ["8081:80"]}
  plain: {network_mode: bridge, floating_ip: 192.0.2.50, egress_ip: 192.0.2.1}
"""
_NOT_BY_HAND = {
    Kind.AGENT,  # the agent is no tool's
    Kind.PROCESS,
    Kind.ROUTER,  # known from netapply's record of forwarding; compared as the kernel has it instead
    Kind.SYSCTL,  # known from netapply's record of what was before; compared as the kernel has them instead
}


def observed(host: Host) -> State:
    """What netapply sees on the host, of what tools can make."""

    def look() -> State:
        machine = Machine(hosts.Host(host.name, str(hosts.cookie())))
        try:
            return machine.observe().state
        finally:
            machine._firewall.close()

    return State(each for each in inside(host.path, look) if each.key.kind not in _NOT_BY_HAND)


def settings(host: Host) -> dict[str, tuple[str, ...]]:
    """All sysctls of the host and of its containers."""
    everywhere = {name: host.container(name) for name in (each["name"] for each in host.ps())}
    return {name: each.snapshot().sections["sysctls"] for name, each in {"": host, **everywhere}.items()}


def commands(host: Host, *arguments: str) -> str:
    """The lines of a plan, which has something to do."""
    done = host.netapply(*arguments, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    return done.stdout


def run(host: Host, text: str) -> None:
    """The lines in a shell, which ends at the first that fails."""
    done = host.run(["sh", "-eu"], stdin=text, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, ""), f"{done.stderr}\n{text}"


def end_agent(host: Host) -> None:
    """What only netapply can do: an agent's sockets would keep the namespaces alive."""
    (agent,) = (pid for pid, words in processes_in({identity(host.path)}) if "reconciler.agent" in words)
    os.kill(agent, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while any(pid == agent for pid, _ in processes_in({identity(host.path)})):
        assert time.monotonic() < deadline, "the agent does not end"
        time.sleep(0.02)


@pytest.mark.timeout(400)
@pytest.mark.founding("S1-32", "S3-25")
@pytest.mark.parametrize("backend", ["nftables", "iptables"])
def test_the_commands_make_what_up_makes(host: Host, outside: Neighbour, backend: str) -> None:
    words = ("--firewall", backend)
    host.write("shop.yaml", SHOP)
    run(host, commands(host, *words, "plan", "--commands", "shop.yaml"))
    by_hand, set_by_hand = observed(host), settings(host)
    left = json.loads(host.netapply(*words, "plan", "--format", "json", "shop.yaml", check=False).stdout)
    assert {Kind(each["kind"]) for each in left["changes"]} <= _NOT_BY_HAND
    host.container("web").serve(80)
    answer = outside.ask(host.ipv4, 8080)
    assert answer is not None
    assert answer.name == "web"

    host.netapply(*words, "down", "-p", "shop")
    assert len(observed(host)) == 0
    host.netapply(*words, "up", "shop.yaml")
    assert observed(host) == by_hand
    assert settings(host) == set_by_hand


@pytest.mark.parametrize("backend", ["nftables", "iptables"])
def test_commands_change_what_stands(host: Host, backend: str) -> None:
    words = ("--firewall", backend)
    host.write("shop.yaml", SHOP)
    host.netapply(*words, "up", "shop.yaml")
    host.write("shop.yaml", CHANGED)
    text = commands(host, *words, "plan", "--commands", "shop.yaml")
    run(host, text)
    by_hand = observed(host)
    host.netapply(*words, "up", "shop.yaml")
    assert observed(host) == by_hand, text


@pytest.mark.parametrize(("old", "new"), [("nftables", "iptables"), ("iptables", "nftables")])
def test_commands_move_the_rules_to_another_backend(host: Host, old: str, new: str) -> None:
    host.write("shop.yaml", SHOP)
    host.netapply("--firewall", old, "up", "shop.yaml")
    run(host, commands(host, "--firewall", new, "plan", "--commands", "shop.yaml"))
    by_hand = observed(host)
    host.netapply("--firewall", new, "up", "shop.yaml")
    assert observed(host) == by_hand


def test_commands_take_a_stack_away_and_mend_what_was_flushed(host: Host) -> None:
    host.write("shop.yaml", SHOP)
    host.netapply("up", "shop.yaml")
    host.run(["nft", "flush", "chain", "inet", "netapply", "judge"])
    host.run(["nft", "delete", "element", "inet", "netapply", "ports4_any", "{ 6 . 8080 }"])
    run(host, commands(host, "plan", "--commands", "shop.yaml"))
    assert host.plan("shop.yaml") == []
    host.write("shop.yaml", "name: shop\ncontainers: {}\n")
    text = commands(host, "plan", "--commands", "shop.yaml")
    end_agent(host)
    run(host, text)
    assert len(observed(host)) == 0


@pytest.mark.timeout(400)  # some eighty commands by hand, and everything of every kind twice
@pytest.mark.founding("S3-25")
def test_commands_make_one_of_everything(host: Host) -> None:
    host.write("all.yaml", OF_EVERYTHING)
    run(host, commands(host, "plan", "--commands", "all.yaml"))
    by_hand, seen = observed(host), inside_all(host)
    host.netapply("down", "-p", "all")
    host.run(["ip", "address", "del", "192.0.2.50/32", "dev", "eth0"], check=False)
    host.netapply("up", "all.yaml")
    assert observed(host) == by_hand
    assert inside_all(host) == seen


def inside_all(host: Host) -> dict[str, tuple[str, ...]]:
    """Rules, addresses and routes in every container, whoever made them, and the host's addresses."""
    found = {}
    for each in host.ps():
        # What the agent answers names with is not made by hand.
        shown = host.container(each["name"]).snapshot().sections["routes"]
        rules = host.container(each["name"]).run(["nft", "-s", "list", "tables"]).stdout.splitlines()
        found[each["name"]] = (*shown, *(line for line in rules if "netapply_router" in line))
    addresses = json.loads(host.run(["ip", "-j", "-4", "address", "show", "dev", "eth0"]).stdout)
    found[""] = tuple(sorted(a["local"] for a in addresses[0]["addr_info"]))
    return found


def test_environment_values_do_not_stand_among_the_commands(host: Host) -> None:
    host.write("job.yaml", "name: job\ncontainers: {it: {command: [sleep, '9'], environment: {PASSWORD: canary}}}\n")
    text = commands(host, "plan", "--commands", "job.yaml")
    assert "PASSWORD" in text
    assert "canary" not in text


def test_where_nothing_is_to_do_and_where_json_is_asked_for(host: Host) -> None:
    host.write("shop.yaml", "name: shop\ncontainers: {a: {}}\n")
    host.netapply("up", "shop.yaml")
    assert host.netapply("plan", "--commands", "shop.yaml").stdout == "# Nothing to do.\n"
    done = host.netapply("plan", "--commands", "--format", "json", "shop.yaml", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "--commands" in done.stderr


def test_commands_mend_the_chains_of_iptables(host: Host) -> None:
    words = ("--firewall", "iptables")
    host.write("shop.yaml", SHOP)
    host.netapply(*words, "up", "shop.yaml")
    host.run(["iptables-legacy", "-t", "mangle", "-D", "NETAPPLY-JUDGE", "1"])
    host.run(["iptables-legacy", "-t", "nat", "-I", "PREROUTING", "-j", "NETAPPLY-PORTS"])
    host.run(["ip6tables-legacy", "-t", "nat", "-F", "OUTPUT"])
    run(host, commands(host, *words, "plan", "--commands", "shop.yaml"))
    assert host.netapply(*words, "plan", "shop.yaml").stdout == "Nothing to do.\n"
