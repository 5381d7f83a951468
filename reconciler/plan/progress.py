"""What is said of a plan while it is carried out: the same things that the plan named, each when all of it is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.plan.change import Change
from reconciler.plan.grouping import Entry, entries, shown
from reconciler.plan.plan import Plan, counted
from reconciler.plan.text import SIGNS, done_line, printable
from reconciler.state import Key

Place = tuple[type, Key]


class Progress:
    """Which of a plan's entries are done."""

    def __init__(self, plan: Plan) -> None:
        self._entries = entries(plan.changes)
        self._of = {_place(change): entry for entry in self._entries for change in entry.changes}
        self._left = {id(entry): len(entry.changes) for entry in self._entries}
        self._silent = {_place(change) for change in plan.changes} - {_place(each) for each in shown(plan.changes)}

    def done(self, change: Change) -> str | None:
        """The line to print when that is done; None as long as something of its entry is not, or if it gets none."""
        place = _place(change)
        entry = self._of.get(place)
        if entry is None:
            # What nobody planned is done after a failure, to leave a host as it should be.
            return None if place in self._silent else done_line(change)
        self._left[id(entry)] -= 1
        return _line(entry) if self._left[id(entry)] == 0 else None

    def summary(self) -> str:
        """``Done: 3 added, 1 changed, 0 removed``: as many as the plan said."""
        counts = counted(entry.first for entry in self._entries)
        return f"Done: {counts['create']} added, {counts['update']} changed, {counts['delete']} removed"


def undone_lines(changes: Iterable[Change]) -> Iterator[str]:
    """What is said of the changes that took a run back: the same things again, each once."""
    return (f"undone: {_line(entry)}" for entry in entries(changes))


def _line(entry: Entry) -> str:
    subject = entry.first.key.name.partition(":")[0]
    return printable(f"{SIGNS[type(entry.first)]} {subject}: {entry.what}")


def _place(change: Change) -> Place:
    return type(change), change.key
