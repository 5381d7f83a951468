"""Firewall rules of others on the forward and input hooks: which would drop our traffic, and what to do about it.

An accept in our table does not overrule a drop in another's. Where another's base chain would
drop what we accepted, one rule of ours in it accepts the bit that we marked it with. On the
forward hook, through which all goes that containers say to others, it stands at the head; once
there it stays as long as a rule after it could drop anything. Rules that drop some of what is
forwarded, where the rest passes, somebody wrote on purpose: they are only warned of. On the
input hook, for what is opened to containers in host mode, it stands before the first rule that
could drop any new connection: a ban of single sources that comes before stays in force.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from reconciler.errors import Problem
from reconciler.firewall.policy import MARK, HostAccept

COMMENT: Final = "netapply"
"""The comment of our rule."""

FORWARD: Final = "forward"
INPUT: Final = "input"
HOOKS: Final = (FORWARD, INPUT)

_USER_CHAIN = "DOCKER-USER"
_OUR_PRIORITY = -5
CALLS: Final = frozenset({"jump", "goto"})
"""Verdicts that go to another chain."""


class Rule(NamedTuple):
    """A rule, as far as it matters here.

    ``verdict`` is accept, drop, return, jump, goto or empty; ``conditional``: only some
    packets meet it; ``broad``: a new connection may meet it from wherever it comes, for only
    interface, protocol, destination and port count; ``came_by`` is the interface that it must have
    come by, empty for any. ``accepts_mark`` is the bit that a rule which
    could be ours accepts, else 0; ``handle`` is nft's number of the rule.
    """

    verdict: str
    target: str = ""
    conditional: bool = False
    accepts_mark: int = 0
    handle: int = 0
    broad: bool = True
    came_by: str = ""


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain; ``priority`` is None unless it is a base chain on the hook ``hook``."""

    policy: str = "accept"
    priority: int | None = None
    rules: tuple[Rule, ...] = ()
    hook: str = FORWARD


@dataclass(frozen=True, slots=True)
class Table:
    """A foreign table; ``owned``: its owner flag makes the kernel refuse our changes."""

    engine: str
    family: str
    name: str
    owned: bool = False
    chains: Mapping[str, Chain] = field(default_factory=dict)


def wanted_accepts(found: Sequence[Table], mark: int = MARK) -> tuple[HostAccept, ...]:
    """The rules of ours that our traffic needs in these tables, and that openings need, told apart by ``hook``."""
    return tuple(
        _accept(table, name, mark) for table, name in _all_dropping(found, mark) if _is_open_to_us(table, name)
    )


@dataclass(frozen=True, slots=True)
class Barrier:
    """A chain in which no rule of ours helps: what it does not accept itself it drops, before us or in spite of us.

    ``named`` are the interfaces that rules of its table speak of: what comes by one of them is taken for accepted.
    """

    chain: HostAccept
    named: tuple[str, ...] = ()


def barriers(found: Sequence[Table], mark: int = MARK) -> tuple[Barrier, ...]:
    """The chains that drop our traffic, and that we can put no rule into that would help."""
    return tuple(
        Barrier(_accept(table, name, mark), _named(table))
        for table, name in _all_dropping(found, mark)
        if not _is_open_to_us(table, name)
    )


def _named(table: Table) -> tuple[str, ...]:
    names = {rule.came_by for chain in table.chains.values() for rule in chain.rules if rule.verdict != "drop"}
    return tuple(sorted(names - {""}))


def _all_dropping(found: Sequence[Table], mark: int) -> Iterator[tuple[Table, str]]:
    return (each for hook in HOOKS for each in _dropping(found, hook, mark))


def _accept(table: Table, chain_name: str, mark: int) -> HostAccept:
    hook = table.chains[chain_name].hook
    return HostAccept(table.engine, table.family, table.name, _place(table, chain_name), mark, hook)


def _is_open_to_us(table: Table, chain_name: str) -> bool:
    return not table.owned and _comes_after_us(table.chains[chain_name])


def observed_accepts(found: Sequence[Table], mark: int = MARK) -> tuple[HostAccept, ...]:
    """The rules of ours that stand in these tables.

    One that has no effect, because a rule before it could drop our traffic, is read back
    with mark 0: it differs from what is wanted, and is put to its place again.
    """
    return tuple(
        HostAccept(
            table.engine, table.family, table.name, name, mark if _is_first(table, name, mark) else 0, chain.hook
        )
        for table in found
        for name, chain in table.chains.items()
        if any(rule.accepts_mark == mark for rule in chain.rules)
    )


class Sieve(NamedTuple):
    """A chain that drops some of what is forwarded: ``where`` names it; it may drop what came by one of ``came_by``.

    An empty name among those is any interface.
    """

    where: str
    came_by: frozenset[str]

    def warning(self, inner: Collection[str]) -> Problem | None:
        """None where it concerns only what comes by links that lead to no other machine, as a hypervisor's rules do."""
        if all(any(_is_named(name, pattern) for name in inner) for pattern in self.came_by):
            return None
        hint = "see which of its rules drop what you publish: netapply changes no rule of others"
        message = f"{self.where} drops some of what is forwarded, published ports perhaps"
        return Problem(message, None, hint, "warning")


def _is_named(name: str, pattern: str) -> bool:
    """iptables ends a pattern with +, nft with *."""
    return name.startswith(pattern[:-1]) if pattern.endswith(("+", "*")) else name == pattern


def sieves(found: Sequence[Table], mark: int = MARK) -> tuple[Sieve, ...]:
    """The base chains on the forward hook that let pass what no rule drops, and have rules that drop by more than a source."""
    decided = {(table.engine, table.family, table.name, name) for table, name in _dropping(found, FORWARD, mark)}
    return tuple(
        Sieve(f"chain {name} of the host's table {table.family} {table.name}", came_by)
        for table in found
        for name, chain in table.chains.items()
        if chain.priority is not None and chain.hook == FORWARD
        if (table.engine, table.family, table.name, name) not in decided
        if (came_by := frozenset(_dropped_from(table, name, "", frozenset())))
    )


def _dropped_from(table: Table, chain_name: str, came_by: str, seen: frozenset[str]) -> Iterator[str]:
    """By which interfaces it must come what the chain drops whoever sent it; empty is any."""
    for rule in table.chains.get(chain_name, Chain()).rules:
        by = rule.came_by or came_by
        if not rule.broad:
            continue
        if rule.verdict == "drop":
            yield by
        elif rule.verdict in CALLS and rule.target not in seen:
            yield from _dropped_from(table, rule.target, by, seen | {chain_name})


def warnings(found: Sequence[Table], hook: str = FORWARD) -> tuple[Problem, ...]:
    """What drops our traffic on that hook and cannot be helped by a rule of ours, with what to run."""
    traffic, advice = {
        FORWARD: ("forwarded traffic", "accept the traffic of netapply's bridges in it"),
        INPUT: ("traffic to opened ports", "open the ports in it"),
    }[hook]
    problems = []
    for table, name in _dropping(found, hook, MARK):
        where = f"chain {name} of the host's table {table.family} {table.name}"
        if table.owned:
            message = f"{where} drops {traffic} and refuses a rule of ours"
            problems.append(Problem(message, None, _advice(table, hook), "warning"))
        elif not _comes_after_us(table.chains[name]):
            hint = f"give it a priority above {_OUR_PRIORITY}, or {advice}"
            problems.append(Problem(f"{where} drops {traffic} before netapply sees it", None, hint, "warning"))
    return tuple(problems)


class Place(NamedTuple):
    """Before which rule ours belongs: its number, counted from 1 without ours, and nft's handle of it."""

    number: int
    handle: int


def place_of(table: Table | None, accept: HostAccept) -> Place | None:
    """Where our rule belongs among those of its chain; None: at the end."""
    rules = [rule for rule in table.chains[accept.chain].rules if rule.accepts_mark != accept.mark] if table else []
    for number, rule in enumerate(rules, 1):
        if accept.hook == FORWARD or (table and _could_drop(table, rule, broadly=True)):
            return Place(number, rule.handle)
    return None


def our_handles(table: Table, chain_name: str, mark: int = MARK) -> tuple[int, ...]:
    """nft's handles of our rules in a chain; with iptables only their number counts."""
    chain = table.chains.get(chain_name, Chain())
    return tuple(rule.handle for rule in chain.rules if rule.accepts_mark == mark)


def _advice(table: Table, hook: str) -> str:
    if table.name == "firewalld" and hook == INPUT:
        return "run: firewall-cmd --permanent --add-port=PORT/PROTOCOL, for each; firewall-cmd --reload"
    if table.name == "firewalld":
        return "run: firewall-cmd --permanent --zone=trusted --add-interface=BRIDGE, for each bridge; firewall-cmd --reload"
    return f"its owner must accept packets with the mark {MARK:#x}/{MARK:#x}"


def _dropping(found: Sequence[Table], hook: str, mark: int) -> Iterator[tuple[Table, str]]:
    """The base chains on that hook at whose end a packet of ours would be dropped, on input also on the way there."""
    for table in found:
        for name, chain in table.chains.items():
            if chain.priority is None or chain.hook != hook:
                continue
            ends = (_fate(table, name, frozenset()) or chain.policy) == "drop"
            if ends or (_drops_some(table, name) if hook == INPUT else _is_needed_still(table, name, mark)):
                yield table, name


def _drops_some(table: Table, chain_name: str) -> bool:
    return any(_could_drop(table, rule, broadly=True) for rule in table.chains[chain_name].rules)


def _is_needed_still(table: Table, chain_name: str, mark: int) -> bool:
    """Whether our rule stands there, and saves our traffic from anything: taking it away would cut connections."""
    place = table.chains.get(_place(table, chain_name), Chain())
    stands = any(rule.accepts_mark == mark for rule in place.rules)
    return stands and any(_could_drop(table, rule) for rule in table.chains[chain_name].rules)


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


def _could_drop(table: Table, rule: Rule, seen: frozenset[str] = frozenset(), *, broadly: bool = False) -> bool:
    """Whether a rule, or what it calls, drops anything; ``broadly``: any new connection, by whomever."""
    if broadly and not rule.broad:
        return False
    if rule.verdict in CALLS and rule.target not in seen:
        called = table.chains.get(rule.target, Chain()).rules
        return any(_could_drop(table, each, seen | {rule.target}, broadly=broadly) for each in called)
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
    bases = [name for name, chain in table.chains.items() if chain.priority is not None and chain.hook == FORWARD]
    if table.chains[chain_name].priority is not None:
        return True
    return any(
        _clear_until(table, base, lambda rule: rule.target == chain_name and not rule.conditional) for base in bases
    )


def _clear_until(table: Table, chain_name: str, is_wanted: Callable[[Rule], bool]) -> bool:
    for rule in table.chains[chain_name].rules:
        if is_wanted(rule):
            return True
        if _could_drop(table, rule, broadly=table.chains[chain_name].hook == INPUT):
            return False
    return False
