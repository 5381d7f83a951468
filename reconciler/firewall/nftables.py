"""Changes of firewall policy as one nftables transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from reconciler.firewall.nftables_elements import SHARED_SETS, Element, elements, ranges, shared
from reconciler.firewall.nftables_layout import BASE_CHAINS, MAPS, PATH, RULES, SETS, chains, declarations, fixed
from reconciler.firewall.nftables_masquerade import Ports, masquerade_chain, masquerade_rules
from reconciler.firewall.opening import Opening
from reconciler.firewall.pair import Pair, base_of
from reconciler.firewall.policy import MARK, FirewallBase, NetworkPolicy, StackPolicy
from reconciler.state import Key, Resource

REBUILD = f"table {PATH}"
"""As the only stray: sets or maps of ours are not what they should be, the table is made anew."""


class _Shared(NamedTuple):
    """What several policies may ask for together."""

    elements: frozenset[Element] = frozenset()
    ranges: frozenset[Ports] = frozenset()


def transaction(changes: Sequence[Pair], base_present: bool, standing: Iterable[StackPolicy] = ()) -> str:
    """The nft script that makes all changes, or none.

    Only FirewallBase and what a stack asks for count. ``base_present``: the table
    stands; else its fixed part is written first. ``standing`` are the policies in it, at least
    those that `is_shared` names. Everything is removed before anything is
    added, so a port may move from one container to another in one step. Deleting the
    FirewallBase deletes the table and all that is in it. The result is empty when there is
    nothing to do.

    Raises NetapplyError for a name or an address that cannot stand in a rule.
    """
    before, after = base_of(changes)
    if before and not after:
        return f"delete table {PATH}\n" if base_present else ""
    fresh = not base_present or (before is not None and REBUILD in before.strays)
    removed, added = _difference(changes)
    mark = after.mark if after else MARK
    is_repair = bool(before and after) and not fresh
    old, new = _shared(changes, () if fresh else standing)
    gone = old.ranges - new.ranges
    lines: list[str] = []
    if fresh and (after or added):
        lines = [f"add table {PATH}", f"delete table {PATH}", fixed(mark).rstrip()]
    elif before and is_repair:
        lines = [*_repair(before, mark), *(f"flush set {PATH} {name}" for name in SHARED_SETS)]
        old = _Shared()
    if not fresh:
        lines += [*_commands("delete", [*removed, *sorted(old.elements - new.elements)]), *_without_chains(gone)]
    lines += [*_chains(new.ranges - old.ranges), *_commands("add", [*added, *sorted(new.elements - old.elements)])]
    return "\n".join([*lines, ""]) if lines else ""


def is_shared(resource: Resource | None) -> bool:
    """Whether others that stand decide what a change of it does: several may open a port, use a range, have a subnet."""
    return isinstance(resource, Opening | NetworkPolicy)


def _shared(changes: Sequence[Pair], standing: Iterable[StackPolicy]) -> tuple[_Shared, _Shared]:
    """What all ask for together, before and after the changes."""
    before: dict[Key, StackPolicy] = {policy.key: policy for policy in standing}
    after = dict(before)
    for old, _ in changes:
        if isinstance(old, Opening | NetworkPolicy):
            after.pop(old.key, None)
    after |= {new.key: new for _, new in changes if isinstance(new, Opening | NetworkPolicy)}
    return _united(before.values()), _united(after.values())


def _united(policies: Collection[StackPolicy]) -> _Shared:
    return _Shared(shared(policies), ranges(policies))


def _chains(added: Iterable[Ports]) -> list[str]:
    """The commands that make the chains of these ranges; one that is there already is written anew."""
    names = {masquerade_chain(ports): masquerade_rules(ports) for ports in sorted(added)}
    return [
        *(f"{verb} chain {PATH} {name}" for name in names for verb in ("add", "flush")),
        *(f"add rule {PATH} {name} {rule}" for name, rules in names.items() for rule in rules),
    ]


def _without_chains(gone: Iterable[Ports]) -> list[str]:
    """The commands that remove the chains of these ranges, once no element leads there."""
    names = [masquerade_chain(ports) for ports in sorted(gone)]
    return [f"{verb} chain {PATH} {name}" for name in names for verb in ("flush", "delete")]


def _difference(changes: Sequence[Pair]) -> tuple[list[Element], list[Element]]:
    removed: list[Element] = []
    added: list[Element] = []
    for before, after in changes:
        old, new = _elements(before), _elements(after)
        removed += sorted(old - new)
        added += sorted(new - old)
    return removed, added


def _elements(resource: Resource | None) -> frozenset[Element]:
    return elements(resource) if isinstance(resource, StackPolicy) else frozenset()


def _commands(verb: str, found: Iterable[Element]) -> list[str]:
    """One command for each set or map, in the order of the layout."""
    texts: dict[str, list[str]] = {name: [] for name in (*SETS, *MAPS)}
    for element in found:
        texts[element.set_name].append(element.text() if verb == "add" else element.key)
    return [f"{verb} element {PATH} {name} {{ {', '.join(listed)} }}" for name, listed in texts.items() if listed]


def _repair(observed: FirewallBase, mark: int) -> list[str]:
    """The commands that write the chains anew, leaving the elements that are right.

    A base chain is removed and made again, since its hook, priority and policy cannot all be
    changed in place; naming it in an ``add`` first makes its removal succeed when it is gone.
    """
    stray_elements, stray_chains, stray_sets = (
        [stray for stray in observed.strays if stray.startswith(kinds)]
        for kinds in (("element ",), ("chain ",), ("set ", "map "))
    )
    # Of a set that is flushed in the same transaction nothing can be deleted.
    emptied = tuple(f"element {PATH} {name} " for name in SHARED_SETS)
    stray_elements = [stray for stray in stray_elements if not stray.startswith(emptied)]
    return [
        *declarations(),
        *(f"add chain {PATH} {name}" for name in BASE_CHAINS),
        *(f"flush chain {PATH} {name}" for name in RULES),
        *(f"flush {stray}" for stray in stray_chains),
        *(f"delete chain {PATH} {name}" for name in BASE_CHAINS),
        *(f"delete {stray}" for stray in (*stray_elements, *stray_chains, *stray_sets)),
        *chains(mark),
    ]
