"""``sources:`` on a port: who may use it is judged before any translation, in both families and by both backends."""

from __future__ import annotations

import socket

import pytest

from tests.kernel.isolation import inside
from tests.kernel.lab import Host, Machine, Protocol

STACK = """
name: shop
networks: {{front: {{enable_ipv6: true{more}}}, back: {{enable_ipv6: true}}}}
services:
  web:
    networks: [front]
    ports:
      - {{target: 80, published: 8080, protocol: tcp{sources}}}
      - {{target: 80, published: 8080, protocol: udp{sources}}}
      - {{target: 81, published: 8081}}
  near: {{networks: [front]}}
  far: {{networks: [back]}}
"""
ONE = ", sources: [192.0.2.2, '2001:db8::2']"
BACKENDS = ["nftables", "iptables"]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    if request.param == "iptables":
        pytest.importorskip("iptc", reason="the extra netapply[iptables] is not installed")
    return str(request.param)


def up(host: Host, backend: str, sources: str, more: str = "") -> str:
    host.write("stack.yaml", STACK.format(sources=sources, more=more))
    said = host.netapply("--firewall", backend, "up", "stack.yaml").stdout
    assert host.plan("stack.yaml") == []
    return said


def reached(host: Host, asker: Machine, port: int = 8080) -> list[bool]:
    """By TCP, TCP over IPv6, UDP, UDP over IPv6."""
    protocols: tuple[Protocol, ...] = ("tcp", "udp")
    questions = [(asker, address, port, protocol) for protocol in protocols for address in (host.ipv4, host.ipv6)]
    return [answer is not None for answer in host.lab.ask_all(questions, timeout=1.5)]


def test_only_those_named_reach_the_port(host: Host, outside: Machine, backend: str) -> None:
    other = host.lab.machine("other")
    assert "from 192.0.2.2/32" in up(host, backend, ONE)
    web = host.container("web")
    web.serve(80, 81)
    everybody, nobody = [True] * 4, [False] * 4
    assert reached(host, outside) == everybody
    assert reached(host, other) == nobody
    assert reached(host, other, 8081) == [True, True, False, False]
    # Containers are others too, the host is not.
    assert reached(host, host.container("near")) == nobody
    assert reached(host, host.container("far")) == nobody
    assert reached(host, host) == everybody
    assert host.ask("127.0.0.1", 8080) is not None
    # Nor does the container's own address lead there.
    other.run(["ip", "route", "add", f"{web.ipv4}/32", "via", host.ipv4])
    assert other.ask(web.ipv4, 80, timeout=0.4) is None


def test_a_list_of_one_family_is_a_list(host: Host, outside: Machine, backend: str) -> None:
    up(host, backend, ", sources: [192.0.2.0/24]")
    host.container("web").serve(80)
    assert reached(host, outside) == [True, False, True, False]


def test_sources_change_live_and_cut_those_no_longer_allowed(host: Host, outside: Machine, backend: str) -> None:
    other = host.lab.machine("other")
    up(host, backend, "")
    web = host.container("web")
    web.serve(80, 81)
    mine, theirs = outside.connect(host.ipv4, 8080), other.connect(host.ipv4, 8080)
    own, unlimited = host.connect(host.ipv4, 8080), other.connect(host.ipv4, 8081)
    datagrams = inside(other.path, lambda: socket.socket(type=socket.SOCK_DGRAM))
    with datagrams:
        datagrams.settimeout(1.5)
        datagrams.sendto(b"?", (host.ipv4, 8080))
        assert datagrams.recv(99)
        host.write("stack.yaml", STACK.format(sources=ONE, more=""))
        plan = host.plan("stack.yaml")
        assert {change["action"] for change in plan} == {"update"}
        assert {change["disruption"] for change in plan} == {"none"}
        host.netapply("up", "stack.yaml")
        datagrams.sendto(b"?", (host.ipv4, 8080))
        with pytest.raises(TimeoutError):
            datagrams.recv(99)
    assert not theirs.alive(0.5)
    assert (mine.alive(), own.alive(), unlimited.alive()) == (True, True, True)
    assert reached(host, other) == [False] * 4
    up(host, backend, "")
    assert mine.alive()
    assert reached(host, other) == [True] * 4


def test_sources_of_a_network_without_translation(host: Host, outside: Machine, backend: str) -> None:
    other = host.lab.machine("other")
    routed = ", driver_opts: {com.docker.network.bridge.gateway_mode_ipv4: routed}"
    up(host, backend, ONE, routed)
    web = host.container("web")
    web.serve(80, 81)
    for machine in (outside, other):
        machine.run(["ip", "route", "add", f"{web.ipv4}/32", "via", host.ipv4])
    assert [outside.ask(web.ipv4, port, timeout=1.5) is not None for port in (80, 81)] == [True, True]
    assert [other.ask(web.ipv4, port, timeout=1.5) is not None for port in (80, 81)] == [False, True]
    assert host.ask(web.ipv4, 80) is not None


def test_a_changed_list_is_drift(host: Host, outside: Machine) -> None:
    up(host, "nftables", ONE)
    host.container("web").serve(80)
    host.run(["nft", "flush", "set", "inet", "netapply", "limited4_any"])
    host.run(["nft", "add", "element", "inet", "netapply", "sources4_any", "{ 192.0.2.3 . 6 . 8080 }"])
    assert host.plan("stack.yaml") != []
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []
    assert reached(host, host.lab.machine("other")) == [False] * 4
    assert reached(host, outside) == [True] * 4
