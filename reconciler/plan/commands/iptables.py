"""Edits of our chains in iptables' legacy tables as what ``iptables-restore`` reads: each table in one commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from reconciler.firewall.iptables import Edit, TableEdit, edits
from reconciler.firewall.iptables_chains import CHAINS, jump_to, places
from reconciler.firewall.iptables_layout import layout
from reconciler.firewall.iptables_rules import PREFIX, Jump, Place, Rule, Table
from reconciler.firewall.opening import Opening
from reconciler.firewall.pair import Pair
from reconciler.firewall.policy import FirewallBase, HostAccept, NetworkPolicy, PublishedPort
from reconciler.firewall.switching import Held
from reconciler.plan.commands.words import fed, line, remark

_FAMILIES: Final = (4, 6)
_PROGRAMS: Final = {4: "iptables-legacy", 6: "ip6tables-legacy"}


def program(accept: HostAccept) -> str:
    """The program that keeps the chain with our one rule in it."""
    name = "ip6tables" if accept.family == "ip6" else "iptables"
    return f"{name}-{accept.engine.removeprefix('iptables-')}"


def lines(pairs: Sequence[Pair], standing: Sequence[Held]) -> Iterator[str]:
    """What makes the changes where those policies stand.

    Raises NetapplyError for a name or an address that cannot stand in a rule.
    """
    base = next((each for each in standing if isinstance(each, FirewallBase) and each.backend == "iptables"), None)
    is_repaired = base is not None and not base.intact and any(isinstance(after, FirewallBase) for _, after in pairs)
    if is_repaired:
        yield remark("our chains are not as they should be: they are written anew")
        yield from (_jumps_gone(place, base_chain) for place in places(_FAMILIES) for base_chain in _bases(place))
        left = {before.key for before, _ in pairs if before is not None}
        kept = [(None, each) for each in standing if not isinstance(each, FirewallBase) and each.key not in left]
        pairs = [*kept, *((None, after) for _, after in pairs if after is not None)]
    tables = {} if base is None or is_repaired else _tables(standing, base.mark)
    yield from (_restored(edit) for edit in edits(pairs, tables, _FAMILIES))


def _tables(standing: Sequence[Held], mark: int) -> dict[Place, Table]:
    """Our part of the tables, as it is where nobody changed it."""
    policies = [each for each in standing if isinstance(each, NetworkPolicy | PublishedPort | Opening)]
    return {
        place: Table(chains, {base: (Jump(0, jump_to(name)),) for base, name in _bases(place).items()})
        for place, chains in layout(policies, mark, _FAMILIES).items()
    }


def _bases(place: Place) -> dict[str, str]:
    """Base chain -> chain of ours that it leads to, in one table."""
    return {base: name for (table, name), base in CHAINS.items() if base and table == place[1]}


def _jumps_gone(place: Place, base: str) -> str:
    """Remove every rule that leads from a base chain into one of ours, whoever put it there."""
    command = line(_PROGRAMS[place[0]], "-w", "-t", place[1])
    edit = f"s/^-A \\(.* -[gj] {PREFIX}[^ ]*\\)$/-D \\1/p"
    return f"{command} -S {base} | sed -n '{edit}' | xargs -r -L1 {command}"


def _restored(edit: TableEdit) -> str:
    family, table = edit.place
    commands = [
        f"*{table}",
        # Naming a chain of one's own makes it, or empties it.
        *(f":{each.chain} - [0:0]" for each in edit.edits if each.length < 0),
        *(command for each in edit.edits for command in _edited(each)),
        *(command for base, rule in edit.jumps for command in _jumped(edit.place, base, rule)),
        *(f"-F {chain}" for chain in edit.gone),
        *(f"-X {chain}" for chain in edit.gone),
        "COMMIT",
    ]
    return fed([f"{_PROGRAMS[family]}-restore", "-w", "--noflush"], "\n".join([*commands, ""]))


def _edited(edit: Edit) -> Iterator[str]:
    for _ in range(edit.removed):
        yield f"-D {edit.chain} {edit.start + 1}"
    for offset, rule in enumerate(edit.added):
        yield f"-I {edit.chain} {edit.start + offset + 1} {rule.text()}"


def _jumped(place: Place, base: str, rule: Rule | None) -> Iterator[str]:
    if rule is None:
        yield f"-D {base} {jump_to(_bases(place)[base]).text()}"
    else:
        yield f"-I {base} 1 {rule.text()}"
