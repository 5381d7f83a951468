"""The nftables table in a throwaway host: what is written reads back, drift is seen and repaired."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.errors import NetapplyError
from reconciler.firewall.nftables_layout import BASE_CHAINS, PATH
from reconciler.firewall.nftables_parse import KNOWN
from reconciler.firewall.policy import NetworkPolicy, PublishedPort
from reconciler.kernel import nftables
from reconciler.kernel.libnftables import RefusedError
from reconciler.plan.change import Create, Delete, Update
from reconciler.plan.diff import diff
from reconciler.state import State
from tests.kernel.lab import Host
from tests.kernel.nftables_host import BASE, apply, in_host, nft, observed, repair
from tests.kernel.reachability import NETS, policies

FRONT = NETS[0].policy


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
    replace(odd("o5", "10.5.0.0/24"), masquerade4=False, masquerade_ports=(7, 7)),
    replace(odd("o6", "10.6.0.0/24"), mode4="nat-unprotected", masquerade_ports=(40000, 40999)),
    replace(odd("o7", "10.7.0.0/24"), masquerade_ports=(1, 65535)),
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


RANGED = replace(FRONT, masquerade_ports=(40000, 40999))
CHAIN = f"{PATH} masquerade_40000_40999"
RULE = "meta l4proto { 6, 17, 132 } masquerade to"
DRIFT_OF_A_RANGE = {
    "rules gone": [f"flush chain {CHAIN}"],
    "other ports": [f"flush chain {CHAIN}", f"add rule {CHAIN} {RULE} :40000-41000", f"add rule {CHAIN} masquerade"],
    "no way for ICMP": [f"flush chain {CHAIN}", f"add rule {CHAIN} {RULE} :40000-40999"],
    "what is like it changed": [f"flush chain {PATH} masquerade_1_65535"],
    "range of nobody": [f"add chain {PATH} masquerade_5_6"],
    "range of somebody": [
        f"add chain {PATH} masquerade_5_6",
        f'add element {PATH} outward4 {{ "brx" comment "shop/x" : goto masquerade_5_6 }}',
    ],
    "hooked": [f"add chain {PATH} masquerade_5_6 {{ type nat hook postrouting priority 0; }}"],
}


@pytest.mark.founding("S1-30")
@pytest.mark.parametrize("name", DRIFT_OF_A_RANGE)
def test_drift_of_a_range(host: Host, name: str) -> None:
    wanted = State([BASE, RANGED])
    apply(host, diff(State(), wanted))
    nft(host, *DRIFT_OF_A_RANGE[name])
    assert [(type(change), change.key) for change in repair(host, wanted)] == [(Update, BASE.key)]


def test_a_network_led_past_its_range(host: Host) -> None:
    wanted = State([BASE, RANGED])
    apply(host, diff(State(), wanted))
    for family in (4, 6):
        nft(
            host,
            f'delete element {PATH} outward{family} {{ "brfront" }}',
            f'add element {PATH} outward{family} {{ "brfront" comment "shop/front" : goto translate }}',
        )
    pairs = [(change.before, change.after) for change in repair(host, wanted) if isinstance(change, Update)]
    assert (FRONT, RANGED) in pairs


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


def test_names_that_cannot_stand_in_a_rule_are_refused(host: Host) -> None:
    bad = replace(FRONT, interface='x" } ; flush ruleset #')
    with pytest.raises(NetapplyError, match="cannot stand in a firewall rule"):
        apply(host, [Create(BASE), Create(bad)])
    assert observed(host) == State()


def test_every_base_chain_accepts_by_policy() -> None:
    assert all(hook.endswith("policy accept;") for hook in BASE_CHAINS.values())
