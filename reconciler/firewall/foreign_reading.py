"""Reads the firewall rules of others, from nft's JSON and from iptables-legacy, into ``foreign``'s terms."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.firewall.foreign import CALLS, COMMENT, FORWARD, HOOKS, INPUT, Chain, Rule, Table
from reconciler.firewall.nftables_layout import FAMILY, TABLE

_FINAL = frozenset({"accept", "drop", "reject"})
_NEVER_DECIDES = frozenset({"counter", "log", "mangle", "notrack", "comment"})
_NEW = 8
"""nft's number for the state of a new connection (NF_CT_STATE_BIT of IP_CT_NEW)."""
_BROAD_META = frozenset({"iif", "iifname", "iiftype", "l4proto", "nfproto", "protocol"})
_BROAD_FIELDS = frozenset({"daddr", "dport", "protocol", "nexthdr"})
_BROAD_MATCHES = frozenset({"tcp", "udp", "sctp", "multiport", "conntrack", "state"})
_BROAD_OPTIONS = frozenset({"-i", "-p", "-d", "--dport", "--dports", "!", "-m"})
_IPTABLES_CHAINS = frozenset({"INPUT", "FORWARD", "OUTPUT"})
_LEGACY_HOOKS = {"FORWARD": FORWARD, "INPUT": INPUT}


def tables(ruleset: Mapping[str, Any]) -> tuple[Table, ...]:
    """The foreign tables of ``nft -j list ruleset`` (terse) that filter IP packets that are forwarded or come in.

    A dormant table does nothing and is left out. The flags of a table must be words.
    """
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    chains: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    rules: dict[tuple[str, str, str], list[Rule]] = {}
    for entry in ruleset["nftables"]:
        ((kind, body),) = entry.items()
        if kind == "table":
            found[body["family"], body["name"]] = body
        elif kind == "chain":
            chains.setdefault((body["family"], body["table"]), {})[body["name"]] = body
        elif kind == "rule":
            rules.setdefault((body["family"], body["table"], body["chain"]), []).append(_rule(body))
    return tuple(
        Table(
            engine=_engine(family, name, chains.get((family, name), {})),
            family=family,
            name=name,
            owned="owner" in body.get("flags", ()),
            chains={
                chain_name: _chain(chain, tuple(rules.get((family, name, chain_name), ())))
                for chain_name, chain in chains.get((family, name), {}).items()
            },
        )
        for (family, name), body in found.items()
        if family in {"ip", "ip6", "inet"} and (family, name) != (FAMILY, TABLE)
        if "dormant" not in body.get("flags", ())
    )


def legacy_table(family: str, listing: str) -> Table:
    """The filter table of iptables-legacy from what its ``-S`` prints; ``family`` is ip or ip6."""
    policies: dict[str, str] = {}
    rules: dict[str, list[Rule]] = {}
    parsed = [shlex.split(line) for line in listing.splitlines()]
    for words in parsed:
        if words[:1] in (["-P"], ["-N"]):
            policies[words[1]] = words[2].lower() if words[0] == "-P" else "accept"
    for words in parsed:
        if words[:1] == ["-A"]:
            rules.setdefault(words[1], []).append(_legacy_rule(words[2:], policies))
    chains = {
        name: Chain(
            policy, 0 if name in _LEGACY_HOOKS else None, tuple(rules.get(name, ())), _LEGACY_HOOKS.get(name, FORWARD)
        )
        for name, policy in policies.items()
    }
    return Table("iptables-legacy", family, "filter", chains=chains)


def _engine(family: str, name: str, chains: Mapping[str, Any]) -> str:
    # iptables-nft keeps its rules in tables of these names, with the old capital chain names.
    is_theirs = family in {"ip", "ip6"} and name == "filter" and not _IPTABLES_CHAINS.isdisjoint(chains)
    return "iptables-nft" if is_theirs else "nft"


def _chain(body: Mapping[str, Any], rules: tuple[Rule, ...]) -> Chain:
    hook = body.get("hook")
    priority = body.get("prio") if hook in HOOKS else None
    return Chain(body.get("policy", "accept"), priority, rules, hook if hook in HOOKS else FORWARD)


def _rule(body: Mapping[str, Any]) -> Rule:
    verdict = target = ""
    conditions: list[Any] = []
    for statement in body["expr"]:
        ((kind, value),) = statement.items()
        if kind == "xt":
            kind, verdict = _extension(value or {}, verdict)
        if kind in CALLS:
            verdict, target = kind, value["target"]
        elif kind in _FINAL or kind == "return":
            verdict = "drop" if kind == "reject" else kind
        elif kind not in _NEVER_DECIDES:
            conditions.append(statement)
    # iptables keeps its comments where nft does not show them.
    could_be_ours = verdict == "accept" and len(conditions) == 1 and body.get("comment", COMMENT) == COMMENT
    mark = _matched_mark(conditions[0].get("match", {})) if could_be_ours else 0
    came_by = next(filter(None, map(_came_by, conditions)), "")
    broad = all(map(_is_broad, conditions))
    return Rule(verdict, target, bool(conditions), mark, body.get("handle", 0), broad, came_by)


def _came_by(condition: Mapping[str, Any]) -> str:
    match condition:
        case {"match": {"op": "==", "left": {"meta": {"key": "iif" | "iifname"}}, "right": str(name)}}:
            return name
    return ""


def _is_broad(condition: Mapping[str, Any]) -> bool:
    """Whether a new connection may meet the condition from wherever it comes."""
    match condition:
        case {"match": {"left": {"meta": {"key": key}}}}:
            return str(key) in _BROAD_META
        case {"match": {"left": {"payload": {"field": field}}}}:
            return str(field) in _BROAD_FIELDS
        case {"match": {"op": operator, "left": {"ct": {"key": "state"}}, "right": states}}:
            return _names_new(states) == (str(operator) != "!=")
        case {"xt": {"name": name}}:
            # Only its name is listed. What looks at the state of connections drops invalid ones as a rule.
            return str(name) in _BROAD_MATCHES - {"conntrack", "state"}
    return False


def _names_new(states: Any) -> bool:
    match states:
        case int():
            return bool(states & _NEW)
        case list():
            return any(map(_names_new, states))
        case {"set": listed} | {"|": listed}:
            return _names_new(listed)
    return bool(states == "new")


def _extension(value: Mapping[str, Any], verdict: str) -> tuple[str, str]:
    """An iptables extension as a kind of statement, and the verdict after it."""
    name = value.get("name", "")
    if value.get("type") == "target":
        return ("reject", "drop") if name == "REJECT" else ("log", verdict)
    return ("comment", verdict) if name == "comment" else ("extension", verdict)


def _matched_mark(match: Mapping[str, Any]) -> int:
    """The bit, for a match of the form ``meta mark & bit == bit``."""
    left, right = match.get("left"), match.get("right")
    if match.get("op") != "==" or not isinstance(right, int) or not right:
        return 0
    return right if left == {"&": [{"meta": {"key": "mark"}}, right]} else 0


def _legacy_rule(words: Sequence[str], chains: Mapping[str, str]) -> Rule:
    verdict = target = ""
    conditions: list[str] = []
    comment = ""
    remaining = iter(words)
    for word in remaining:
        if word in {"-j", "-g"}:
            name = next(remaining, "")
            if name in chains:
                verdict, target = ("jump" if word == "-j" else "goto"), name
            else:
                verdict = {"ACCEPT": "accept", "DROP": "drop", "REJECT": "drop", "RETURN": "return"}.get(name, "")
            # What follows are the target's own options.
            break
        if word == "--comment":
            comment = next(remaining, "")
        else:
            conditions.append(word)
    conditions = _without_comment(conditions)
    mark = _legacy_mark(conditions) if verdict == "accept" and comment == COMMENT else 0
    by = conditions.index("-i") if "-i" in conditions else 0
    came_by = conditions[by + 1] if "-i" in conditions and conditions[by - 1 : by] != ["!"] else ""
    return Rule(verdict, target, bool(conditions), mark, broad=_is_broad_legacy(conditions), came_by=came_by)


def _is_broad_legacy(conditions: Sequence[str]) -> bool:
    negated = False
    words = iter(conditions)
    for word in words:
        if word in {"--ctstate", "--state"}:
            if ("NEW" in next(words, "").split(",")) == negated:
                return False
        elif word not in _BROAD_OPTIONS or (word == "-m" and next(words, "") not in _BROAD_MATCHES):
            return False
        elif word.startswith("-") and word != "-m":
            next(words, "")
        negated = word == "!"
    return True


def _without_comment(conditions: Sequence[str]) -> list[str]:
    text = "\0".join(conditions)
    return [word for word in text.replace("-m\0comment", "").split("\0") if word]


def _legacy_mark(conditions: Sequence[str]) -> int:
    match conditions:
        case ["-m", "mark", "--mark", text]:
            value, _, mask = text.partition("/")
            return int(value, 16) if value == mask else 0
    return 0
