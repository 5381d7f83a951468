"""Reads our chains in the tables of iptables back into policy.

Comments only say what to look for: something is policy if every rule that writing it would
give is there, all of its parameters included. The chains are intact if they hold exactly the
rules of what was found, in the order in which we write them, and if one jump at the head of
each base chain leads to them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address

from reconciler.errors import NetapplyError
from reconciler.firewall.iptables_chains import (
    CHAINS,
    FORWARD,
    INPUT,
    JUDGE,
    PASS,
    PORTS,
    ROUTED,
    SOURCES,
    SPOOFED,
    WILDCARDS,
    is_label,
    jump_to,
)
from reconciler.firewall.iptables_layout import Layout, Supported, layout, rules_of
from reconciler.firewall.iptables_rules import Jump, Place, Rule, Table, Tables
from reconciler.firewall.opening import Opening
from reconciler.firewall.policy import MARK, FirewallBase, NetworkPolicy, PublishedPort
from reconciler.firewall.spans import ordered

BACKEND = "iptables"

_COMMAND = {4: "iptables", 6: "ip6tables"}
_MODES = frozenset({"nat", "nat-unprotected", "routed", "isolated"})
_NOTHING = Table()


def parse(tables: Tables, families: Sequence[int]) -> list[FirewallBase | Supported]:
    """The policies that our chains carry out, the FirewallBase first; nothing where nothing of ours stands.

    ``families`` are those of the host: 4, and 6 where it has IPv6.
    """
    if all(table.is_empty for table in tables.values()):
        return []
    mark = mark_of(tables)
    policies = _explained(tables, families)
    strays = differences(tables, layout(policies, mark, families))
    return [FirewallBase(BACKEND, intact=not strays, mark=mark, strays=strays), *policies]


def mark_of(tables: Tables) -> int:
    """The bit that our rules set, or the default where they set none."""
    for rule in tables.get((4, "mangle"), _NOTHING).chains.get(PASS, ()):
        value, _, mask = dict(rule.parameters).get("set-xmark", "").partition("/")
        if value and value == mask:
            return int(value, 16)
    return MARK


def differences(tables: Tables, wanted: Layout) -> tuple[str, ...]:
    """What of ours is not as wanted, in the words of iptables: missing, not ours, or out of order."""
    found = []
    for place in sorted({*tables, *wanted}):
        table, chains = tables.get(place, _NOTHING), wanted.get(place, {})
        found += [f"{_where(place)}: {text}" for text in (*_in_chains(table, chains), *_in_bases(place, table, chains))]
    return tuple(found)


def _where(place: Place) -> str:
    family, table = place
    return f"{_COMMAND[family]} -t {table}"


def _in_chains(table: Table, wanted: Mapping[str, tuple[Rule, ...]]) -> Iterator[str]:
    for name in sorted({*table.chains, *wanted}):
        if name not in wanted:
            yield f"chain {name} is not ours"
        elif name not in table.chains:
            yield f"chain {name} is missing"
        elif table.chains[name] != wanted[name]:
            actual, expected = Counter(table.chains[name]), Counter(wanted[name])
            yield from (f"-A {name} {rule.text()} is not ours" for rule in (actual - expected).elements())
            yield from (f"-A {name} {rule.text()} is missing" for rule in (expected - actual).elements())
            if actual == expected:
                yield f"the rules of {name} are out of order"


def _in_bases(place: Place, table: Table, wanted: Mapping[str, tuple[Rule, ...]]) -> Iterator[str]:
    expected = {base: name for (of, name), base in CHAINS.items() if base and of == place[1] and name in wanted}
    for base in sorted({*table.jumps, *expected}):
        jumps = table.jumps.get(base, ())
        right = (Jump(0, jump_to(expected[base])),) if base in expected else ()
        if jumps != right:
            yield f"{base} does not begin with its one jump to {expected.get(base, 'our chains')}"


def _explained(tables: Tables, families: Sequence[int]) -> list[Supported]:
    """The policies whose rules all stand; of two that say they are the same one, the first."""
    actual = {
        (*place, name): frozenset(rules) for place, table in tables.items() for name, rules in table.chains.items()
    }
    found: dict[object, Supported] = {}
    candidates: list[Supported] = [*_networks(tables, families), *_ports(tables), *_openings(tables)]
    for policy in candidates:
        try:
            expected = [placed for placed in rules_of(policy) if placed.family in families]
        except (NetapplyError, ValueError):
            # Words that we would never write.
            continue
        if all(p.rule in actual.get((p.family, p.table, p.chain), frozenset()) for p in expected):
            found.setdefault(policy.key, policy)
    return list(found.values())


def _networks(tables: Tables, families: Sequence[int]) -> Iterator[NetworkPolicy]:
    """Networks by the comment of their first rule in FORWARD, which must be there in each family."""
    words: dict[tuple[str, str], dict[int, list[str]]] = defaultdict(dict)
    for family in families:
        for rule in _rules(tables, family, "mangle", FORWARD):
            if rule.in_interface and rule.target == JUDGE:
                label, *rest = rule.comment.split(" ")
                words[label, rule.in_interface].setdefault(family, rest)
    subnets = _by_label(tables, families, SPOOFED, lambda rule: (rule.in_interface, rule.source))
    trusted = _by_label(tables, families, JUDGE, lambda rule: (rule.out_interface, rule.in_interface))
    for (label, bridge), by_family in words.items():
        if is_label(label) and len(by_family) == len(families):
            outside = sorted({name for name in trusted[label, bridge] if name not in {"", bridge}})
            place = (label, bridge, tuple(sorted(subnets[label, bridge] - {""})), tuple(outside))
            network = _network(place, by_family)
            if network is not None:
                yield network


def _network(
    place: tuple[str, str, tuple[str, ...], tuple[str, ...]], by_family: Mapping[int, Sequence[str]]
) -> NetworkPolicy | None:
    label, bridge, subnets, trusted = place
    flags = {family: {word.partition("=")[0] for word in words} for family, words in by_family.items()}
    values = {family: dict(word.split("=", 1) for word in words if "=" in word) for family, words in by_family.items()}
    if any(found.get("mode", "nat") not in _MODES for found in values.values()):
        return None
    return NetworkPolicy(
        owner=label.partition("/")[0],
        network=label,
        interface=bridge,
        subnets=subnets,
        internal="internal" in flags[4],
        icc="apart" not in flags[4],
        masquerade4="masquerade" in flags[4],
        masquerade6="masquerade" in flags.get(6, ()),
        snat4=values[4].get("snat", ""),
        snat6=values.get(6, {}).get("snat", ""),
        mode4=values[4].get("mode", "nat"),
        mode6=values.get(6, {}).get("mode", "nat"),
        trusted_interfaces=trusted,
        masquerade_ports=_range(next((found["masquerade"] for found in values.values() if "masquerade" in found), "")),
    )


def _range(text: str) -> tuple[int, int] | None:
    found = re.fullmatch("([0-9]{1,5})-([0-9]{1,5})", text)
    return (int(found[1]), int(found[2])) if found else None


def _rules(tables: Tables, family: int, table: str, chain: str) -> tuple[Rule, ...]:
    return tables.get((family, table), _NOTHING).chains.get(chain, ())


def _by_label(
    tables: Tables, families: Iterable[int], chain: str, pair: Callable[[Rule], tuple[str, str]]
) -> dict[tuple[str, str], set[str]]:
    """Comment and bridge -> what stands beside the bridge in the rules of a chain; ``pair`` takes both from a rule."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for family in families:
        for rule in _rules(tables, family, "mangle", chain):
            bridge, other = pair(rule)
            found[rule.comment, bridge].add(other)
    return found


def _ports(tables: Tables) -> Iterator[PublishedPort]:
    for family in (4, 6):
        sources = _sources(_rules(tables, family, "mangle", SOURCES), "RETURN")
        routed = _sources(_rules(tables, family, "mangle", ROUTED), PASS)
        for rule in _rules(tables, family, "nat", PORTS):
            target = dict(rule.parameters).get("to-destination", "")
            yield from _port(family, rule, target, sources.get(_without_source(rule), set()))
        for bare, subnets in routed.items():
            yield from _port(family, bare._replace(target=PASS), "", subnets)


def _sources(rules: Iterable[Rule], target: str) -> dict[Rule, set[str]]:
    """The sources of the rules that differ in nothing else; the rule without source and target is their key."""
    found: dict[Rule, set[str]] = defaultdict(set)
    for rule in rules:
        if rule.target == target and rule.protocol and rule.matches:
            found[_without_source(rule)].add(rule.source)
    return found


def _without_source(rule: Rule) -> Rule:
    return rule._replace(target="", goto=False, source="", parameters=())


def _port(family: int, rule: Rule, target: str, sources: Iterable[str]) -> Iterator[PublishedPort]:
    address, _, port = target.rpartition(":")
    try:
        host_port = int(_destination_ports(rule))
        routed = rule.target == PASS
        host_address = str(ip_address(rule.destination.partition("/")[0] or WILDCARDS[family]))
        target_address = host_address if routed else str(ip_address(address.strip("[]")))
        target_port = host_port if routed else int(port)
        subnets = ordered(source for source in sources if source)
    except ValueError:
        return
    yield PublishedPort(
        owner=rule.comment.partition("/")[0],
        container=rule.comment,
        protocol=rule.protocol,
        host_address=host_address,
        host_port=host_port,
        target_address=target_address,
        target_port=target_port,
        routed=routed,
        sources=subnets,
    )


def _destination_ports(rule: Rule) -> str:
    return dict(rule.matches[0][1]).get("dport", "") if rule.matches else ""


def _openings(tables: Tables) -> Iterator[Opening]:
    """What is opened to all is so in each family; a source is of one."""
    found: dict[Rule, set[str]] = defaultdict(set)
    for family in (4, 6):
        for bare, sources in _sources(_rules(tables, family, "mangle", INPUT), PASS).items():
            found[bare] |= sources
    for rule, sources in found.items():
        first, _, last = _destination_ports(rule).partition(":")
        try:
            subnets = () if "" in sources else ordered(sources)
            ports = (int(first), int(last or first))
        except ValueError:
            continue
        yield Opening(rule.comment.partition("/")[0], rule.comment, rule.protocol, *ports, subnets)
