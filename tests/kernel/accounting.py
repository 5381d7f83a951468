"""A plan held against the host before and after: all that is different is named, and all that is named is different."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.kernel.account import Account, Change
from tests.kernel.culprits import culprits
from tests.kernel.dump import HOST, Difference, Dump, Item, differences

_SEEN = {
    "namespace": {"pin", "link", "sysctl"},
    "link": {"link", "sysctl"},
    "address": {"address", "route"},
    "route": {"route"},
    "router": {"table", "chain", "rule"},
    "rule": {"rule"},
    "port": {"element"},
    "policy": {"element"},
    "sysctl": {"entry"},
    "file": {"file"},
    "process": {"process", "file"},
    "agent": {"memory"},
}
"""In which sorts of object one sees that a change of that kind made or removed something."""


def faults(changes: Iterable[Mapping[str, Any]], before: Dump, after: Dump) -> list[str]:
    """Differences that not exactly one of the changes accounts for, and changes of which not everything is to be seen."""
    account = Account(changes, before, after)
    done: dict[Change, list[Difference]] = defaultdict(list)
    found = []
    for difference in differences(before, after):
        named = culprits(account, difference)
        if len(named) == 1 and _fits(named[0], difference):
            done[named[0]].append(difference)
        else:
            found.append(f"named by {' and by '.join(map(str, named)) or 'no change'}: {difference}")
    return [
        *found,
        *(f"{change}: {fault}" for change in account.changes for fault in _unseen(account, change, done[change])),
    ]


def _fits(change: Change, difference: Difference) -> bool:
    """Whether a change of that action can do that: who creates takes nothing away, but another value of a setting."""
    wrong = {"create": "-", "delete": "+"}.get(change.action)
    return difference.sign != wrong or (change.kind, difference.item.sort) == ("sysctl", "sysctl")


def _goes_with_its_link(account: Account, change: Change) -> bool:
    """Whether it is a setting of an interface that another of the same name replaces: it looks as before."""
    place, _, name = change.name.partition(":")
    match name.split("/"):
        case ["net", _, "conf", interface, _]:
            again = {each.action for each in account.called("sysctl", change.name)} == {"create", "delete"}
            return again and all(account.interface(place, interface, sign) for sign in "-+")
    return False


def _unseen(account: Account, change: Change, done: Sequence[Difference]) -> Iterable[str]:
    """What the change promised and the dumps do not show."""
    if change.kind == "sysctl" and change.after and _value(account, change.name) != str(change.after["value"]).split():
        yield "the setting has another value"
    if change.action == "update":
        if not done:
            yield "nothing is different"
    elif change.kind != "sysctl" or not _goes_with_its_link(account, change):
        sign = "+" if change.action == "create" else "-"
        yield from _missing(change.kind, change.record(sign), {each.item for each in done if each.sign == sign})


def _value(account: Account, name: str) -> list[str]:
    place, _, path = name.partition(":")
    return str(json.loads(account.after.get(Item(place or HOST, "sysctl", path), '""'))).split()


def _missing(kind: str, record: Mapping[str, Any], items: set[Item]) -> Iterable[str]:
    """What is not among the items that came, or went, with an object."""
    seen = {item.sort for item in items}
    if "legacy" in seen:
        seen |= {"rule", "element"}  # all that iptables knows are rules
    needed = _SEEN[kind]
    if kind == "namespace" and "namespace" in record:
        needed = {"file"}  # of a container in another one's network there is but the record
    if kind == "route" and "table" in record:
        needed = {"rule"}  # the table stays when an interface's address gives way to another
    yield from (f"no {sort} is different" for sort in sorted(needed - seen))
    if kind == "link":
        ends = {record[key] for key in ("interface", "host_interface") if key in record}
        yield from (
            f"{end} is as before" for end in sorted(ends - {item.name for item in items if item.sort == "link"})
        )
