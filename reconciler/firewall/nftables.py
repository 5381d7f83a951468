"""Changes of firewall policy as one nftables transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.firewall.nftables_elements import Element, elements, united
from reconciler.firewall.nftables_layout import BASE_CHAINS, MAPS, PATH, RULES, SETS, chains, declarations, fixed
from reconciler.firewall.opening import Opening
from reconciler.firewall.policy import MARK, FirewallBase, StackPolicy
from reconciler.state import Key, Resource

REBUILD = f"table {PATH}"
"""As the only stray: sets or maps of ours are not what they should be, the table is made anew."""


Pair = tuple[Resource | None, Resource | None]
"""One object before and after a change; None where it is not."""


def transaction(changes: Sequence[Pair], base_present: bool, openings: Iterable[Opening] = ()) -> str:
    """The nft script that makes all changes, or none.

    Only FirewallBase and what a stack asks for count. ``base_present``: the table
    stands; else its fixed part is written first. ``openings`` are those that stand in it, for
    one port may be opened by several. Everything is removed before anything is
    added, so a port may move from one container to another in one step. Deleting the
    FirewallBase deletes the table and all that is in it. The result is empty when there is
    nothing to do.

    Raises NetapplyError for a name or an address that cannot stand in a rule.
    """
    before, after = _base(changes)
    if before and not after:
        return f"delete table {PATH}\n" if base_present else ""
    fresh = not base_present or (before is not None and REBUILD in before.strays)
    removed, added = _difference(changes)
    mark = after.mark if after else MARK
    is_repair = bool(before and after) and not fresh
    opened, open_now = _openings(changes, () if fresh else openings)
    lines: list[str] = []
    if fresh and (after or added):
        lines = [f"add table {PATH}", f"delete table {PATH}", fixed(mark).rstrip()]
    elif before and is_repair:
        lines = [*_repair(before, mark), *(f"flush set {PATH} {name}" for name in ("opened", "opened4", "opened6"))]
        opened = frozenset()
    if not fresh:
        lines += _commands("delete", [*removed, *sorted(opened - open_now)])
    lines += _commands("add", [*added, *sorted(open_now - opened)])
    return "\n".join([*lines, ""]) if lines else ""


def _openings(changes: Sequence[Pair], standing: Iterable[Opening]) -> tuple[frozenset[Element], frozenset[Element]]:
    """What all openings together open, before and after the changes."""
    before: dict[Key, Opening] = {opening.key: opening for opening in standing}
    after = dict(before)
    for old, _ in changes:
        if isinstance(old, Opening):
            after.pop(old.key, None)
    after |= {new.key: new for _, new in changes if isinstance(new, Opening)}
    return united(before.values()), united(after.values())


def _base(changes: Sequence[Pair]) -> tuple[FirewallBase | None, FirewallBase | None]:
    for before, after in changes:
        if isinstance(before, FirewallBase) or isinstance(after, FirewallBase):
            return (
                before if isinstance(before, FirewallBase) else None,
                after if isinstance(after, FirewallBase) else None,
            )
    return None, None


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
    return [
        *declarations(),
        *(f"add chain {PATH} {name}" for name in BASE_CHAINS),
        *(f"flush chain {PATH} {name}" for name in RULES),
        *(f"flush {stray}" for stray in stray_chains),
        *(f"delete chain {PATH} {name}" for name in BASE_CHAINS),
        *(f"delete {stray}" for stray in (*stray_elements, *stray_chains, *stray_sets)),
        *chains(mark),
    ]
