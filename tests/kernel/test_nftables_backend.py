"""The nftables backend in a throwaway host: real packets, drift and its repair, rules of others."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from reconciler.errors import NetapplyError
from reconciler.firewall.foreign import Table, observed_accepts, wanted_accepts, warnings
from reconciler.firewall.nftables_layout import BASE_CHAINS, PATH
from reconciler.firewall.nftables_parse import KNOWN
from reconciler.firewall.policy import MARK, FirewallBase, HostAccept, NetworkPolicy, PublishedPort
from reconciler.kernel import conntrack, foreign_rules, nftables
from reconciler.kernel.libnftables import Nftables, RefusedError
from reconciler.plan.change import Change, Create, Delete, Update
from reconciler.plan.diff import diff
from reconciler.state import State
from tests.kernel.isolation import inside
from tests.kernel.lab import Host, Lab, Machine
from tests.kernel.reachability import NETS, build, cases, failures, policies

BASE = FirewallBase("nftables")
FRONT = NETS[0].policy
Result = TypeVar("Result")


def in_host(host: Machine, work: Callable[[Nftables], Result]) -> Result:
    def opened() -> Result:
        with Nftables() as made:
            return work(made)

    return host.inside(opened)


def apply(host: Machine, changes: Sequence[Change]) -> None:
    def work(opened: Nftables) -> None:
        nftables.apply(opened, changes)
        foreign_rules.apply(opened, changes)

    in_host(host, work)


def observed(host: Machine) -> State:
    return State(in_host(host, nftables.observe))


def foreign(host: Machine) -> tuple[Table, ...]:
    return in_host(host, foreign_rules.read)


def repair(host: Machine, wanted: State) -> tuple[Change, ...]:
    changes = diff(observed(host), wanted)
    apply(host, changes)
    assert observed(host) == wanted
    return changes


def nft(host: Machine, *commands: str) -> None:
    host.run(["nft", "-f", "-"], stdin="\n".join(commands))


@pytest.mark.parametrize("bridge_netfilter", [False, True], ids=["bridge-nf-0", "bridge-nf-1"])
@pytest.mark.parametrize("engine", ["", "nft", "legacy"], ids=["accept", "drop-nft", "drop-legacy"])
def test_reachability(lab: Lab, engine: str, *, bridge_netfilter: bool) -> None:
    world = build(lab, bridge_netfilter=bridge_netfilter)
    apply(world.host, [Create(BASE), *(Create(policy) for policy in policies())])
    if engine:
        for program in ("iptables", "ip6tables"):
            world.host.run([f"{program}-{engine}", "-w", "-P", "FORWARD", "DROP"])
    wanted = wanted_accepts(foreign(world.host))
    assert len(wanted) == (2 if engine else 0)
    apply(world.host, [Create(each) for each in wanted])
    assert observed_accepts(foreign(world.host)) == wanted
    assert failures(lab, world, cases()) == []


def test_without_the_host_rule_a_drop_policy_stops_us(lab: Lab) -> None:
    world = build(lab)
    apply(world.host, [Create(BASE), *(Create(policy) for policy in policies())])
    world.host.run(["iptables-nft", "-w", "-P", "FORWARD", "DROP"])
    assert world.machines["outside"].ask("192.0.2.1", 8080, timeout=0.3) is None


def test_known_listing_is_up_to_date(host: Host) -> None:
    version = in_host(host, lambda opened: opened.query_json("list tables"))["nftables"][0]["metainfo"]["version"]
    if version != "1.0.6":
        pytest.skip(f"KNOWN does not list nftables {version}; there the reference namespace serves")
    assert host.inside(nftables.reference) in KNOWN


def odd(interface: str, *subnets: str) -> NetworkPolicy:
    return replace(FRONT, network=f"shop/{interface}", interface=interface, subnets=subnets)


ODD = [
    replace(odd("o1", "10.1.0.7/32", "fd01::1/128"), icc=False, snat4="192.0.2.1"),
    replace(odd("o2", "10.2.0.0/25"), internal=True, mode4="isolated", mode6="isolated"),
    replace(odd("o3"), mode4="routed", mode6="nat-unprotected", snat6="2001:db8::1"),
    replace(odd("o4", "10.4.0.0/24"), masquerade6=False, trusted_interfaces=("eth0", "eth1")),
]


def test_everything_reads_back_and_goes_with_the_base(host: Host) -> None:
    wanted = State([BASE, *policies(), *ODD])
    apply(host, diff(State(), wanted))
    assert observed(host) == wanted
    apply(host, [Delete(resource) for resource in wanted])
    assert observed(host) == State()
    assert host.run(["nft", "list", "ruleset"]).stdout == ""


def test_longest_names_read_back(host: Host) -> None:
    name = f"{'s' * 63}/{'c' * 63}"
    wanted = State([BASE, PublishedPort("s" * 63, name, "sctp", "::", 65535, "fd30:1::2", 1)])
    apply(host, diff(State(), wanted))
    assert observed(host) == wanted


DRIFT = {
    "rule added": [f"insert rule {PATH} judge accept"],
    "rule removed": [f"flush chain {PATH} guard"],
    "chain added": [f"add chain {PATH} mine {{ type filter hook input priority 0; policy drop; }}"],
    "chain called": [f"add chain {PATH} mine", f"add rule {PATH} mine accept", f"insert rule {PATH} judge jump mine"],
    "base chain removed": [f"flush chain {PATH} forward", f"delete chain {PATH} forward"],
    "policy changed": [f"add chain {PATH} input {{ policy drop; }}"],
    "set added": [f"add set {PATH} mine {{ type ipv4_addr; }}", f"add element {PATH} mine {{ 10.0.0.1 }}"],
    "network without owner": [f'add element {PATH} bridges {{ "eth0" }}'],
    "verdict of somebody": [f'add element {PATH} inward4 {{ "brx" comment "shop/x" : goto pass }}'],
    "interface that we would not write": [f'add element {PATH} bridges {{ "br:x" comment "shop/x" }}'],
    "half a subnet": [f'add element {PATH} networks4 {{ 10.77.0.0/16 comment "shop/front" }}'],
}


@pytest.mark.parametrize("name", DRIFT)
def test_drift_of_the_base(host: Host, name: str) -> None:
    wanted = State([BASE, *policies()])
    apply(host, diff(State(), wanted))
    nft(host, *DRIFT[name])
    changes = repair(host, wanted)
    assert [(type(change), change.key) for change in changes] == [(Update, BASE.key)]


def test_drift_of_a_set_makes_the_table_anew(host: Host) -> None:
    wanted = State([BASE, *policies()])
    apply(host, diff(State(), wanted))
    nft(host, f"add counter {PATH} mine")
    repair(host, wanted)


def test_missing_identity_is_made_again(host: Host) -> None:
    wanted = State([BASE, *policies()])
    apply(host, diff(State(), wanted))
    nft(host, f'delete element {PATH} bridges {{ "brfront" }}')
    assert {change.key for change in repair(host, wanted)} == {BASE.key, FRONT.key}


LOST = {
    "outward4": ('"brfront"', {"masquerade4": False}),
    "homes4": ('"brfront" . 172.30.1.0/24', None),
    "apart": ('"brapart"', {"icc": True}),
    "trusted": ('"eth0" . "brplain"', {"trusted_interfaces": ()}),
}


@pytest.mark.parametrize("set_name", LOST)
def test_drift_of_a_network(host: Host, set_name: str) -> None:
    wanted = State([BASE, *policies()])
    apply(host, diff(State(), wanted))
    key, fields = LOST[set_name]
    nft(host, f"delete element {PATH} {set_name} {{ {key} }}")
    changes = [change for change in repair(host, wanted) if isinstance(change.before, NetworkPolicy)]  # type: ignore[union-attr]  # all are updates
    (change,) = changes
    assert isinstance(change, Update)
    if fields is not None:
        assert change.before == replace(change.after, **fields)  # type: ignore[type-var]  # a policy


def test_drift_of_a_port(host: Host) -> None:
    wanted = State([BASE, *policies()])
    apply(host, diff(State(), wanted))
    nft(
        host,
        f"delete element {PATH} ports4_any {{ 6 . 8080 }}",
        f"delete element {PATH} ports4_any {{ 6 . 8090 }}",
        f'add element {PATH} ports4_any {{ 6 . 8090 comment "shop/b1" : 172.30.9.9 . 1, 6 . 7 comment "x/y" : 1.1.1.1 . 1 }}',
    )
    changes = repair(host, wanted)
    assert sorted(change.key.name for change in changes) == [
        "shop/a1:0.0.0.0:8080/tcp",
        "shop/b1:0.0.0.0:8090/tcp",
        "x/y:0.0.0.0:7/tcp",
    ]


def test_a_port_moves_in_one_step(host: Host) -> None:
    one = PublishedPort("shop", "shop/a1", "tcp", "0.0.0.0", 8080, "172.30.1.2", 80)
    two = replace(one, container="shop/b1", target_address="172.30.2.2")
    apply(host, [Create(BASE), Create(one)])
    apply(host, [Create(two), Delete(one)])
    assert observed(host) == State([BASE, two])


@pytest.mark.parametrize("subnets", [("172.30.0.0/16",), ("172.30.1.0/25", "172.30.1.128/25")])
def test_subnets_change_in_place(host: Host, subnets: tuple[str, ...]) -> None:
    other = replace(FRONT, subnets=subnets)
    apply(host, [Create(BASE), Create(FRONT)])
    apply(host, [Update(FRONT, other)])
    assert observed(host) == State([BASE, other])
    apply(host, [Update(other, FRONT)])
    assert observed(host) == State([BASE, FRONT])


def test_another_mark(host: Host) -> None:
    other = replace(BASE, mark=0x04000000)
    apply(host, [Create(BASE), Create(FRONT)])
    apply(host, [Update(BASE, other)])
    assert observed(host) == State([other, FRONT])


def test_a_refused_transaction_changes_nothing(host: Host) -> None:
    one = PublishedPort("shop", "shop/a1", "tcp", "0.0.0.0", 8080, "172.30.1.2", 80)
    apply(host, [Create(BASE), Create(one)])
    clash = replace(one, container="shop/b1", target_address="172.30.2.2")
    with pytest.raises(RefusedError, match="File exists"):
        apply(host, [Create(FRONT), Create(clash)])
    assert observed(host) == State([BASE, one])


def test_repair_keeps_a_connection(lab: Lab) -> None:
    world = build(lab)
    wanted = State([BASE, *policies()])
    apply(world.host, diff(State(), wanted))
    connection = world.machines["outside"].connect("192.0.2.1", 8080)
    nft(world.host, f"flush table {PATH}")
    repair(world.host, wanted)
    assert connection.alive()


def test_a_network_made_internal_is_cut_off_at_once(lab: Lab) -> None:
    world = build(lab)
    apply(world.host, [Create(BASE), *(Create(policy) for policy in policies())])
    connection = world.machines["outside"].connect("192.0.2.1", 8080)
    apply(world.host, [Update(FRONT, replace(FRONT, internal=True))])
    assert not connection.alive(0.5)


def test_a_spoofed_source_of_another_network_is_dropped(lab: Lab) -> None:
    world = build(lab)
    apply(world.host, [Create(BASE), *(Create(policy) for policy in policies())])
    victim = NETS[1].address("b1", 4)

    def heard(source: str) -> bool:
        receiver = inside(world.machines["outside"].path, lambda: socket.socket(type=socket.SOCK_DGRAM))
        sender = inside(world.machines["a1"].path, lambda: socket.socket(type=socket.SOCK_DGRAM))
        with receiver, sender:
            receiver.bind(("192.0.2.2", 7777))
            receiver.settimeout(0.3)
            sender.bind((source, 0))
            sender.sendto(b"?", ("192.0.2.2", 7777))
            try:
                return bool(receiver.recv(10))
            except TimeoutError:
                return False

    world.machines["a1"].run(["ip", "address", "add", f"{victim}/32", "dev", "lo"])
    world.machines["a1"].run(["ip", "address", "add", "10.88.0.1/32", "dev", "lo"])
    assert heard(NETS[0].address("a1", 4))
    assert heard("10.88.0.1")
    assert not heard(victim)


def test_neighbour_discovery_passes_between_members_kept_apart(lab: Lab) -> None:
    world = build(lab, bridge_netfilter=True)
    apply(world.host, [Create(BASE), *(Create(policy) for policy in policies())])
    d1 = NETS[3].address("d1", 6)
    assert world.machines["d2"].ask(d1, 80, timeout=0.3) is None
    assert "lladdr" in world.machines["d2"].run(["ip", "-6", "neighbour", "show", d1]).stdout


@pytest.mark.parametrize("family", [4, 6])
def test_conntrack_entries_of_a_changed_port_go_and_others_stay(lab: Lab, family: int) -> None:
    world = build(lab)
    apply(world.host, [Create(BASE), *(Create(policy) for policy in policies())])
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
    assert world.host.inside(lambda: conntrack.remove(map(conntrack.flow_of, elsewhere))) == 0
    assert world.host.inside(lambda: conntrack.remove(map(conntrack.untranslated, moved))) == 0
    assert world.host.inside(lambda: conntrack.remove(map(conntrack.flow_of, moved))) == 2
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
        client.settimeout(0.3)
        client.sendto(b"?", ("192.0.2.1", port.host_port))
        apply(world.host, [Create(port)])
        assert world.host.inside(lambda: conntrack.remove([conntrack.untranslated(port)])) == 1
        client.sendto(b"?", ("192.0.2.1", port.host_port))
        assert client.recv(99).startswith(b"a1 ")


NFT_DROP = """table inet mine {
  chain forward { type filter hook forward priority 10; policy accept; ct state established accept; jump rest; }
  chain rest { reject; }
}"""


def test_host_rule_in_a_native_table(host: Host) -> None:
    nft(host, "add table inet mine", "add chain inet mine rest", *NFT_DROP.splitlines())
    wanted = HostAccept("nft", "inet", "mine", "forward")
    assert_accept_heals(host, wanted, lambda: nft(host, "insert rule inet mine forward drop"))
    apply(host, [Delete(wanted)])
    assert "mark" not in host.run(["nft", "list", "table", "inet", "mine"]).stdout


@pytest.mark.parametrize("engine", ["iptables-nft", "iptables-legacy"])
@pytest.mark.parametrize("chain", ["FORWARD", "DOCKER-USER"])
def test_host_rule_in_iptables(host: Host, engine: str, chain: str) -> None:
    host.run([engine, "-w", "-P", "FORWARD", "DROP"])
    if chain != "FORWARD":
        host.run([engine, "-w", "-N", chain])
        host.run([engine, "-w", "-I", "FORWARD", "-j", chain])
    before = host.run([engine, "-w", "-S"]).stdout
    wanted = HostAccept(engine, "ip", "filter", chain)
    insert = [engine, "-w", "-I", "FORWARD", "-p", "tcp", "-j", "REJECT"]
    assert_accept_heals(
        host, wanted, lambda: host.run(insert) if chain == "FORWARD" else host.run([*insert[:3], chain, *insert[4:]])
    )
    bit = f"{MARK:#x}"
    rule = f"-A {chain} -m mark --mark {bit}/{bit} -m comment --comment netapply -j ACCEPT\n"
    listed = host.run([engine, "-w", "-S"]).stdout
    assert listed.count(rule) == 1
    apply(host, [Delete(wanted)])
    host.run([engine, "-w", "-D", chain, "-p", "tcp", "-j", "REJECT"])
    assert host.run([engine, "-w", "-S"]).stdout == before


def assert_accept_heals(host: Host, wanted: HostAccept, disturb: Callable[[], object]) -> None:
    assert wanted_accepts(foreign(host)) == (wanted,)
    assert observed_accepts(foreign(host)) == ()
    apply(host, [Create(wanted)])
    assert observed_accepts(foreign(host)) == wanted_accepts(foreign(host)) == (wanted,)
    disturb()
    (displaced,) = observed_accepts(foreign(host))
    assert displaced == replace(wanted, mark=0)
    apply(host, [Update(displaced, wanted)])
    assert observed_accepts(foreign(host)) == (wanted,)


def test_legacy_tables_are_not_made_by_looking(host: Host) -> None:
    foreign(host)
    assert host.inside(lambda: Path("/proc/thread-self/net/ip_tables_names").read_text()) == ""


def test_an_owned_table_gives_a_warning_only(host: Host) -> None:
    def look(opened: Nftables) -> tuple[Table, ...]:
        # The table lives as long as the socket that made it.
        opened.run(
            "table inet firewalld { flags owner\nchain filter_FORWARD { type filter hook forward priority 10; }\n}\n"
            "add rule inet firewalld filter_FORWARD ct state established accept\n"
            "add rule inet firewalld filter_FORWARD reject with icmpx admin-prohibited\n"
        )
        with Nftables() as second:
            with pytest.raises(RefusedError, match="not permitted"):
                second.run("add rule inet firewalld filter_FORWARD accept")
            return foreign_rules.read(second)

    found = in_host(host, look)
    assert wanted_accepts(found) == ()
    (warning,) = warnings(found)
    assert "firewall-cmd" in warning.hint


def test_foreign_tables_stay_as_they_are(host: Host) -> None:
    nft(host, "add table inet mine", "add chain inet mine rest", *NFT_DROP.splitlines())
    host.run(["iptables-nft", "-w", "-A", "FORWARD", "-s", "10.0.0.0/8", "-j", "DROP"])
    before = host.run(["nft", "-a", "list", "ruleset"]).stdout
    wanted = State([BASE, *policies()])
    apply(host, diff(State(), wanted))
    nft(host, f"insert rule {PATH} judge accept")
    repair(host, wanted)
    apply(host, [Delete(BASE)])
    assert host.run(["nft", "-a", "list", "ruleset"]).stdout == before


def test_names_that_cannot_stand_in_a_rule_are_refused(host: Host) -> None:
    bad = replace(FRONT, interface='x" } ; flush ruleset #')
    with pytest.raises(NetapplyError, match="cannot stand in a firewall rule"):
        apply(host, [Create(BASE), Create(bad)])
    assert observed(host) == State()


def test_every_base_chain_accepts_by_policy() -> None:
    assert all(hook.endswith("policy accept;") for hook in BASE_CHAINS.values())
