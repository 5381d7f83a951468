"""Rules of others: which would drop our traffic, and where our rule stands among them."""

from __future__ import annotations

import pytest

from reconciler.firewall.foreign import Table, barriers, observed_accepts, place_of, sieves, wanted_accepts, warnings
from reconciler.firewall.foreign_reading import legacy_table, tables
from reconciler.firewall.policy import MARK, HostAccept

OURS: list[dict[str, object]] = [
    {"match": {"op": "==", "left": {"&": [{"meta": {"key": "mark"}}, MARK]}, "right": MARK}},
    {"xt": {"type": "match", "name": "comment"}},
    {"counter": {"packets": 0, "bytes": 0}},
    {"accept": None},
]
SOME: dict[str, object] = {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "eth0"}}


def table(
    rules: dict[str, list[list[dict[str, object]]]],
    *,
    policy: str = "accept",
    family: str = "ip",
    name: str = "filter",
    priority: int = 0,
    flags: list[str] | None = None,
) -> tuple[Table, ...]:
    """A table whose first chain is the base chain on the forward hook."""
    place = {"family": family, "table": name}
    listed: list[dict[str, object]] = [{"table": {"family": family, "name": name, "flags": flags or []}}]
    for number, chain in enumerate(rules):
        hook = {"type": "filter", "hook": "forward", "prio": priority, "policy": policy} if number == 0 else {}
        listed.append({"chain": {**place, "name": chain, **hook}})
    for chain, expressions in rules.items():
        listed += [{"rule": {**place, "chain": chain, "handle": 1, "expr": each}} for each in expressions]
    return tables({"nftables": listed})


DPORT: dict[str, object] = {
    "match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 80}
}
SOURCE: dict[str, object] = {
    "match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "192.0.2.9"}
}
FORWARD = HostAccept("iptables-nft", "ip", "filter", "FORWARD")
USER = HostAccept("iptables-nft", "ip", "filter", "DOCKER-USER")
DROP: dict[str, object] = {"drop": None}
ACCEPT: dict[str, object] = {"accept": None}
REJECT: dict[str, object] = {"reject": {"type": "icmpx"}}
XT_REJECT: dict[str, object] = {"xt": {"type": "target", "name": "REJECT"}}


def jump(target: str) -> dict[str, object]:
    return {"jump": {"target": target}}


@pytest.mark.parametrize(
    ("rules", "policy", "wanted"),
    [
        ({"FORWARD": []}, "accept", False),
        ({"FORWARD": []}, "drop", True),
        ({"FORWARD": [[SOME, DROP]]}, "accept", False),
        ({"FORWARD": [[{"counter": {}}, DROP]]}, "accept", True),
        ({"FORWARD": [[XT_REJECT]]}, "accept", True),
        ({"FORWARD": [[ACCEPT], [DROP]]}, "drop", False),
        ({"FORWARD": [[jump("x")]], "x": [[SOME, ACCEPT], [REJECT]]}, "accept", True),
        ({"FORWARD": [[SOME, jump("x")]], "x": [[REJECT]]}, "accept", False),
        ({"FORWARD": [[jump("x")]], "x": [[{"return": None}], [DROP]]}, "accept", False),
        ({"FORWARD": [[{"goto": {"target": "x"}}], [DROP]], "x": []}, "accept", False),
        ({"FORWARD": [[{"limit": {"rate": 1}}, DROP]]}, "accept", False),
        ({"FORWARD": [[jump("x")]], "x": [[jump("FORWARD")]]}, "accept", False),
    ],
)
def test_what_drops_wants_a_rule(rules: dict[str, list[list[dict[str, object]]]], policy: str, *, wanted: bool) -> None:
    assert wanted_accepts(table(rules, policy=policy)) == ((FORWARD,) if wanted else ())


def test_docker_has_a_chain_for_rules_of_others() -> None:
    rules = {"FORWARD": [[jump("DOCKER-USER")], [jump("DOCKER-FORWARD")]], "DOCKER-USER": [], "DOCKER-FORWARD": []}
    assert wanted_accepts(table(rules, policy="drop")) == (USER,)


def test_native_tables_and_families() -> None:
    found = table({"forward": []}, policy="drop", family="inet", name="host")
    assert wanted_accepts(found) == (HostAccept("nft", "inet", "host", "forward"),)
    assert wanted_accepts(table({"forward": []}, policy="drop", family="bridge")) == ()
    assert wanted_accepts(table({"forward": []}, policy="drop", family="inet", name="netapply")) == ()
    assert wanted_accepts(table({"forward": []}, policy="drop", flags=["dormant"])) == ()


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"FORWARD": [OURS]}, (FORWARD,)),
        ({"FORWARD": [[SOME, ACCEPT], OURS]}, (FORWARD,)),
        ({"FORWARD": [[SOME, DROP], OURS]}, (HostAccept("iptables-nft", "ip", "filter", "FORWARD", 0),)),
        (
            {"FORWARD": [[jump("x")], OURS], "x": [[SOME, DROP]]},
            (HostAccept("iptables-nft", "ip", "filter", "FORWARD", 0),),
        ),
        ({"FORWARD": [[jump("DOCKER-USER")]], "DOCKER-USER": [OURS]}, (USER,)),
        (
            {"FORWARD": [[SOME, DROP], [jump("DOCKER-USER")]], "DOCKER-USER": [OURS]},
            (HostAccept("iptables-nft", "ip", "filter", "DOCKER-USER", 0),),
        ),
        ({"FORWARD": [], "DOCKER-USER": [OURS]}, (HostAccept("iptables-nft", "ip", "filter", "DOCKER-USER", 0),)),
        ({"FORWARD": [[SOME, *OURS]]}, ()),
        ({"FORWARD": [[OURS[0], DROP]]}, ()),
    ],
)
def test_our_rule_is_found_and_must_come_first(
    rules: dict[str, list[list[dict[str, object]]]], expected: tuple[HostAccept, ...]
) -> None:
    assert observed_accepts(table(rules, policy="drop")) == expected


def test_an_owned_table_only_gives_a_warning() -> None:
    found = table({"filter_FORWARD": [[REJECT]]}, family="inet", name="firewalld", priority=10, flags=["owner"])
    assert wanted_accepts(found) == ()
    assert ["firewall-cmd" in warning.hint for warning in warnings(found)] == [True]


def test_a_drop_before_our_chain_only_gives_a_warning() -> None:
    found = table({"early": []}, policy="drop", name="mine", priority=-150)
    assert wanted_accepts(found) == ()
    assert len(warnings(found)) == 1
    assert warnings(table({"late": []}, policy="drop", name="mine")) == ()


LEGACY = """-P INPUT ACCEPT
-P FORWARD DROP
-P OUTPUT ACCEPT
-N DOCKER-USER
-A FORWARD -j DOCKER-USER
-A FORWARD -m comment --comment "log it" -j LOG --log-prefix "drop it"
"""
LEGACY_OURS = "-A DOCKER-USER -m mark --mark 0x2000000/0x2000000 -m comment --comment netapply -j ACCEPT\n"
LEGACY_USER = HostAccept("iptables-legacy", "ip", "filter", "DOCKER-USER")


def test_legacy_rules() -> None:
    assert wanted_accepts([legacy_table("ip", LEGACY)]) == (LEGACY_USER,)
    assert observed_accepts([legacy_table("ip", LEGACY)]) == ()
    assert observed_accepts([legacy_table("ip", LEGACY + LEGACY_OURS)]) == (LEGACY_USER,)
    displaced = legacy_table("ip", LEGACY + "-A DOCKER-USER -p tcp -j DROP\n" + LEGACY_OURS)
    assert [accept.mark for accept in observed_accepts([displaced])] == [0]
    foreign_comment = LEGACY_OURS.replace("netapply", "other")
    assert observed_accepts([legacy_table("ip", LEGACY + foreign_comment)]) == ()


def test_legacy_comment_is_no_condition() -> None:
    text = '-P FORWARD ACCEPT\n-A FORWARD -m comment --comment "no more" -j DROP\n'
    assert len(wanted_accepts([legacy_table("ip6", text)])) == 1


INPUT = """-P INPUT {policy}
-P FORWARD ACCEPT
-P OUTPUT ACCEPT
-N closing
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -s 203.0.113.9/32 -j DROP
{rules}
"""
LEGACY_INPUT = HostAccept("iptables-legacy", "ip", "filter", "INPUT", hook="input")
OUR_INPUT = "-A INPUT -m mark --mark 0x2000000/0x2000000 -m comment --comment netapply -j ACCEPT"


@pytest.mark.parametrize(
    ("policy", "rules", "number"),
    [
        ("ACCEPT", "", None),
        ("DROP", "", 0),
        ("ACCEPT", "-A INPUT -j REJECT --reject-with icmp-host-prohibited", 3),
        ("ACCEPT", "-A INPUT -i lo -j ACCEPT\n-A INPUT -i eth0 -j DROP", 4),
        ("ACCEPT", "-A INPUT ! -i lo -p tcp -m tcp --dport 3306 -j DROP", 3),
        ("ACCEPT", "-A INPUT -m conntrack --ctstate NEW -j DROP", 3),
        ("ACCEPT", "-A INPUT -m conntrack ! --ctstate RELATED,ESTABLISHED -j DROP", 3),
        ("ACCEPT", "-A INPUT -m conntrack ! --ctstate NEW -j DROP", None),
        ("ACCEPT", "-A INPUT -m conntrack --ctstate INVALID -j DROP", None),
        ("ACCEPT", "-A INPUT -m limit --limit 3/min -j DROP", None),
        ("ACCEPT", "-A INPUT -j closing\n-A closing -i eth0 -j DROP", 3),
        ("ACCEPT", "-A INPUT -s 10.0.0.0/8 -j closing\n-A closing -j DROP", None),
    ],
)
def test_where_an_opening_needs_a_rule(policy: str, rules: str, number: int | None) -> None:
    found = legacy_table("ip", INPUT.format(policy=policy, rules=rules))
    wanted = wanted_accepts([found])
    assert wanted == (() if number is None else (LEGACY_INPUT,))
    if wanted:
        place = place_of(found, wanted[0])
        assert (place.number if place else 0) == number


def test_an_openings_rule_that_comes_too_late_is_displaced() -> None:
    early = legacy_table("ip", INPUT.format(policy="DROP", rules=f"{OUR_INPUT}\n-A INPUT -j DROP"))
    late = legacy_table("ip", INPUT.format(policy="DROP", rules=f"-A INPUT -i eth0 -j DROP\n{OUR_INPUT}"))
    assert [accept.mark for accept in observed_accepts([early])] == [MARK]
    assert [accept.mark for accept in observed_accepts([late])] == [0]


def test_hooks_have_warnings_of_their_own() -> None:
    place = {"family": "inet", "table": "firewalld"}
    hook = {"type": "filter", "hook": "input", "prio": 10, "policy": "accept"}
    listed: list[dict[str, object]] = [
        {"table": {"family": "inet", "name": "firewalld", "flags": ["owner"]}},
        {"chain": {**place, "name": "filter_INPUT", **hook}},
        {"rule": {**place, "chain": "filter_INPUT", "expr": [REJECT]}},
    ]
    found = tables({"nftables": listed})
    assert not warnings(found)
    assert not wanted_accepts(found)
    assert ["--add-port" in warning.hint for warning in warnings(found, "input")] == [True]


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ({"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": 8}}, True),
        ({"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["new", "invalid"]}}, True),
        ({"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "invalid"}}, False),
        ({"match": {"op": "!=", "left": {"ct": {"key": "state"}}, "right": {"set": [2, 4]}}}, True),
        ({"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": 6}}, True),
        ({"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 80}}, True),
        (
            {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "10.0.0.1"}},
            False,
        ),
        ({"xt": {"type": "match", "name": "recent"}}, False),
        ({"limit": {"rate": 1}}, False),
    ],
)
def test_what_could_drop_anybody(condition: dict[str, object], *, wanted: bool) -> None:
    place = {"family": "inet", "table": "mine"}
    listed: list[dict[str, object]] = [
        {"table": {"family": "inet", "name": "mine"}},
        {"chain": {**place, "name": "in", "type": "filter", "hook": "input", "prio": 0, "policy": "accept"}},
        {"rule": {**place, "chain": "in", "handle": 7, "expr": [condition, DROP]}},
    ]
    found = tables({"nftables": listed})
    assert bool(wanted_accepts(found)) == wanted


@pytest.mark.parametrize(
    ("rules", "inner", "warned"),
    [
        ([], set(), False),
        ([[SOME, DROP]], set(), True),
        ([[SOME, DROP]], {"eth0"}, False),
        ([[SOME, DROP], [DPORT, DROP]], {"eth0"}, True),
        ([[SOME, ACCEPT], [SOURCE, DROP]], set(), False),
        ([[SOME, jump("more")]], set(), True),
        ([[SOME, jump("more")]], {"eth0"}, False),
    ],
)
def test_rules_that_drop_some_of_what_is_forwarded_are_warned_of(
    rules: list[list[dict[str, object]]], inner: set[str], warned: bool
) -> None:
    found = table({"FORWARD": rules, "more": [[DPORT, DROP]]})
    assert wanted_accepts(found) == ()
    assert [bool(sieve.warning(inner)) for sieve in sieves(found)].count(True) == warned


@pytest.mark.parametrize(("line", "warned"), [("-i eth0", 1), ("! -i eth0", 1), ("-s 10.0.0.0/8", 0), ("-i virbr+", 0)])
def test_legacy_rules_that_drop_some(line: str, warned: int) -> None:
    (sieve, *more) = sieves([legacy_table("ip", f"-P FORWARD ACCEPT\n-A FORWARD {line} -j DROP\n")]) or [None]
    assert not more
    assert bool(sieve and sieve.warning({"virbr0"})) == bool(warned)


def test_our_rule_stays_while_a_rule_after_it_could_drop() -> None:
    """The policy that called for it is accept by now; to take it away would cut what it saves."""
    assert wanted_accepts(table({"FORWARD": [OURS, [SOURCE, DROP]]})) == (FORWARD,)
    assert wanted_accepts(table({"FORWARD": [OURS]})) == ()


def test_where_no_rule_of_ours_helps() -> None:
    early, owned = table({"c": []}, policy="drop", priority=-10), table({"c": []}, policy="drop", flags=["owner"])
    assert [(wanted_accepts(found), len(barriers(found))) for found in (early, owned)] == [((), 1), ((), 1)]
    assert barriers(table({"FORWARD": []}, policy="drop")) == ()
