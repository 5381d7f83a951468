"""Who reaches whom, with real packets: one host, five networks and a neighbour; any backend.

The topology is built with plain ``ip`` commands, so that nothing but the firewall backend
under test decides. What the kernel part of netapply sets in production is set by hand:
route_localnet and the bridge-netfilter switches on the bridges, hairpin on their ports.

    world = build(lab)
    world.host.inside(lambda: write(policies()))
    assert failures(lab, world, cases()) == []
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from reconciler.firewall.policy import NetworkPolicy, PublishedPort
from tests.kernel.lab import Host, Lab, Machine
from tests.kernel.talk import Protocol

STACK = "shop"
PROTOCOLS: tuple[Protocol, ...] = ("tcp", "udp")
HOST_SERVICE, SERVICE = 5000, 80


class Net(NamedTuple):
    """A network: its bridge is ``br`` and its name, its subnets come from ``number``."""

    number: int
    members: tuple[str, ...]
    policy: NetworkPolicy

    def address(self, member: str, family: int) -> str:
        """A member's address; the bridge's own for ``gateway``."""
        place = 1 if member == "gateway" else self.members.index(member) + 2
        return f"172.30.{self.number}.{place}" if family == 4 else f"fd30:{self.number}::{place}"


def _net(number: int, name: str, members: tuple[str, ...], **choices: object) -> Net:
    subnets = (f"172.30.{number}.0/24", f"fd30:{number}::/64")
    policy = NetworkPolicy(STACK, f"{STACK}/{name}", f"br{name}", subnets, **choices)  # type: ignore[arg-type]  # tests choose fields by name
    return Net(number, members, policy)


NETS = (
    _net(1, "front", ("a1", "a2")),
    _net(2, "back", ("b1",)),
    _net(3, "inner", ("i1", "i2"), internal=True, masquerade4=False, masquerade6=False),
    _net(4, "apart", ("d1", "d2"), icc=False),
    _net(5, "plain", ("p1",), masquerade4=False, masquerade6=False, trusted_interfaces=("eth0",)),
    _net(6, "open", ("o1",), mode4="nat-unprotected", mode6="nat-unprotected"),
    _net(7, "direct", ("r1",), mode4="routed", mode6="routed", masquerade4=False, masquerade6=False),
    _net(8, "silent", ("s1",), masquerade4=False, masquerade6=False),
)
NET_OF = {member: net for net in NETS for member in net.members}


class Case(NamedTuple):
    """``source`` asks ``address`` at ``port``; ``target`` answers, or nobody if it is empty.

    ``seen_as``: the address that the target must see; empty when it does not matter.
    """

    name: str
    source: str
    address: str
    port: int
    protocol: Protocol
    target: str
    seen_as: str = ""


@dataclass(frozen=True, slots=True)
class World:
    """The machines by name: ``host``, ``outside``, and every container."""

    host: Host
    machines: dict[str, Machine]


def build(lab: Lab, *, bridge_netfilter: bool = False) -> World:
    """The host with its networks, its neighbour, and a server on every machine; no rule yet."""
    host, outside = lab.host(), lab.machine("outside")
    machines: dict[str, Machine] = {"host": host, "outside": outside}
    # A bridge whose link-local address is still tentative sends no neighbour solicitations for others.
    host.inside(lambda: _write("net/ipv6/conf/default/accept_dad", "0"))
    host.run(["ip", "-batch", "-"], stdin="\n".join(_host_lines(bridge_netfilter=bridge_netfilter)))
    for member in NET_OF:
        lab._add_namespace(member)
        machines[member] = Machine(lab, member, Path("/run/netns") / member)
    host.run(["ip", "-batch", "-"], stdin="\n".join(line for member in NET_OF for line in _link_lines(member)))
    for member in NET_OF:
        lab._ip(member, _member_lines(member))
    outside.run(["ip", "-batch", "-"], stdin="\n".join(_outside_lines(host)))
    host.inside(_set_switches)
    outside.inside(lambda: _write("net/ipv4/conf/all/route_localnet", "1"))
    for name, machine in machines.items():
        loopback = ("127.0.0.1", "::1")
        addresses = loopback if name == "host" else ("0.0.0.0", "::")
        machine.serve(HOST_SERVICE if name == "host" else SERVICE, addresses=addresses)
    for member in ("a1", "r1"):
        machines[member].serve(SERVICE + 1)
    return World(host, machines)


def policies() -> list[NetworkPolicy | PublishedPort]:
    """What the cases take for granted."""
    return [*(net.policy for net in NETS), *_ports()]


def _ports() -> Iterator[PublishedPort]:
    for protocol in PROTOCOLS:
        for family, wildcard, host, loop in ((4, "0.0.0.0", "192.0.2.1", "127.0.0.1"), (6, "::", "2001:db8::1", "")):

            def port(member: str, address: str, number: int) -> PublishedPort:
                target = NET_OF[member].address(member, family)  # noqa: B023 - called in this round only
                return PublishedPort(STACK, f"{STACK}/{member}", protocol, address, number, target, SERVICE)  # noqa: B023 - the same

            yield port("a1", wildcard, 8080)
            yield port("a1", host, 8081)
            yield port("b1", wildcard, 8090)
            yield port("d1", wildcard, 8095)
            yield port("s1", wildcard, 8096)
            if loop:
                yield port("a1", loop, 8082)
            direct = NET_OF["r1"].address("r1", family)
            yield PublishedPort(STACK, f"{STACK}/r1", protocol, direct, SERVICE, direct, SERVICE, routed=True)


def cases() -> list[Case]:
    """Every statement about reachability, in both families and protocols."""
    found = []
    for family in (4, 6):
        for protocol in PROTOCOLS:
            for name, source, address, port, target, seen_as in (
                *_published(family),
                *_direct(family),
                *_between(family),
                *_outward(family),
            ):
                title = f"{name}: {source} -> [{address}]:{port}/{protocol}"
                found.append(Case(title, source, address, port, protocol, target, seen_as))
    return found


_Line = tuple[str, str, str, int, str, str]


def _published(family: int) -> list[_Line]:
    host, outside, loop = _outer(family)
    gateway = NETS[0].address("gateway", family)
    a1, b1, d2 = (NET_OF[each].address(each, family) for each in ("a1", "b1", "d2"))
    lines = [
        ("other machine to published port", "outside", host, 8080, "a1", outside),
        ("other machine to one host address", "outside", host, 8081, "a1", outside),
        ("other machine to a network without masquerade", "outside", host, 8096, "s1", outside),
        ("host to its own address", "host", host, 8080, "a1", ""),
        ("host to one host address", "host", host, 8081, "a1", ""),
        ("host to a bridge address", "host", gateway, 8080, "a1", ""),
        ("neighbour on the network", "a2", host, 8080, "a1", gateway),
        ("neighbour by the gateway's address", "a2", gateway, 8080, "a1", gateway),
        ("other network", "b1", host, 8080, "a1", b1),
        ("other network, the other way", "a1", host, 8090, "b1", a1),
        ("itself", "a1", host, 8080, "a1", gateway),
        ("itself, one host address", "a1", host, 8081, "a1", gateway),
        ("neighbour kept apart", "d2", host, 8095, "d1", ""),
        ("other network to one kept apart", "a1", host, 8095, "d1", a1),
        ("kept apart to other network", "d2", host, 8080, "a1", d2),
        ("port of one host address at another", "outside", gateway, 8081, "", ""),
        ("internal network to published port", "i1", host, 8080, "", ""),
        ("not published", "outside", host, 8999, "", ""),
    ]
    if family == 4:
        lines += [
            ("host by loopback", "host", loop, 8080, "a1", gateway),
            ("host by loopback, published there only", "host", loop, 8082, "a1", gateway),
            ("loopback port from outside", "outside", host, 8082, "", ""),
            ("neighbour that routes 127/8 to us", "outside", "127.0.0.2", 8080, "", ""),
            ("neighbour that routes 127/8 to us, loopback port", "outside", "127.0.0.1", 8082, "", ""),
            ("neighbour that routes 127/8 to us, host service", "outside", "127.0.0.1", HOST_SERVICE, "", ""),
        ]
    else:
        lines.append(("host by IPv6 loopback, which the kernel does not route", "host", loop, 8080, "", ""))
    return lines


def _direct(family: int) -> list[_Line]:
    def address(member: str) -> str:
        return NET_OF[member].address(member, family)

    outside = _outer(family)[1]
    return [
        ("direct access to nat", "outside", address("a1"), SERVICE, "", ""),
        ("direct access to nat without masquerade", "outside", address("s1"), SERVICE, "", ""),
        ("direct access to internal", "outside", address("i1"), SERVICE, "", ""),
        ("direct access from a trusted interface", "outside", address("p1"), SERVICE, "p1", outside),
        ("direct access to nat-unprotected", "outside", address("o1"), SERVICE, "o1", outside),
        ("routed, open port", "outside", address("r1"), SERVICE, "r1", outside),
        ("routed, other port", "outside", address("r1"), SERVICE + 1, "", ""),
        ("routed, open port, from another network", "b1", address("r1"), SERVICE, "r1", address("b1")),
        ("host directly", "host", address("a1"), SERVICE, "a1", ""),
        ("host directly, internal", "host", address("i1"), SERVICE, "i1", ""),
    ]


def _between(family: int) -> list[_Line]:
    def address(member: str) -> str:
        return NET_OF[member].address(member, family)

    return [
        ("within a network", "a2", address("a1"), SERVICE, "a1", address("a2")),
        ("within an internal network", "i2", address("i1"), SERVICE, "i1", address("i2")),
        ("kept apart", "d2", address("d1"), SERVICE, "", ""),
        ("between networks", "b1", address("a1"), SERVICE, "", ""),
        ("between networks, the other way", "a1", address("b1"), SERVICE, "", ""),
        ("to an internal network", "a1", address("i1"), SERVICE, "", ""),
        ("host's loopback service by a route", "a2", "127.0.0.1" if family == 4 else "::1", HOST_SERVICE, "", ""),
    ]


def _outward(family: int) -> list[_Line]:
    host, outside, _ = _outer(family)

    def address(member: str) -> str:
        return NET_OF[member].address(member, family)

    return [
        ("outward", "a1", outside, SERVICE, "outside", host),
        ("outward, kept apart", "d1", outside, SERVICE, "outside", host),
        ("outward, nat-unprotected", "o1", outside, SERVICE, "outside", host),
        ("outward without masquerade", "s1", outside, SERVICE, "outside", address("s1")),
        ("outward, routed", "r1", outside, SERVICE, "outside", address("r1")),
        ("outward from internal", "i1", outside, SERVICE, "", ""),
    ]


def failures(lab: Lab, world: World, wanted: list[Case], timeout: float = 1.0) -> list[str]:
    """What is not as the cases say; each case that expects an answer is tried once more alone."""
    silent = [case for case in wanted if not case.target]
    answered = [case for case in wanted if case.target]
    found = []
    for group, patience in ((answered, timeout), (silent, 0.3)):
        answers = lab.ask_all([(world.machines[c.source], c.address, c.port, c.protocol) for c in group], patience)
        for case, first in zip(group, answers, strict=True):
            answer = first
            if answer is None and case.target:
                answer = world.machines[case.source].ask(case.address, case.port, case.protocol, timeout=3.0)
            heard = answer.name if answer else ""
            if heard != case.target:
                found.append(f"{case.name}: {heard or 'nobody'} instead of {case.target or 'nobody'}")
            elif answer and case.seen_as and answer.peer_address != case.seen_as:
                found.append(f"{case.name}: seen as {answer.peer_address} instead of {case.seen_as}")
    return found


def _outer(family: int) -> tuple[str, str, str]:
    """The host's address, its neighbour's, and loopback."""
    return ("192.0.2.1", "192.0.2.2", "127.0.0.1") if family == 4 else ("2001:db8::1", "2001:db8::2", "::1")


def _host_lines(*, bridge_netfilter: bool) -> Iterator[str]:
    for net in NETS:
        name, policy = net.policy.interface, net.policy
        # icc off needs the switch whatever the host's own setting is.
        switch = int(bridge_netfilter or not policy.icc)
        switches = f"nf_call_iptables {switch} nf_call_ip6tables {switch}"
        yield f"link add {name} type bridge mcast_snooping 0 forward_delay 0 {switches}"
        yield f"address add {net.address('gateway', 4)}/24 dev {name}"
        yield f"address add {net.address('gateway', 6)}/64 dev {name} nodad"
        yield f"link set {name} up"


def _link_lines(member: str) -> Iterator[str]:
    bridge = NET_OF[member].policy.interface
    yield f"link add v{member} type veth peer name eth0 netns {member}"
    yield f"link set v{member} master {bridge} up"
    yield f"link set v{member} type bridge_slave hairpin on"


def _member_lines(member: str) -> list[str]:
    net = NET_OF[member]
    lines = [
        "link set lo up",
        f"address add {net.address(member, 4)}/24 dev eth0",
        f"address add {net.address(member, 6)}/64 dev eth0 nodad",
        "link set eth0 up",
        f"route add default via {net.address('gateway', 4)}",
        f"route add default via {net.address('gateway', 6)}",
    ]
    if member == "a2":
        # A container that tries to reach the host's loopback services.
        lines += ["route del local 127.0.0.0/8 table local", "route del local 127.0.0.1 table local"]
        lines += [f"route add 127.0.0.0/8 via {net.address('gateway', 4)}"]
    return lines


def _outside_lines(host: Machine) -> Iterator[str]:
    for net in NETS:
        yield f"route add {net.policy.subnets[0]} via {host.ipv4}"
        yield f"route add {net.policy.subnets[1]} via {host.ipv6}"
    yield "route del local 127.0.0.0/8 table local"
    yield "route del local 127.0.0.1 table local"
    yield f"route add 127.0.0.0/8 via {host.ipv4}"


def _set_switches() -> None:
    _write("net/ipv4/ip_forward", "1")
    _write("net/ipv6/conf/all/forwarding", "1")
    _write("net/bridge/bridge-nf-call-iptables", "0")
    _write("net/bridge/bridge-nf-call-ip6tables", "0")
    for net in NETS:
        _write(f"net/ipv4/conf/{net.policy.interface}/route_localnet", "1")


def _write(name: str, value: str) -> None:
    (Path("/proc/sys") / name).write_text(value)
