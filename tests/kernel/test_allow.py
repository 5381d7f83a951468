"""``allow:`` between networks: one way, by port or all, answers pass, everything else stays apart."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.kernel.isolation import inside
from tests.kernel.lab import Host, Machine, Protocol

STACK = """
name: shop
networks:
  front: {{enable_ipv6: true{allow}{front}}}
  back: {{enable_ipv6: true{back}}}
  side: {{enable_ipv6: true}}
services:
  web: {{networks: [front]}}
  both: {{networks: {{side: {{gw_priority: 10}}, front: }}}}
  db: {{networks: [back]}}
  lone: {{networks: [side]}}
"""
ALL = ", allow: [back]"
INTERNAL = ", internal: true"
PORTS = ", allow: [{network: back, ports: [5432/tcp, 6000-6010/udp]}]"


def up(host: Host, allow: str, front: str = "", back: str = "") -> None:
    host.write("stack.yaml", STACK.format(allow=allow, front=front, back=back))
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []


def reached(asker: Machine, target: Machine, port: int = 5432, protocol: str = "tcp") -> list[bool]:
    kind: Protocol = "udp" if protocol == "udp" else "tcp"
    answers = asker.lab.ask_all([(asker, address, port, kind) for address in (target.ipv4, target.ipv6)], timeout=1.5)
    return [answer is not None for answer in answers]


def containers(host: Host) -> tuple[Machine, ...]:
    found = tuple(host.container(name) for name in ("web", "both", "db", "lone"))
    for machine in found:
        machine.serve(5432, 6000, 80)
    return found


@pytest.mark.parametrize(
    ("front", "back"),
    [
        ("", INTERNAL),
        (INTERNAL, ""),
        pytest.param("", "", marks=pytest.mark.long),
        pytest.param(INTERNAL, INTERNAL, marks=pytest.mark.long),
    ],
)
def test_one_network_may_reach_another_and_nothing_else(host: Host, outside: Machine, front: str, back: str) -> None:
    before = host.snapshot()
    up(host, ALL, front, back)
    web, both, db, lone = containers(host)
    assert reached(web, db) == [True, True]
    assert reached(web, db, 6000, "udp") == [True, True]
    # A container on two networks goes by the one that is allowed.
    assert reached(both, db) == [True, True]
    assert reached(db, web) == [False, False]
    assert reached(lone, db) == reached(web, lone) == [False, False]
    # The other side sees who asks.
    answer = web.ask(db.ipv4, 5432)
    assert answer is not None
    assert answer.peer_address == web.ipv4
    # Internal networks still have no outside.
    outside.serve(7000)
    assert (web.ask(outside.ipv4, 7000, timeout=0.4) is None) == bool(front)
    assert (db.ask(outside.ipv4, 7000, timeout=0.4) is None) == bool(back)
    for machine in (web, db):
        outside.run(["ip", "route", "add", f"{machine.ipv4}/32", "via", host.ipv4])
        assert outside.ask(machine.ipv4, 80, timeout=0.4) is None
    host.netapply("down", "-p", "shop")
    assert host.snapshot() == before


@pytest.mark.parametrize("back", ["", INTERNAL])
def test_only_some_ports(host: Host, back: str) -> None:
    up(host, PORTS, back=back)
    web, _, db, _ = containers(host)
    assert reached(web, db) == [True, True]
    assert reached(web, db, 5432, "udp") == [False, False]
    assert reached(web, db, 6000, "udp") == [True, True]
    assert reached(web, db, 80) == [False, False]
    assert reached(db, web) == [False, False]


@pytest.mark.parametrize("back", ["", INTERNAL])
def test_it_ends_live_and_cuts_what_flowed(host: Host, back: str) -> None:
    up(host, ALL, back=back)
    web, both, db, _ = containers(host)
    kept, cut, neighbour = web.connect(db.ipv4, 5432), web.connect(db.ipv4, 80), both.connect(web.ipv4, 80)
    datagrams = inside(Path(web.path), lambda: socket.socket(type=socket.SOCK_DGRAM))
    with datagrams:
        datagrams.settimeout(1.5)
        datagrams.sendto(b"?", (db.ipv4, 80))
        assert datagrams.recv(99)
        up(host, PORTS, back=back)
        datagrams.sendto(b"?", (db.ipv4, 80))
        with pytest.raises(TimeoutError):
            datagrams.recv(99)
    assert not cut.alive(0.5)
    assert kept.alive()
    up(host, "", back=back)
    assert not kept.alive(0.5)
    assert neighbour.alive()
    assert reached(web, db) == [False, False]


def test_drift_heals(host: Host) -> None:
    up(host, PORTS)
    web, _, db, _ = containers(host)
    host.run(["nft", "flush", "set", "inet", "netapply", "allowed_ports"])
    assert reached(web, db) == [False, False]
    assert host.plan("stack.yaml") != []
    host.netapply("up", "stack.yaml")
    assert reached(web, db) == [True, True]
    host.run(["nft", "add", "element", "inet", "netapply", "allowed", '{ "eth0" . "eth1" }'])
    assert host.plan("stack.yaml") != []
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []


def test_a_network_of_another_stack(host: Host) -> None:
    host.write("other.yaml", "name: data\nnetworks: {default: {}}\nservices: {db: {}, client: {}}\n")
    host.netapply("up", "other.yaml")
    host.write(
        "stack.yaml",
        "name: shop\nnetworks: {front: {allow: [data]}, data: {external: true, name: data_default}}\n"
        "services: {web: {networks: [front]}, app: {networks: [data]}}\n",
    )
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []
    db = host.container("db")
    db.serve(80)
    assert host.container("web").ask(db.ipv4, 80) is not None
    host.netapply("down", "-p", "shop")
    assert host.plan("other.yaml") == []


def test_without_nftables_it_is_refused_with_its_line(host: Host) -> None:
    pytest.importorskip("iptc", reason="the extra netapply[iptables] is not installed")
    host.write("stack.yaml", STACK.format(allow=ALL, front="", back=""))
    done = host.netapply("--firewall", "iptables", "plan", "stack.yaml", check=False)
    assert done.returncode == 1
    assert "stack.yaml:4:" in done.stderr
    assert "allow of network front is not possible with the iptables backend" in done.stderr


def test_answers_come_back_from_another_stack_s_internal_network_whichever_stack_is_run(host: Host) -> None:
    host.write(
        "owner.yaml",
        "name: data\nnetworks: {shared: {name: shared, internal: true}}\ncontainers: {db: {networks: [shared]}}\n",
    )
    host.write(
        "stack.yaml",
        "name: shop\nnetworks: {n: {allow: [shared]}, shared: {external: true}}\ncontainers: {web: {networks: [n]}}\n",
    )
    host.netapply("up", "owner.yaml")
    told = host.netapply("up", "stack.yaml", check=False)
    assert "stack.yaml:2:24: error: network shop_n allows network shared, but data/db has no route back" in told.stderr
    host.netapply("up", "owner.yaml", "stack.yaml")
    for run in ("owner.yaml", "stack.yaml"):
        assert host.plan(run) == []
        host.netapply("up", run)
    db = host.container("db")
    db.serve(80)
    assert host.container("web").ask(db.ipv4, 80) is not None
    told = host.netapply("down", "-p", "data", check=False)
    assert "network shared is in use by network shop_n" in told.stderr
