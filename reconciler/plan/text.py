"""A plan for people: by stack, network and container, one line a change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

from reconciler.errors import printable
from reconciler.plan import exposure
from reconciler.plan.change import Change, Create, Delete, Disruption, Update, disturbed
from reconciler.plan.differences import differences
from reconciler.plan.exposure import Exposure
from reconciler.plan.grouping import Entry, change_source, entries, resource_of, shown, single
from reconciler.plan.plan import Plan, counted
from reconciler.reach.text import difference_groups
from reconciler.state import HOST_OWNER

if TYPE_CHECKING:
    from reconciler.reach.matrix import MatrixDifference

__all__ = ["SIGNS", "change_source", "done_line", "line", "printable", "render", "shown", "summary"]

SIGNS: Final = {Create: "+", Update: "~", Delete: "-"}
_COLOURS = {"+": "32", "~": "33", "-": "31"}
"""Green, yellow, red (ECMA-48, SGR)."""

SAME_REACH: Final = "who reaches whom stays as it is"
"""Of a matrix in which nothing differs."""

Paint = Callable[[str, str], str]
"""Colours a text by its sign."""


def render(
    plan: Plan,
    exposed: Exposure | None = None,
    reaching: MatrixDifference | None = None,
    *,
    detail: bool = False,
    colour: bool = False,
) -> str:
    """The whole plan, ending with a newline; the same bytes for the same plan.

    ``exposed`` is what it changes of what can be reached, ``reaching`` what of the matrix of everybody and every
    port. With ``detail`` each object of the kernel has a line of its own; else what goes together is one.
    """
    if not plan.steps:
        return "Nothing to do.\n"
    paint = _coloured if colour else _plain
    found = single(plan.changes) if detail else entries(plan.changes)
    lines = list(_groups(found, paint))
    if exposed:
        lines += [*_exposure(exposed, paint), ""]
    if reaching is not None:
        lines += [*_reaching(reaching, paint), ""]
    backend, reason = plan.firewall
    if backend:
        lines.append(f"Firewall: {backend} ({reason})")
    lines.append(f"Plan: {summed(found, plan)}")
    return "\n".join(lines) + "\n"


def summary(plan: Plan, *, detail: bool = False) -> str:
    """``3 to add, 1 to change, 0 to remove; no connection is disturbed``: of the lines that are shown."""
    return summed(single(plan.changes) if detail else entries(plan.changes), plan)


def summed(found: Iterable[Entry], plan: Plan) -> str:
    """The same of entries that somebody has already."""
    counts = counted(entry.first for entry in found)
    listed = ", ".join(f"{count} to {_VERBS[action]}" for action, count in counts.items())
    return f"{listed}; {disturbance(plan)}"


_VERBS = {"create": "add", "update": "change", "delete": "remove"}


def disturbance(plan: Plan) -> str:
    """What the worst of its changes does to what flows."""
    return _DISTURBANCE[disturbed(plan.changes)]


_DISTURBANCE = {
    "nothing": "no connection is disturbed",
    "nothing else": "no other connection is disturbed",
    Disruption.RESET: "connections are reset",
    Disruption.FLAP: "an interface goes down for a moment or for good",
    Disruption.RECREATE: "a container is ended or made anew",
}


def line(entry: Entry) -> str:
    """One entry: sign, what, what differs, reason, disruption, place. What is made disturbs nothing unless it says so."""
    change = entry.first
    words = [SIGNS[type(change)], entry.what]
    if isinstance(change, Update):
        words.append(f"({'; '.join(differences(change))})")
    elif change.reason and not isinstance(change, Create):
        words.append(f"({change.reason})")
    if entry.disruption is not Disruption.NONE:
        words.append(f"[{entry.disruption}]")
    elif not isinstance(change, Create):
        words.append(f"[disturbs {entry.disturbs}]")
    if entry.source:
        words.append(f" {entry.source}")
    return printable(" ".join(words))


def done_line(change: Change) -> str:
    """One change on its own, as it is done: sign, whose, what."""
    resource = resource_of(change)
    subject = resource.key.name.partition(":")[0]
    return printable(f"{SIGNS[type(change)]} {subject}: {resource.describe()}")


def _groups(found: Sequence[Entry], paint: Paint) -> Iterator[str]:
    for owner, of_owner in groupby(found, key=lambda entry: entry.owner):
        yield "host" if owner == HOST_OWNER else f"stack {owner}"
        for subject, of_subject in groupby(of_owner, key=lambda entry: entry.subject):
            if owner != HOST_OWNER:
                yield f"  {subject}"
            indent = "  " if owner == HOST_OWNER else "    "
            for entry in of_subject:
                yield indent + paint(SIGNS[type(entry.first)], line(entry))
        yield ""


def _exposure(exposed: Exposure, paint: Paint) -> Iterator[str]:
    for title, sign, ways in (
        ("becomes reachable", "+", exposed.opened),
        ("stops being reachable", "-", exposed.closed),
    ):
        if ways:
            yield title
            for text in exposure.lines(ways):
                yield "  " + paint(sign, printable(f"{sign} {text}"))


def _reaching(difference: MatrixDifference, paint: Paint) -> Iterator[str]:
    if not difference:
        yield SAME_REACH
    for title, sign, found in difference_groups(difference, exposure.SHOWN):
        yield title
        for each in found:
            yield "  " + paint(sign, printable(f"{sign} {each}"))


def _plain(sign: str, text: str) -> str:
    del sign
    return text


def _coloured(sign: str, text: str) -> str:
    return f"\x1b[{_COLOURS[sign]}m{text}\x1b[0m"
