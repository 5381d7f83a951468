"""Who reaches whom, through the product itself: the cases of `reachability`, on a host that `netapply up` made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.firewall.policy import PublishedPort
from tests.kernel import reachability, talk
from tests.kernel.changes import assert_unchanged
from tests.kernel.lab import Host, Lab, Machine
from tests.kernel.reachability import HOST_SERVICE, NET_OF, NETS, SERVICE, World

BACKENDS = ["nftables", "iptables"]
SWITCHES = ("net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables")


def manifest() -> str:
    """The networks, members and ports of `reachability` as a manifest (JSON is YAML)."""
    networks = {net.policy.network.partition("/")[2]: _network(net) for net in NETS}
    containers = {
        member: {
            "networks": {
                net.policy.network.partition("/")[2]: {
                    "ipv4_address": net.address(member, 4),
                    "ipv6_address": net.address(member, 6),
                }
            },
            "ports": [_port(port) for port in _ports(member)],
        }
        for net in NETS
        for member in net.members
    }
    return json.dumps({"name": reachability.STACK, "networks": networks, "containers": containers}, indent=1)


def _network(net: reachability.Net) -> dict[str, object]:
    policy = net.policy
    options = {
        "bridge.name": policy.interface,
        "bridge.enable_icc": json.dumps(policy.icc),
        "bridge.enable_ip_masquerade": json.dumps(policy.masquerade4 or policy.internal),
        "bridge.gateway_mode_ipv4": policy.mode4,
        "bridge.gateway_mode_ipv6": policy.mode6,
        "bridge.trusted_host_interfaces": ":".join(policy.trusted_interfaces),
    }
    return {
        "internal": policy.internal,
        "enable_ipv6": True,
        "ipam": {"config": [{"subnet": subnet} for subnet in policy.subnets]},
        "driver_opts": {f"com.docker.network.{key}": value for key, value in options.items() if value},
    }


def _ports(member: str) -> Iterator[PublishedPort]:
    for policy in reachability.policies():
        if isinstance(policy, PublishedPort) and policy.container == f"{reachability.STACK}/{member}":
            yield policy


def _port(port: PublishedPort) -> str:
    # Two entries for the two wildcards, which Compose would write as one.
    if port.routed:
        return f"{port.target_port}/{port.protocol}"
    host = f"[{port.host_address}]" if ":" in port.host_address else port.host_address
    return f"{host}:{port.host_port}:{port.target_port}/{port.protocol}"


def build(lab: Lab, backend: str, *, drop: bool, bridge_netfilter: bool) -> World:
    """The world of `reachability`, made by netapply on a host with that FORWARD policy and those switches."""
    host, outside = lab.host(), lab.machine("outside")
    for switch in SWITCHES:
        host.sysctl(switch, str(int(bridge_netfilter)))
    if drop:
        for program in ("iptables", "ip6tables"):
            host.run([program, "-w", "-P", "FORWARD", "DROP"])
    host.write("stack.yaml", manifest())
    host.netapply("--firewall", backend, "up", "stack.yaml")
    pins = {each["name"]: Path(each["netns"]) for each in host.ps()}
    members = {name: Machine(lab, name, pins[name]) for name in NET_OF}
    machines = {"host": host, "outside": outside, **members}
    outside.run(["ip", "-batch", "-"], stdin="\n".join(reachability._outside_lines(host)))
    outside.sysctl("net/ipv4/conf/all/route_localnet", "1")
    # A container that tries to reach the host's loopback services.
    lines = ["route del local 127.0.0.0/8 table local", "route del local 127.0.0.1 table local"]
    lines += [f"route add 127.0.0.0/8 via {NET_OF['a2'].address('gateway', 4)}"]
    members["a2"].run(["ip", "-batch", "-"], stdin="\n".join(lines))
    host.serve(HOST_SERVICE, addresses=("127.0.0.1", "::1"))
    for machine in (outside, *members.values()):
        machine.serve(SERVICE)
    for member in ("a1", "r1"):
        members[member].serve(SERVICE + 1)
    return World(host, machines)


def needs(backend: str) -> None:
    """Skip where the backend's library is not installed."""
    if backend == "iptables":
        pytest.importorskip("iptc", reason="the extra netapply[iptables] is not installed")


@pytest.mark.founding("S1-19", "S1-30", "S1-33", "S1-34")
@pytest.mark.parametrize("bridge_netfilter", [False, True], ids=["bridge-nf-0", "bridge-nf-1"])
@pytest.mark.parametrize("drop", [False, True], ids=["accept", "drop"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_case(lab: Lab, backend: str, *, drop: bool, bridge_netfilter: bool) -> None:
    needs(backend)
    world = build(lab, backend, drop=drop, bridge_netfilter=bridge_netfilter)
    found = reachability.failures(lab, world, reachability.cases())
    assert not found, "\n".join(found)
    assert world.host.plan("stack.yaml") == []


PORTS = """
name: shop
networks:
  front: {enable_ipv6: true}
containers:
  web:
    networks: [front]
    ports: [%s]
  app:
    networks: [front]
"""


def published(host: Host) -> dict[tuple[int, str], int]:
    """The host ports of ``web`` by target port and protocol."""
    (web,) = [each for each in host.ps() if each["name"] == "web"]
    return {(port["target"], port["protocol"]): port["published"] for port in web["ports"]}


@pytest.mark.founding("S1-07", "S4-17", "S4-22", "S4-24")
@pytest.mark.parametrize("backend", BACKENDS)
def test_dynamic_ports_ranges_and_one_address(lab: Lab, backend: str) -> None:
    needs(backend)
    host, outside = lab.host(), lab.machine("outside")
    host.run(["ip", "address", "add", "192.0.2.200/24", "dev", "eth0"])
    before = host.snapshot()
    wanted = '"80", "81/udp", "9000-9002:90-92", "9100-9110:93", "192.0.2.200:9200:94", "127.0.0.1:9300:95"'
    host.write("stack.yaml", PORTS % wanted)
    host.netapply("--firewall", backend, "up", "stack.yaml")
    ports = published(host)
    low, high = (int(word) for word in host.sysctl("net/ipv4/ip_local_port_range").split())
    assert low <= ports[80, "tcp"] <= high
    assert low <= ports[81, "udp"] <= high
    assert [ports[target, "tcp"] for target in (90, 91, 92)] == [9000, 9001, 9002]
    assert ports[93, "tcp"] in range(9100, 9111)
    server = host.container("web").serve(80, 81, 90, 91, 92, 93, 94, 95)
    for address in (host.ipv4, host.ipv6):
        for (target, protocol), port in ports.items():
            if target < 94:
                assert outside.ask(address, port, "tcp" if protocol == "tcp" else "udp") is not None, (address, target)
    assert outside.ask("192.0.2.200", 9200) is not None
    assert outside.ask(host.ipv4, 9200, timeout=0.3) is None
    assert host.ask("127.0.0.1", 9300) is not None
    assert outside.ask(host.ipv4, 9300, timeout=0.3) is None
    server.close()
    host.netapply("down", "stack.yaml")
    assert_unchanged(before, host.snapshot())


@pytest.mark.founding("S0-13")
@pytest.mark.parametrize("backend", BACKENDS)
def test_removing_or_moving_a_port_cuts_what_went_through_it_and_nothing_else(lab: Lab, backend: str) -> None:
    needs(backend)
    host, outside = lab.host(), lab.machine("outside")
    ports = '"8080:80", "8081:81", "8082:82", "5300:53/udp", "5301:54/udp"'
    host.write("stack.yaml", PORTS % ports)
    host.netapply("--firewall", backend, "up", "stack.yaml")
    host.container("web").serve(53, 54, 80, 81, 82)
    stays, goes, moves = (outside.connect(host.ipv4, port) for port in (8080, 8081, 8082))
    goes6 = outside.connect(host.ipv6, 8081)
    for port in (5300, 5301):
        assert outside.ask(host.ipv4, port, "udp") is not None
    host.write("stack.yaml", PORTS % '"8080:80", "9082:82", "5300:53/udp"')
    host.netapply("up", "stack.yaml")
    assert stays.alive()
    assert not goes.alive(0.5)
    assert not goes6.alive(0.5)
    assert not moves.alive(0.5)
    assert outside.ask(host.ipv4, 9082) is not None
    flows = host.run(["conntrack", "-L", "-p", "udp"]).stdout
    assert "dport=5300" in flows
    assert "dport=5301" not in flows


def test_a_client_that_keeps_its_port_follows_a_udp_port_that_moves(lab: Lab) -> None:
    host, outside = lab.host(), lab.machine("outside")
    host.write("stack.yaml", PORTS % '"5300:53/udp"')
    host.netapply("up", "stack.yaml")
    host.container("web").serve(53)
    host.container("app").serve(53)
    client = talk.connected(outside.path, host.ipv4, 5300, "udp", timeout=3.0)
    lab.at_end(client.close)

    def ask() -> str:
        client.send(b"?")
        return client.recv(100).decode().split()[0]

    assert ask() == "web"
    moved = (PORTS % "").replace("  app:\n", '  app:\n    ports: ["5300:53/udp"]\n')
    host.write("stack.yaml", moved)
    host.netapply("up", "stack.yaml")
    assert ask() == "app"


def test_a_network_made_internal_ends_what_flows(lab: Lab) -> None:
    host, outside = lab.host(), lab.machine("outside")
    text = "name: shop\nnetworks:\n  front: {internal: %s}\ncontainers:\n  web: {networks: [front]}\n"
    host.write("stack.yaml", text % "false")
    host.netapply("up", "stack.yaml")
    outside.serve(80)
    kept = host.container("web").connect(outside.ipv4, 80)
    assert kept.alive()
    host.write("stack.yaml", text % "true")
    host.netapply("up", "stack.yaml")
    assert not kept.alive(0.5)
    assert host.container("web").ask(outside.ipv4, 80, timeout=0.3) is None
    host.write("stack.yaml", text % "false")
    host.netapply("up", "stack.yaml")
    assert host.container("web").ask(outside.ipv4, 80) is not None


@pytest.mark.founding("S1-11", "S1-28")
def test_without_the_host_rule_a_dropping_host_is_warned_of(lab: Lab) -> None:
    host, outside = lab.host(), lab.machine("outside")
    host.run(["iptables", "-w", "-P", "FORWARD", "DROP"])
    host.write("stack.yaml", "name: shop\ncontainers:\n  web: {ports: ['8080:80']}\n")
    said = host.netapply("up", "--no-host-rule", "stack.yaml")
    assert "warning" in said.stderr
    assert "FORWARD" in said.stderr
    host.container("web").serve(80)
    assert outside.ask(host.ipv4, 8080, timeout=0.5) is None
    host.netapply("up", "stack.yaml")
    assert outside.ask(host.ipv4, 8080) is not None
