"""A plan as a page: the topology as a picture, and every change in tables that need no JavaScript."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from reconciler.graph import page
from reconciler.graph.page import Row
from reconciler.graph.svg import text_of
from reconciler.graph.topology import PORTS, Container, Mark, Topology, marked, port_text
from reconciler.graph.topology import SIGNS as MARK_SIGNS
from reconciler.plan import exposure
from reconciler.plan.change import Change, Create, Delete, Update
from reconciler.plan.differences import changed, differences, words
from reconciler.plan.exposure import Exposure
from reconciler.plan.grouping import Entry, entries, resource_of
from reconciler.plan.plan import Plan
from reconciler.plan.text import SAME_REACH, SIGNS, summary
from reconciler.reach.text import difference_groups
from reconciler.resources.container_file import ContainerFile
from reconciler.state import HOST_OWNER

if TYPE_CHECKING:
    from reconciler.reach.matrix import MatrixDifference

MARKS: Final = {Create: Mark.ADDED, Update: Mark.CHANGED, Delete: Mark.REMOVED}
_DRAWN = 200
"""The most containers that are drawn with all that does not change."""


def render(
    plan: Plan,
    stacks: Sequence[str],
    exposed: Exposure,
    topology: Topology,
    reaching: MatrixDifference | None = None,
) -> str:
    """The page, ending with a newline; the same bytes for the same plan.

    ``reaching`` is what changes of the matrix of who reaches what, where that is asked for.
    """
    title = f"netapply plan: {', '.join(sorted(stacks)) or 'the host'}"
    whole = len(topology.containers) <= _DRAWN
    seen = topology if whole else marked(topology)
    reachability = (*_exposure(exposed), *_reaching(reaching))
    return page.page(title, _body(plan, title, reachability, seen, len(topology.containers) - len(seen.containers)))


def _body(plan: Plan, title: str, reachability: Sequence[str], topology: Topology, left_out: int) -> Iterator[str]:
    yield f"<h1>{text_of(title)}</h1>"
    yield f"<p><strong>{text_of(summary(plan) if plan.steps else 'Nothing to do.')}</strong></p>"
    for warning in plan.warnings:
        yield f'<p class="warning">{text_of(str(warning))}</p>'
    if reachability:
        yield "<h2>Reachability</h2>"
        yield from reachability
    yield "<h2>Topology</h2>"
    yield page.drawn(topology)
    if left_out:
        yield f'<p class="dim">{left_out} containers that do not change are not drawn.</p>'
    yield "<h2>Changes</h2>"
    yield page.ALL
    yield from _sections(plan, topology)


def _exposure(exposed: Exposure) -> Iterator[str]:
    for title, mark, ways in (
        ("Becomes reachable", Mark.ADDED, exposed.opened),
        ("Stops being reachable", Mark.REMOVED, exposed.closed),
    ):
        if ways:
            yield _listed(title, mark, exposure.lines(ways))


def _reaching(difference: MatrixDifference | None) -> Iterator[str]:
    if difference is not None:
        marks = {"+": Mark.ADDED, "-": Mark.REMOVED}
        lists = "".join(_listed(title, marks[sign], found) for title, sign, found in difference_groups(difference))
        yield f"<details><summary>Who reaches whom</summary>{lists or text_of(SAME_REACH)}</details>"


def _listed(title: str, mark: Mark, lines: Iterable[str]) -> str:
    items = (f'<li class="{mark}">{MARK_SIGNS[mark]}{text_of(line)}</li>' for line in lines)
    return f"<h3>{title}</h3><ul>{''.join(items)}</ul>"


def _sections(plan: Plan, topology: Topology) -> Iterator[str]:
    """One for each subject that changes, and a short one for whatever else can be clicked."""
    anchors = _anchors(topology)
    containers = {f"c{number}": each for number, each in enumerate(topology.containers)}
    for number, (place, group) in enumerate(
        groupby(entries(plan.changes), key=lambda each: (each.owner, each.subject))
    ):
        owner, subject = place
        anchor = anchors.pop(place, f"s{number}")
        name = subject if owner == HOST_OWNER else f"{subject} of stack {owner}"
        found = list(group)
        objects = "".join(_object(change) for entry in found for change in entry.changes)
        count = sum(len(entry.changes) for entry in found)
        what = f"{count} object{'s' if count > 1 else ''} of the kernel"
        detail = f"<details><summary>{what}</summary>{objects}</details>"
        ports = _Ports(anchor, containers.get(anchor))
        yield f'<section id="{anchor}"><h3>{text_of(name)}</h3>{_table(found, ports)}{ports.others()}{detail}</section>'
    for (owner, subject), anchor in anchors.items():
        name = text_of(f"{subject} of stack {owner}")
        others = _Ports(anchor, containers.get(anchor)).others()
        yield f'<section id="{anchor}"><h3>{name}</h3><p class="dim">Does not change itself.</p>{others}</section>'


def _anchors(topology: Topology) -> dict[tuple[str, str], str]:
    """By owner and subject, the section that the picture leads to."""
    found = {}
    networks = [each.identity for each in topology.networks]
    containers = [each.identity for each in topology.containers]
    for letter, word, identities in (("n", "network", networks), ("c", "container", containers)):
        for number, identity in enumerate(identities):
            owner, slash, name = identity.partition("/")
            place = (owner, f"{word} {name}") if slash else (HOST_OWNER, f"{word} {owner}")
            found[place] = f"{letter}{number}"
    return found


class _Ports:
    """The ports of a container in the picture, each to be found at one place in its section."""

    def __init__(self, anchor: str, container: Container | None) -> None:
        ports = container.ports if container else ()
        self._left = {port.text: f"{anchor}p{number}" for number, port in enumerate(ports)}

    def of(self, change: Change) -> tuple[str, ...]:
        """The ids of what the change is about: a port that moves was another one before."""
        both = (resource_of(change), *([change.before] if isinstance(change, Update) else []))
        texts = (port_text(each) for each in both if isinstance(each, PORTS))
        return tuple(found for text in texts if (found := self._left.pop(text, "")))

    def others(self) -> str:
        """Those that no change is about."""
        found = (f'<span id="{anchor}">{text_of(text)}</span>' for text, anchor in self._left.items())
        return f'<p class="dim">Other ports: {", ".join(found)}</p>' if self._left else ""


def _table(found: Sequence[Entry], ports: _Ports) -> str:
    rows = [Row(MARKS[type(entry.first)], _row(entry), ports.of(entry.first)) for entry in found]
    return page.table(("change", "reason", "disturbs", "asked for at"), rows)


def _row(entry: Entry) -> tuple[str, ...]:
    change = entry.first
    more = f" ({'; '.join(differences(change))})" if isinstance(change, Update) else ""
    what = f"{SIGNS[type(change)]} {entry.what}{more}"
    return (what, change.reason, entry.disturbs, str(entry.source) if entry.source else "")


def _object(change: Change) -> str:
    resource = resource_of(change)
    head = text_of(f"{SIGNS[type(change)]} {change.key.kind} {change.key.name}: {resource.describe()}")
    if isinstance(change, Update):
        rows = (Row(Mark.CHANGED, row) for row in _changed(change))
        values = page.table(("field", "before", "after"), rows)
    else:
        values = page.table(("field", "value"), (Row(Mark.SAME, row) for row in _fields(resource.record())))
    reason = f' <span class="dim">{text_of(change.reason)}</span>' if change.reason else ""
    return f'<div class="values"><details><summary>{head}{reason}</summary>{values}</details></div>'


def _changed(change: Update) -> Iterator[tuple[str, ...]]:
    if isinstance(change.after, ContainerFile):
        for line in differences(change):
            sign, _, text = line.partition(" ")
            yield ("line", text if sign == "-" else "", text if sign == "+" else "") if text else ("line", sign, sign)
        return
    yield from changed(change)


def _fields(record: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, value in record.items():
        yield (name, words(value))
