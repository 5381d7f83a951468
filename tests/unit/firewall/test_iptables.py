"""The iptables backend's pure half: policy to rules, rules to policy, and the edits between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import NetapplyError, Source
from reconciler.firewall.iptables import TableEdit, edits, unsupported
from reconciler.firewall.iptables_chains import CHAINS, JUDGE, PORTS, jump_to
from reconciler.firewall.iptables_layout import layout, rules_of
from reconciler.firewall.iptables_parse import parse
from reconciler.firewall.iptables_rules import Jump, Place, Rule, Table, rule_of
from reconciler.firewall.legacy_listing import legacy_rules
from reconciler.firewall.opening import Opening
from reconciler.firewall.pair import Pair
from reconciler.firewall.policy import MARK, FirewallBase, NetworkPolicy, PublishedPort
from reconciler.firewall.spans import collapsed

BOTH = (4, 6)
BASE = FirewallBase("iptables")
PORT = PublishedPort("shop", "shop/web", "tcp", "0.0.0.0", 8080, "10.0.0.2", 80)
NETWORK = NetworkPolicy("shop", "shop/front", "br0", ("10.0.0.0/24", "fd00::/64"))

Policy = NetworkPolicy | PublishedPort | Opening


def carried_out(tables: dict[Place, Table], made: Sequence[TableEdit]) -> dict[Place, Table]:
    """The tables after the edits, as the helper process leaves them."""
    result = dict(tables)
    for edit in made:
        table = result.get(edit.place, Table())
        chains, jumps = dict(table.chains), dict(table.jumps)
        for each in edit.edits:
            rules = chains.get(each.chain)
            assert each.length == (-1 if rules is None else len(rules))
            rules = rules or ()
            chains[each.chain] = (*rules[: each.start], *each.added, *rules[each.start + each.removed :])
        for base, rule in edit.jumps:
            jumps[base] = (Jump(0, rule),) if rule else ()
        result[edit.place] = Table({name: rules for name, rules in chains.items() if name not in edit.gone}, jumps)
    return result


def written(policies: Sequence[Policy]) -> dict[Place, Table]:
    return carried_out({}, edits([(None, BASE), *((None, policy) for policy in policies)], {}, BOTH))


ADDRESSES = st.integers(0, 3).map(lambda number: f"10.0.{number}.0/24")
ADDRESSES6 = st.integers(1, 4).map(lambda number: f"fd00:{number}::/64")


@st.composite
def networks(draw: st.DrawFn) -> NetworkPolicy:
    number = draw(st.integers(0, 3))
    masquerade4, masquerade6 = draw(st.booleans()), draw(st.booleans())
    masquerade_ports = draw(st.sampled_from([None, (1, 65535), (8, 8)])) if masquerade4 or masquerade6 else None
    return NetworkPolicy(
        owner="shop",
        network=f"shop/net{number}",
        interface=f"br{number}",
        subnets=tuple(sorted(draw(st.sets(ADDRESSES, max_size=2)) | draw(st.sets(ADDRESSES6, max_size=2)))),
        internal=draw(st.booleans()),
        icc=draw(st.booleans()),
        masquerade4=masquerade4,
        masquerade6=masquerade6,
        snat4=draw(st.sampled_from(["", "192.0.2.1"])),
        snat6=draw(st.sampled_from(["", "2001:db8::1"])),
        mode4=draw(st.sampled_from(["nat", "nat-unprotected", "routed", "isolated"])),
        mode6=draw(st.sampled_from(["nat", "nat-unprotected", "routed", "isolated"])),
        trusted_interfaces=tuple(sorted(draw(st.sets(st.sampled_from(["eth0", "wg-0.1"]))))),
        masquerade_ports=masquerade_ports,
    )


@st.composite
def ports(draw: st.DrawFn) -> PublishedPort:
    family6, routed = draw(st.booleans()), draw(st.booleans())
    target = "fd00::2" if family6 else "10.0.0.2"
    host = draw(st.sampled_from(["::", "2001:db8::1"] if family6 else ["0.0.0.0", "127.0.0.1"]))
    number, target_port = draw(st.integers(1, 4)), draw(st.integers(1, 65535))
    return PublishedPort(
        owner="blog",
        container=f"blog/c{draw(st.integers(0, 2))}",
        protocol=draw(st.sampled_from(["tcp", "udp", "sctp"])),
        host_address=target if routed else host,
        host_port=number,
        target_address=target,
        target_port=number if routed else target_port,
        routed=routed,
        sources=collapsed(draw(st.lists(ADDRESSES6 if family6 else ADDRESSES, max_size=2))),
    )


@st.composite
def openings(draw: st.DrawFn) -> Opening:
    first = draw(st.integers(1, 4))
    return Opening(
        owner="shop",
        container=f"shop/c{draw(st.integers(0, 2))}",
        protocol=draw(st.sampled_from(["tcp", "udp", "sctp"])),
        first=first,
        last=draw(st.sampled_from([first, first + 10])),
        sources=collapsed(draw(st.lists(ADDRESSES | ADDRESSES6, max_size=3))),
    )


POLICIES = st.lists(networks() | ports() | openings(), max_size=8, unique_by=lambda policy: policy.key)


@given(POLICIES)
def test_what_is_written_reads_back(policies: list[Policy]) -> None:
    found = parse(written(policies), BOTH)
    assert found[0] == BASE
    assert {policy.key: policy for policy in found[1:]} == {policy.key: policy for policy in policies}


@given(POLICIES, POLICIES)
def test_edits_lead_from_any_policies_to_any_others(before: list[Policy], after: list[Policy]) -> None:
    old, new = {policy.key: policy for policy in before}, {policy.key: policy for policy in after}
    changes: list[Pair] = [(old.get(key), new.get(key)) for key in {*old, *new} if old.get(key) != new.get(key)]
    tables = written(before)
    result = carried_out(tables, edits(changes, tables, BOTH))
    assert result == written(after)
    assert edits([], result, BOTH) == ()
    emptied = carried_out(result, edits([(BASE, None)], result, BOTH))
    assert parse(emptied, BOTH) == []


@given(POLICIES, st.data())
def test_any_damage_is_seen_and_repaired(policies: list[Policy], data: st.DataObject) -> None:
    tables = written(policies)
    place = data.draw(st.sampled_from(sorted(tables)))
    chain = data.draw(st.sampled_from(sorted(tables[place].chains)))
    rules = list(tables[place].chains[chain])
    position = data.draw(st.integers(0, len(rules)))
    alien = Rule("ACCEPT", comment="shop/web")
    if rules and position < len(rules) and data.draw(st.booleans()):
        rules[position] = data.draw(st.sampled_from([alien, rules[position]._replace(comment="x")]))
    else:
        rules.insert(position, alien)
    damaged = tables | {place: Table({**tables[place].chains, chain: tuple(rules)}, tables[place].jumps)}
    found = parse(damaged, BOTH)
    assert isinstance(found[0], FirewallBase)
    assert not found[0].intact
    kept = {policy.key: policy for policy in found}
    wanted = [BASE, *policies]
    changes: list[Pair] = [(kept.get(each.key), each) for each in wanted if kept.get(each.key) != each]
    assert carried_out(damaged, edits(changes, damaged, BOTH)) == tables


@pytest.mark.founding("S1-12", "S1-14")
def test_one_more_port_is_one_rule() -> None:
    tables = written([NETWORK, PORT, replace(PORT, host_port=8082)])
    (table,) = edits([(None, replace(PORT, host_port=8081))], tables, BOTH)
    (edit,) = table.edits
    assert (table.place, edit.chain, edit.removed, len(edit.added)) == ((4, "nat"), PORTS, 0, 1)
    assert (table.jumps, table.gone) == ((), ())


def test_a_port_at_one_address_comes_before_that_at_all() -> None:
    ports = [PORT, replace(PORT, host_address="192.0.2.1", target_port=81), replace(PORT, host_port=1)]
    first, *_ = layout(ports, MARK, BOTH)[4, "nat"][PORTS]
    assert first.destination == "192.0.2.1/32"


def test_ports_that_change_places() -> None:
    other = replace(PORT, host_port=8081, target_port=81)
    tables = written([PORT, other])
    moved, other_moved = replace(PORT, host_port=8081), replace(other, host_port=8080)
    result = carried_out(tables, edits([(PORT, moved), (other, other_moved)], tables, BOTH))
    assert result == written([moved, other_moved])


def test_nothing_is_written_where_nothing_stands_and_nothing_is_wanted() -> None:
    assert edits([(PORT, None)], {}, BOTH) == edits([(BASE, None)], {}, BOTH) == edits([], {}, BOTH) == ()


def test_another_mark() -> None:
    other = replace(BASE, mark=0x04000000)
    tables = written([NETWORK])
    result = carried_out(tables, edits([(BASE, other)], tables, BOTH))
    assert parse(result, BOTH) == [other, NETWORK]


@pytest.mark.parametrize(
    "jumps",
    [
        (),
        (Jump(1, jump_to("NETAPPLY-FORWARD")),),
        (Jump(0, jump_to("NETAPPLY-FORWARD")), Jump(3, jump_to("NETAPPLY-FORWARD"))),
        (Jump(0, jump_to("NETAPPLY-FORWARD")._replace(source="10.0.0.0/8")),),
        (Jump(0, jump_to("NETAPPLY-JUDGE")),),
    ],
)
def test_a_jump_that_is_not_as_it_should_be(jumps: tuple[Jump, ...]) -> None:
    tables = written([NETWORK])
    mangle = tables[4, "mangle"]
    damaged = tables | {(4, "mangle"): Table(mangle.chains, {**mangle.jumps, "FORWARD": jumps})}
    base, network = parse(damaged, BOTH)
    assert (base, network) == (replace(BASE, intact=False), NETWORK)
    assert carried_out(damaged, edits([(base, BASE)], damaged, BOTH)) == tables


def test_a_host_without_ipv6_has_no_ipv6_tables() -> None:
    network = replace(NETWORK, subnets=("10.0.0.0/24",), masquerade6=False)
    made = edits([(None, BASE), (None, network)], {}, (4,))
    assert {edit.place[0] for edit in made} == {4}
    assert parse(carried_out({}, made), (4,)) == [BASE, network]


def test_the_families_must_agree() -> None:
    tables = written([NETWORK])
    apart = written([replace(NETWORK, icc=False)])
    base, *policies = parse(tables | {(6, "mangle"): apart[6, "mangle"]}, BOTH)
    assert (base, policies) == (replace(BASE, intact=False), [])


def test_what_accepts_leaves_the_rules_of_others_in_force() -> None:
    """An ACCEPT in our chains would skip the host's own rules in the same base chain."""
    policies: list[Policy] = [
        NETWORK,
        PORT,
        replace(NETWORK, network="shop/b", interface="br1", mode4="routed", icc=False),
    ]
    targets = {
        rule.target for table in layout(policies, MARK, BOTH).values() for rules in table.values() for rule in rules
    }
    assert targets - {name for _, name in CHAINS} == {"DROP", "DNAT", "MARK", "MASQUERADE", "RETURN"}


def test_rules_survive_json() -> None:
    rule = next(placed.rule for placed in rules_of(replace(NETWORK, icc=False)) if len(placed.rule.matches) > 1)
    assert rule_of([*rule]) == rule
    assert rule.text() == (
        "-i br0 -o br0 -p icmpv6 -m icmp6 --icmpv6-type 135 -m hl --hl-eq 255 "
        '-m comment --comment "shop/front" -g NETAPPLY-PASS'
    )


@pytest.mark.parametrize(
    "policy",
    [
        replace(NETWORK, interface="br+"),
        replace(NETWORK, interface="br 0"),
        replace(NETWORK, interface="!br0"),
        replace(NETWORK, network="shop/front internal"),
        replace(NETWORK, trusted_interfaces=("eth+",)),
        replace(NETWORK, snat4="192.0.2.1 --random"),
        replace(PORT, container="shop"),
        replace(PORT, protocol="dccp"),
        replace(PORT, host_address="!10.0.0.1"),
    ],
)
def test_what_iptables_cannot_say_is_a_problem_at_its_line(policy: Policy) -> None:
    source = Source("shop.yaml", 7, 3)
    (problem,) = unsupported([BASE, replace(policy, source=source), NETWORK])
    assert problem.source == source
    with pytest.raises(NetapplyError):
        edits([(None, BASE), (None, policy)], {}, BOTH)


LISTING = """# Generated by iptables-save
*nat
:PREROUTING ACCEPT [1:2]
{nat}
COMMIT
*filter
:FORWARD DROP [0:0]
{filter}
COMMIT
"""


@pytest.mark.parametrize(
    ("nat", "filters", "ours", "foreign"),
    [
        ("", "", False, ()),
        (":MINE - [0:0]", "", False, ()),
        ("-A PREROUTING -j MINE", "-A FORWARD -j DROP", False, ("filter", "nat")),
        (f":{PORTS} - [0:0]\n-A PREROUTING -m comment --comment netapply -j NETAPPLY-PREROUTING", "", True, ()),
        (f":{JUDGE} - [0:0]\n-A {JUDGE} -j DROP\n-A PREROUTING -j {JUDGE}", "", True, ()),
        ("", "-A FORWARD -m mark --mark 0x1/0x1 -m comment --comment netapply -j ACCEPT", False, ()),
        ("", '-A FORWARD -m comment --comment "netapply was here" -j ACCEPT', False, ("filter",)),
        ("-A PREROUTING -j NOT-NETAPPLY-X", "", False, ("nat",)),
    ],
)
def test_whose_rules_stand_in_the_legacy_tables(
    nat: str, filters: str, foreign: tuple[str, ...], *, ours: bool
) -> None:
    assert legacy_rules([LISTING.format(nat=nat, filter=filters), ""]) == (ours, foreign)
