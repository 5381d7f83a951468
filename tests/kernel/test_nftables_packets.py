"""The nftables backend with real packets."""

from __future__ import annotations

import socket
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.firewall.flows import flow_of, untranslated
from reconciler.firewall.foreign import observed_accepts, wanted_accepts
from reconciler.firewall.nftables_layout import PATH
from reconciler.firewall.policy import PublishedPort
from reconciler.kernel import conntrack
from reconciler.plan.change import Create, Delete, Update
from reconciler.plan.diff import diff
from reconciler.state import State
from tests.kernel.isolation import inside
from tests.kernel.lab import Lab, Machine
from tests.kernel.nftables_host import BASE, apply, foreign, nft, repair
from tests.kernel.reachability import NET_OF, NETS, World, build, cases, failures, policies

FRONT = NETS[0].policy


def started(lab: Lab, *, bridge_netfilter: bool = False) -> World:
    """The topology with everything of the cases written."""
    world = build(lab, bridge_netfilter=bridge_netfilter)
    apply(world.host, [Create(BASE), *(Create(policy) for policy in policies())])
    return world


def is_heard(sender: Machine, source: str, receiver: Machine, address: str, port: int, listen: tuple[str, int]) -> bool:
    """Whether one datagram from ``source`` to that address and port reaches a receiver, whatever comes back."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    receiving, sending = (
        inside(machine.path, lambda: socket.socket(family, socket.SOCK_DGRAM)) for machine in (receiver, sender)
    )
    with receiving, sending:
        receiving.bind(listen)
        receiving.settimeout(1.0)
        sending.bind((source, 0))
        sending.sendto(b"?", (address, port))
        try:
            return bool(receiving.recv(10))
        except TimeoutError:
            return False


@pytest.mark.parametrize("bridge_netfilter", [False, True], ids=["bridge-nf-0", "bridge-nf-1"])
@pytest.mark.parametrize("engine", ["", "nft", "legacy"], ids=["accept", "drop-nft", "drop-legacy"])
def test_reachability(lab: Lab, engine: str, *, bridge_netfilter: bool) -> None:
    world = started(lab, bridge_netfilter=bridge_netfilter)
    if engine:
        for program in ("iptables", "ip6tables"):
            world.host.run([f"{program}-{engine}", "-w", "-P", "FORWARD", "DROP"])
    wanted = wanted_accepts(foreign(world.host))
    assert len(wanted) == (2 if engine else 0)
    apply(world.host, [Create(each) for each in wanted])
    assert observed_accepts(foreign(world.host)) == wanted
    assert failures(lab, world, cases()) == []


def test_without_the_host_rule_a_drop_policy_stops_us(lab: Lab) -> None:
    world = started(lab)
    world.host.run(["iptables-nft", "-w", "-P", "FORWARD", "DROP"])
    assert world.machines["outside"].ask("192.0.2.1", 8080, timeout=0.3) is None


def test_repair_keeps_a_connection(lab: Lab) -> None:
    world = build(lab)
    wanted = State([BASE, *policies()])
    apply(world.host, diff(State(), wanted))
    connection = world.machines["outside"].connect("192.0.2.1", 8080)
    nft(world.host, f"flush table {PATH}")
    repair(world.host, wanted)
    assert connection.alive()


def test_a_network_made_internal_is_cut_off_at_once(lab: Lab) -> None:
    world = started(lab)
    connection = world.machines["outside"].connect("192.0.2.1", 8080)
    apply(world.host, [Update(FRONT, replace(FRONT, internal=True))])
    assert not connection.alive(0.5)


def test_neighbour_discovery_passes_between_members_kept_apart(lab: Lab) -> None:
    world = started(lab, bridge_netfilter=True)
    d1 = NETS[3].address("d1", 6)
    assert world.machines["d2"].ask(d1, 80, timeout=0.3) is None
    assert "lladdr" in world.machines["d2"].run(["ip", "-6", "neighbour", "show", d1]).stdout


@pytest.mark.parametrize("family", [4, 6])
def test_conntrack_entries_of_a_changed_port_go_and_others_stay(lab: Lab, family: int) -> None:
    world = started(lab)
    host = world.host.ipv4 if family == 4 else world.host.ipv6
    outside = world.machines["outside"]
    mine, other = outside.connect(host, 8080), outside.connect(host, 8090)
    for port in (8080, 8090):
        assert outside.ask(host, port, "udp")
    ports = [each for each in policies() if isinstance(each, PublishedPort)]
    moved = [port for port in ports if port.host_port == 8080 and port.family == family]

    def count(port: int) -> int:
        listed = world.host.run(["conntrack", "-L", "-f", f"ipv{family}"]).stdout
        return sum(f"dport={port} " in line for line in listed.splitlines())

    assert (count(8080), count(8090)) == (2, 2)
    elsewhere = [replace(port, target_port=1) for port in moved]
    assert world.host.inside(lambda: conntrack.remove(map(flow_of, elsewhere))) == 0
    assert world.host.inside(lambda: conntrack.remove(map(untranslated, moved))) == 0
    assert world.host.inside(lambda: conntrack.remove(map(flow_of, moved))) == 2
    assert (count(8080), count(8090)) == (0, 2)
    apply(world.host, [Delete(port) for port in moved])
    assert not mine.alive(0.5)
    assert other.alive()


def test_udp_flow_from_before_publishing_is_cut(lab: Lab) -> None:
    world = build(lab)
    apply(world.host, [Create(BASE), Create(FRONT)])
    port = next(each for each in policies() if isinstance(each, PublishedPort) and each.protocol == "udp")
    client = inside(world.machines["outside"].path, lambda: socket.socket(type=socket.SOCK_DGRAM))
    with client:
        client.bind(("192.0.2.2", 0))
        client.settimeout(3.0)
        client.sendto(b"?", ("192.0.2.1", port.host_port))
        apply(world.host, [Create(port)])
        assert world.host.inside(lambda: conntrack.remove([untranslated(port)])) == 1
        client.sendto(b"?", ("192.0.2.1", port.host_port))
        assert client.recv(99).startswith(b"a1 ")


def test_icc_switched_off_cuts_neighbours_at_once(lab: Lab) -> None:
    world = started(lab, bridge_netfilter=True)
    connection = world.machines["a2"].connect(NETS[0].address("a1", 4), 80)
    assert connection.alive()
    apply(world.host, [Update(FRONT, replace(FRONT, icc=False))])
    assert not connection.alive(0.5)


@pytest.mark.parametrize("family", [4, 6])
def test_sources_of_other_networks_are_dropped(lab: Lab, family: int) -> None:
    world = started(lab)
    a1, outside, host = (world.machines[name] for name in ("a1", "outside", "host"))
    own, victim = NETS[0].address("a1", family), NETS[1].address("b1", family)
    router = "10.88.0.1" if family == 4 else "fd88::1"
    for address in (victim, router):
        a1.run(["ip", "address", "add", f"{address}/{32 if family == 4 else 128}", "dev", "lo"])
    away = outside.ipv4 if family == 4 else outside.ipv6
    near = host.ipv4 if family == 4 else host.ipv6
    heard = [
        is_heard(a1, source, machine, address, 7777, (address, 7777))
        for machine, address in ((outside, away), (host, near))
        for source in (own, router, victim)
    ]
    assert heard == [True, True, False] * 2


@pytest.mark.parametrize("family", [4, 6])
def test_not_one_datagram_enters_or_leaves_an_internal_network(lab: Lab, family: int) -> None:
    world = started(lab)
    outside, i1, b1 = (world.machines[name] for name in ("outside", "i1", "b1"))
    away = outside.ipv4 if family == 4 else outside.ipv6
    near = world.host.ipv4 if family == 4 else world.host.ipv6
    inner, back, front = (NET_OF[name].address(name, family) for name in ("i1", "b1", "a1"))
    assert is_heard(b1, back, outside, away, 7777, (away, 7777))
    assert not is_heard(i1, inner, outside, away, 7777, (away, 7777))
    # A port that leads there, of a network that became internal.
    wildcard = "0.0.0.0" if family == 4 else "::"
    for name, target in (("a1", front), ("i1", inner)):
        port = PublishedPort("shop", f"shop/{name}", "udp", wildcard, 9000 + len(target), target, 7778)
        apply(world.host, [Create(port)])
        reached = is_heard(outside, away, world.machines[name], near, port.host_port, (target, 7778))
        assert reached == (name == "a1")
        apply(world.host, [Delete(port)])


def test_a_reply_may_leave_by_another_network(lab: Lab) -> None:
    world = started(lab)
    world.host.run(["ip", "link", "add", "vsecond", "type", "veth", "peer", "name", "eth1", "netns", "a1"])
    world.host.run(["ip", "link", "set", "vsecond", "master", "brback", "up"])
    a1 = world.machines["a1"]
    a1.run(["ip", "address", "add", "172.30.2.9/24", "dev", "eth1"])
    a1.run(["ip", "link", "set", "eth1", "up"])
    a1.run(["ip", "route", "replace", "default", "via", "172.30.2.1"])
    # The bridge learns of the second way while the first answer is under way: one may be lost.
    assert any(world.machines["outside"].ask("192.0.2.1", 8080) for _ in range(3))


def test_fixed_outward_address(lab: Lab) -> None:
    world = started(lab)
    world.host.run(["ip", "address", "add", "192.0.2.77/32", "dev", "eth0"])
    # On lo, since masquerade might choose a second address of eth0 by itself.
    world.host.run(["ip", "address", "add", "2001:db8:7::77/128", "dev", "lo"])
    world.machines["outside"].run(["ip", "route", "add", "2001:db8:7::77", "via", world.host.ipv6])
    apply(world.host, [Update(FRONT, replace(FRONT, snat4="192.0.2.77", snat6="2001:db8:7::77"))])
    seen = [world.machines["a1"].ask(address, 80) for address in ("192.0.2.2", "2001:db8::2")]
    assert [answer.peer_address if answer else "" for answer in seen] == ["192.0.2.77", "2001:db8:7::77"]


def test_what_cannot_work_is_refused_at_once(lab: Lab) -> None:
    world = started(lab)
    assert world.host.attempt("::1", 8080) == "refused"
    gateway = world.host.inside(lambda: _link_local("brfront"))
    a2 = world.machines["a2"]
    a2.run(["ip", "-6", "address", "flush", "dev", "eth0"])
    a2.run(["ip", "address", "add", "fe80::99/64", "dev", "eth0", "nodad"])
    # Under load the new address's first neighbour discovery may take longer than an attempt.
    assert "refused" in (a2.attempt(f"{gateway}%eth0", 8080) for _ in range(3))


def _link_local(interface: str) -> str:
    lines = Path("/proc/thread-self/net/if_inet6").read_text(encoding="ascii").splitlines()
    found = next(line.split()[0] for line in lines if line.split()[5] == interface and line.startswith("fe80"))
    return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(found))


ECHO_REQUEST = struct.pack("!BBHHH", 8, 0, 0xF7FF, 0, 0)


def test_routed_answers_echo_requests_and_nat_does_not(lab: Lab) -> None:
    world = started(lab)

    def answers(address: str) -> bool:
        with inside(
            world.machines["outside"].path,
            lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
        ) as raw:
            raw.settimeout(0.3)
            raw.sendto(ECHO_REQUEST, (address, 0))
            try:
                return raw.recv(100)[20] == 0
            except TimeoutError:
                return False

    assert answers(NET_OF["r1"].address("r1", 4))
    assert not answers(NET_OF["a1"].address("a1", 4))


def test_what_belongs_to_no_connection_does_not_leave_untranslated(lab: Lab) -> None:
    world = started(lab)
    outside, a1 = world.machines["outside"], world.machines["a1"]

    def raw(machine: Machine) -> socket.socket:
        return inside(machine.path, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP))

    # A segment with no flags at all is invalid whatever came before.
    segment = struct.pack("!HHIIBBHHH", 1234, 4321, 0, 0, 5 << 4, 0, 0, 0, 0)
    for source, expected in ((world.host, True), (a1, False)):
        with raw(source) as sender, raw(outside) as receiver:
            receiver.settimeout(0.3)
            sender.sendto(segment, ("192.0.2.2", 0))
            try:
                heard = receiver.recv(100)[20:24] == segment[:4]
            except TimeoutError:
                heard = False
        assert heard == expected
