"""Changes of firewall policy as edits of our chains in the tables of iptables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconciler.errors import NetapplyError, Problem
from reconciler.firewall.allow import AllowPolicy
from reconciler.firewall.iptables_chains import CHAINS, TABLES, jump_to, places
from reconciler.firewall.iptables_layout import Layout, Supported, layout, rules_of
from reconciler.firewall.iptables_parse import mark_of, parse
from reconciler.firewall.iptables_rules import Jump, Place, Rule, Table, Tables
from reconciler.firewall.pair import Pair, base_of
from reconciler.firewall.policy import FirewallBase
from reconciler.firewall.translation import EgressPolicy, FloatingPolicy
from reconciler.state import Key, Resource

_KEYS: Final[Mapping[type, str]] = {
    FloatingPolicy: "floating_ip",
    EgressPolicy: "egress_ip",
    AllowPolicy: "allow",
}
"""What only nftables can do, by the manifest's words."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What becomes of one chain: ``removed`` rules from ``start`` on give way to ``added``.

    ``length`` is how many rules the chain had when this was decided, -1 if it was not there;
    whoever carries it out refuses a chain of another length.
    """

    chain: str
    length: int
    start: int
    removed: int
    added: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class TableEdit:
    """Everything that becomes of one table in one commit.

    ``jumps``: base chain -> the one rule at its head that leads to a chain of ours, or None
    for none; base chains that are not named keep what they have. ``gone``: chains to remove.
    """

    place: Place
    edits: tuple[Edit, ...] = ()
    jumps: tuple[tuple[str, Rule | None], ...] = ()
    gone: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The edit for JSON."""
        return {
            "table": self.place[1],
            "edits": [[e.chain, e.length, e.start, e.removed, list(e.added)] for e in self.edits],
            "jumps": dict(self.jumps),
            "gone": list(self.gone),
        }


def edits(changes: Sequence[Pair], tables: Tables, families: Sequence[int]) -> tuple[TableEdit, ...]:
    """What makes the tables carry out the policies that stand in them, changed as ``changes`` say.

    Only FirewallBase and what this backend supports count. Everything of ours that is
    not as it should be is put right too. Deleting the FirewallBase removes all that is ours.
    The result is in the order in which it is to be carried out.

    Raises NetapplyError for a name or an address that cannot stand in a rule.
    """
    before, after = base_of(changes)
    if before and not after:
        return _all(tables, {place: {} for place in tables}, reversed(TABLES))
    policies: dict[Key, Supported] = {
        policy.key: policy for policy in parse(tables, families) if not isinstance(policy, FirewallBase)
    }
    # All that go before all that come: what one leaves, such as a host port, another may take.
    for old, _ in changes:
        if isinstance(old, Supported):
            policies.pop(old.key, None)
    policies |= {new.key: new for _, new in changes if isinstance(new, Supported)}
    if not (after or policies) and all(table.is_empty for table in tables.values()):
        return ()
    mark = after.mark if after else mark_of(tables)
    return _all(tables, layout(policies.values(), mark, families), TABLES)


def unsupported(resources: Iterable[Resource]) -> tuple[Problem, ...]:
    """What of the wanted policies this backend cannot do, at the lines of the manifest that ask for it."""
    problems: list[Problem] = []
    for resource in resources:
        key = _KEYS.get(type(resource))
        if key:
            message = f"{key} of {resource.subject} is not possible with the iptables backend"
            problems.append(Problem(message, resource.source, "use --firewall nftables, or remove it"))
        elif isinstance(resource, Supported):
            problems += _unsayable(resource)
    return tuple(dict.fromkeys(problems))


def supports(resource: Resource) -> bool:
    """Whether this backend can carry the policy out."""
    return isinstance(resource, Supported) and not _unsayable(resource)


def _unsayable(policy: Supported) -> tuple[Problem, ...]:
    try:
        rules_of(policy)
    except NetapplyError as error:
        return error.problems
    return ()


def _all(tables: Tables, wanted: Layout, order: Iterable[str]) -> tuple[TableEdit, ...]:
    found = [
        _of_table(place, tables.get(place, Table()), wanted[place])
        for name in order
        for place in places((4, 6))
        if place[1] == name and place in wanted
    ]
    return tuple(edit for edit in found if edit.edits or edit.jumps or edit.gone)


def _of_table(place: Place, table: Table, wanted: Mapping[str, tuple[Rule, ...]]) -> TableEdit:
    chain_edits = [
        _edit(name, table.chains.get(name), rules) for name, rules in wanted.items() if table.chains.get(name) != rules
    ]
    expected = {base: name for (of, name), base in CHAINS.items() if base and of == place[1] and name in wanted}
    jumps = []
    for base in sorted({*table.jumps, *expected}):
        rule = jump_to(expected[base]) if base in expected else None
        if table.jumps.get(base, ()) != ((Jump(0, rule),) if rule else ()):
            jumps.append((base, rule))
    gone = tuple(sorted(name for name in table.chains if name not in wanted))
    return TableEdit(place, tuple(chain_edits), tuple(jumps), gone)


def _edit(chain: str, old: tuple[Rule, ...] | None, new: tuple[Rule, ...]) -> Edit:
    """The shortest single span that makes ``old`` into ``new``, so that one port costs one rule."""
    present = old or ()
    shorter = min(len(present), len(new))
    start = next((i for i in range(shorter) if present[i] != new[i]), shorter)
    left = shorter - start
    kept = next((i for i in range(left) if present[-1 - i] != new[-1 - i]), left)
    return Edit(
        chain,
        len(present) if old is not None else -1,
        start,
        len(present) - kept - start,
        new[start : len(new) - kept],
    )
