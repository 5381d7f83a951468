"""Firewall rules of others on the forward hook: which would drop our traffic, and what to do about it.

An accept in our table does not overrule a drop in another's. Where another's base chain would
drop what we accepted, one rule of ours at its head accepts the bit that we marked it with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from reconciler.errors import Problem
from reconciler.firewall.policy import MARK, HostAccept

COMMENT: Final = "netapply"
"""The comment of our rule."""

_USER_CHAIN = "DOCKER-USER"
_OUR_PRIORITY = -5
CALLS: Final = frozenset({"jump", "goto"})
"""Verdicts that go to another chain."""


class Rule(NamedTuple):
    """A rule, as far as it matters here.

    ``verdict`` is accept, drop, return, jump, goto or empty; ``conditional``: only some
    packets meet it. ``accepts_mark`` is the bit that a rule which could be ours accepts, else
    0; ``handle`` is nft's number of the rule.
    """

    verdict: str
    target: str = ""
    conditional: bool = False
    accepts_mark: int = 0
    handle: int = 0


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain; ``priority`` is None unless it is a base chain on the forward hook."""

    policy: str = "accept"
    priority: int | None = None
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A foreign table; ``owned``: its owner flag makes the kernel refuse our changes."""

    engine: str
    family: str
    name: str
    owned: bool = False
    chains: Mapping[str, Chain] = field(default_factory=dict)


def wanted_accepts(found: Sequence[Table], mark: int = MARK) -> tuple[HostAccept, ...]:
    """The rules of ours that our traffic needs in these tables."""
    return tuple(
        HostAccept(table.engine, table.family, table.name, _place(table, name), mark)
        for table, name in _dropping(found)
        if not table.owned and _comes_after_us(table.chains[name])
    )


def observed_accepts(found: Sequence[Table], mark: int = MARK) -> tuple[HostAccept, ...]:
    """The rules of ours that stand in these tables.

    One that has no effect, because a rule before it could drop our traffic, is read back
    with mark 0: it differs from what is wanted, and is put to the head again.
    """
    return tuple(
        HostAccept(table.engine, table.family, table.name, name, mark if _is_first(table, name, mark) else 0)
        for table in found
        for name, chain in table.chains.items()
        if any(rule.accepts_mark == mark for rule in chain.rules)
    )


def warnings(found: Sequence[Table]) -> tuple[Problem, ...]:
    """What drops our traffic and cannot be helped by a rule of ours, with what to run."""
    problems = []
    for table, name in _dropping(found):
        where = f"chain {name} of the host's table {table.family} {table.name}"
        if table.owned:
            problems.append(
                Problem(f"{where} drops forwarded traffic and refuses a rule of ours", None, _advice(table), "warning")
            )
        elif not _comes_after_us(table.chains[name]):
            hint = f"give it a priority above {_OUR_PRIORITY}, or accept the traffic of netapply's bridges in it"
            problems.append(Problem(f"{where} drops forwarded traffic before netapply sees it", None, hint, "warning"))
    return tuple(problems)


def our_handles(table: Table, chain_name: str, mark: int = MARK) -> tuple[int, ...]:
    """nft's handles of our rules in a chain; with iptables only their number counts."""
    chain = table.chains.get(chain_name, Chain())
    return tuple(rule.handle for rule in chain.rules if rule.accepts_mark == mark)


def _advice(table: Table) -> str:
    if table.name == "firewalld":
        return "run: firewall-cmd --permanent --zone=trusted --add-interface=BRIDGE, for each bridge; firewall-cmd --reload"
    return f"its owner must accept packets with the mark {MARK:#x}/{MARK:#x}"


def _dropping(found: Sequence[Table]) -> Iterator[tuple[Table, str]]:
    """The base chains on the forward hook at whose end a packet of ours would be dropped."""
    for table in found:
        for name, chain in table.chains.items():
            if chain.priority is not None and (_fate(table, name, frozenset()) or chain.policy) == "drop":
                yield table, name


def _comes_after_us(chain: Chain) -> bool:
    return chain.priority is not None and chain.priority > _OUR_PRIORITY


def _fate(table: Table, chain_name: str, seen: frozenset[str]) -> str:
    """What becomes of a packet that meets no condition: accept, drop, or empty for the end of the chain."""
    if chain_name in seen:
        return ""
    for rule in table.chains.get(chain_name, Chain()).rules:
        if rule.conditional:
            continue
        if rule.verdict in {"accept", "drop"}:
            return rule.verdict
        if rule.verdict == "return":
            return ""
        if rule.verdict in CALLS:
            fate = _fate(table, rule.target, seen | {chain_name})
            if fate or rule.verdict == "goto":
                return fate
    return ""


def _could_drop(table: Table, rule: Rule, seen: frozenset[str] = frozenset()) -> bool:
    if rule.verdict in CALLS and rule.target not in seen:
        called = table.chains.get(rule.target, Chain()).rules
        return any(_could_drop(table, each, seen | {rule.target}) for each in called)
    return rule.verdict == "drop"


def _place(table: Table, base_name: str) -> str:
    """Where our rule belongs: Docker keeps one chain for the rules of others, and puts it first."""
    jumps = any(
        rule.verdict == "jump" and rule.target == _USER_CHAIN and not rule.conditional
        for rule in table.chains[base_name].rules
    )
    return _USER_CHAIN if jumps else base_name


def _is_first(table: Table, chain_name: str, mark: int) -> bool:
    """Whether nothing that could drop comes before our rule, nor before the jump to its chain."""
    if not _clear_until(table, chain_name, lambda rule: rule.accepts_mark == mark):
        return False
    bases = [name for name, chain in table.chains.items() if chain.priority is not None]
    if chain_name in bases:
        return True
    return any(
        _clear_until(table, base, lambda rule: rule.target == chain_name and not rule.conditional) for base in bases
    )


def _clear_until(table: Table, chain_name: str, is_wanted: Callable[[Rule], bool]) -> bool:
    for rule in table.chains[chain_name].rules:
        if is_wanted(rule):
            return True
        if _could_drop(table, rule):
            return False
    return False
