"""A plan as a comment on a pull request: what matters first, the rest folded, and never longer than forges take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Final

from reconciler.graph import mermaid
from reconciler.graph.topology import Topology, marked
from reconciler.plan import exposure, text
from reconciler.plan.change import Create, Delete, Update, disturbed
from reconciler.plan.exposure import Exposure
from reconciler.plan.grouping import Entry, entries, single
from reconciler.plan.plan import Plan, counted
from reconciler.reach.text import difference_groups
from reconciler.state import HOST_OWNER

if TYPE_CHECKING:
    from reconciler.reach.matrix import MatrixDifference

LIMIT: Final = 65_536
"""Of a comment's length on GitHub, in characters; here in bytes, which is never less."""
_TOPOLOGY_LIMIT = 20_000
"""Of a Mermaid diagram: forges refuse to draw more than 50 000 letters or 500 edges."""
_EDGES = 300
_PLAIN = frozenset(" .,:/-_=()")
# What the syntax `diff` colours green, red and, an update, orange in most forges.
_DIFF_SIGNS = {Create: "+", Update: "!", Delete: "-"}


@dataclass(frozen=True, slots=True)
class Fold:
    """What of a plan is written: with each step less."""

    objects: bool = True
    unchanged: bool = True
    topology: bool = True
    reaching: int | None = None
    """The most lines of the matrix, which goes before what changes does; None: all."""
    lines: int | None = None
    """The same of each other list."""


_LEAST: Final = Fold(objects=False, topology=False)
_FOLDS: Final = (
    Fold(),
    Fold(objects=False),
    *(Fold(objects=False, reaching=most) for most in (100, 20)),
    *(Fold(objects=False, unchanged=False, reaching=most) for most in (20, 5, 0)),
    *(replace(_LEAST, reaching=most) for most in (20, 0)),
    *(replace(_LEAST, reaching=most, lines=lines) for lines in (400, 200, 100, 50, 20, 5, 1, 0) for most in (5, 0)),
)


@dataclass(frozen=True, slots=True)
class _Content:
    """What there is to write."""

    plan: Plan
    stacks: tuple[str, ...]
    exposed: Exposure
    reaching: MatrixDifference | None
    entries: tuple[Entry, ...]
    objects: tuple[Entry, ...]
    diagram: tuple[str, ...]
    """Of the whole topology; empty where forges would not draw it."""
    changed: tuple[str, ...]
    """Of the part of it that changes."""
    unchanged: int
    """How many containers the second leaves out."""


def render(
    plan: Plan,
    stacks: Sequence[str],
    exposed: Exposure,
    topology: Topology,
    reaching: MatrixDifference | None = None,
) -> str:
    """The comment, ending with a newline: as much of the plan as fits, and what was left out.

    ``reaching`` is what changes of the matrix of who reaches what, where that is asked for.
    """
    changing = marked(topology)
    content = _Content(
        plan,
        tuple(sorted(stacks)),
        exposed,
        reaching,
        entries(plan.changes),
        single(plan.changes),
        _diagram(topology),
        _diagram(changing),
        len(topology.containers) - len(changing.containers),
    )
    for fold in _FOLDS:
        found = "\n".join(_parts(content, fold)) + "\n"
        if len(found.encode()) <= LIMIT:
            return found
    # Names of a thousand stacks, say: what there is to say at least.
    return f"## netapply plan\n\n**{escaped(text.summed(content.entries, plan))}**\n\n{_NOTE} everything else.\n"


_NOTE = "> **Folded to fit into a comment:**"


def _parts(content: _Content, fold: Fold) -> Iterator[str]:
    plan = content.plan
    yield f"## netapply plan: {', '.join(map(code, content.stacks)) or 'the host'}"
    yield ""
    if not plan.steps:
        yield "Nothing to do."
        yield from _warnings(plan, fold)
        return
    yield f"**{escaped(text.summed(content.entries, plan))}**"
    yield ""
    yield from _summary(content.entries)
    yield from _warnings(plan, fold)
    yield from _exposure(content.exposed, fold)
    folded = [] if fold.objects else ["the objects of the kernel (`netapply plan --detail`)"]
    for lines, left_out in (_reaching(content.reaching, fold), _topology(content, fold)):
        yield from lines
        folded += left_out
    yield from _changes(content.entries, fold)
    if fold.objects:
        yield from _details("Objects of the kernel", _diff(content.objects, None))
    if fold.lines is not None:
        folded.append(f"all but {fold.lines} lines of each list (`netapply plan`)")
    if folded:
        yield ""
        yield f"{_NOTE} {'; '.join(folded)}."


def _summary(found: Sequence[Entry]) -> Iterator[str]:
    yield "| | add | change | remove | disturbs |"
    yield "| --- | ---: | ---: | ---: | --- |"
    for owner, group in groupby(found, key=lambda entry: entry.owner):
        here = list(group)
        counts = " | ".join(str(count) for count in counted(entry.first for entry in here).values())
        disturbs = disturbed(change for entry in here for change in entry.changes)
        name = "host" if owner == HOST_OWNER else f"stack {code(owner)}"
        yield f"| {name} | {counts} | {disturbs} |"


def _warnings(plan: Plan, fold: Fold) -> Iterator[str]:
    if plan.warnings:
        yield ""
        yield "> [!WARNING]"
        for warning in plan.warnings[: fold.lines]:
            yield from (f"> {escaped(line)}<br>" for line in str(warning).splitlines())


def _exposure(exposed: Exposure, fold: Fold) -> Iterator[str]:
    for title, sign, ways in (
        ("Becomes reachable", "+", exposed.opened),
        ("Stops being reachable", "-", exposed.closed),
    ):
        if ways:
            yield ""
            yield f"### {title}"
            yield ""
            yield from _fenced("diff", _cut([f"{sign} {line}" for line in exposure.lines(ways)], fold.lines))


def _reaching(difference: MatrixDifference | None, fold: Fold) -> tuple[list[str], list[str]]:
    """What changes of the matrix, and what of that is left out."""
    if difference is None:
        return [], []
    groups = difference_groups(difference, exposure.SHOWN)
    lines = [f"{sign} {line}" for _, sign, found in groups for line in found] or [text.SAME_REACH]
    if fold.reaching is None or len(lines) <= max(fold.reaching, 1):
        return list(_details("Who reaches whom", _fenced("diff", lines))), []
    if not fold.reaching:
        return [], ["who reaches whom (`netapply plan --matrix`)"]
    told = list(_details("Who reaches whom", _fenced("diff", _cut(lines, fold.reaching))))
    return told, [f"all but {fold.reaching} lines of who reaches whom (`netapply plan --matrix`)"]


def _diagram(topology: Topology) -> tuple[str, ...]:
    edges = sum(len(each.members) for each in topology.containers) + len(topology.allowances)
    drawn = mermaid.render(topology)
    return tuple(drawn.splitlines()) if len(drawn) <= _TOPOLOGY_LIMIT and edges <= _EDGES else ()


def _topology(content: _Content, fold: Fold) -> tuple[list[str], list[str]]:
    """The topology, and what of it is left out: first all that does not change, then all of it."""
    whole = content.diagram if fold.unchanged else ()
    drawn = whole or content.changed
    if not fold.topology or not drawn:
        return [], ["the topology (`netapply plan --format html`)"]
    lines = ["", "### Topology", "", *_fenced("mermaid", drawn)]
    hidden = content.unchanged and not whole
    return lines, [f"{content.unchanged} unchanged containers of the topology"] if hidden else []


def _changes(found: Sequence[Entry], fold: Fold) -> Iterator[str]:
    for owner, group in groupby(found, key=lambda entry: entry.owner):
        here = list(group)
        name = "Host" if owner == HOST_OWNER else f"Stack {code(owner)}"
        yield from _details(f"{name}: {len(here)} change{'s' if len(here) > 1 else ''}", _diff(here, fold.lines))


def _diff(found: Iterable[Entry], most: int | None) -> Iterator[str]:
    lines: list[str] = []
    for subject, group in groupby(found, key=lambda entry: (entry.owner, entry.subject)):
        lines.append(f"  {subject[1]}")
        lines += [_line(entry) for entry in group]
    return _fenced("diff", _cut(lines, most))


def _line(entry: Entry) -> str:
    # The sign stands first: what colours the line asks for that.
    return _DIFF_SIGNS[type(entry.first)] + "   " + text.line(entry)[1:]


def _cut(lines: Sequence[str], most: int | None) -> list[str]:
    if most is None or len(lines) <= most:
        return list(lines)
    return [*lines[:most], f"  … and {len(lines) - most} more lines"]


def _details(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield from ("", f"<details><summary>{title}</summary>", "", *lines, "", "</details>")


def _fenced(language: str, lines: Iterable[str]) -> Iterator[str]:
    """A block that no line in it can end (CommonMark 0.31, 4.5)."""
    lines = [text.printable(line) for line in lines]
    fence = "```"
    while any(fence in line for line in lines):
        fence += "`"
    yield from (f"{fence}{language}", *lines, fence)


def code(value: str) -> str:
    """A name in the type of code: no markup, and no mention of anybody."""
    return f"<code>{escaped(value)}</code>"


def escaped(value: str) -> str:
    """A text in which nothing is markup: all but letters, digits and harmless signs as their numbers."""
    return "".join(
        each if (each.isascii() and each.isalnum()) or each in _PLAIN else f"&#{ord(each)};"
        for each in text.printable(value)
    )
