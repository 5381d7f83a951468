"""A topology as a picture: SVG of its own, or to stand in a page."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from reconciler.graph.layout import BOX_WIDTH, GAP, LINE_HEIGHT, Box, Lane, Layout, Line, Wire, layout
from reconciler.graph.style import SVG_STYLE
from reconciler.graph.topology import SIGNS, Container, Mark, Topology

_LETTERS = 33
"""How many letters of the font fit into a box; the whole text stands in its title."""


def render(topology: Topology) -> str:
    """A file of its own, ending with a newline."""
    return picture(topology, linked=False, style=SVG_STYLE) + "\n"


def picture(topology: Topology, *, linked: bool, style: str = "") -> str:
    """The element ``svg``; ``linked``: networks, containers and ports lead to ``#n0``, ``#c0``, ``#c0p0``, by number."""
    plan = layout(topology)
    size = f'width="{plan.width}" height="{plan.height}" viewBox="0 0 {plan.width} {plan.height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="topology" {size} role="img" aria-label="topology">'
    parts = [head, *([f"<style>{style}</style>"] if style else [])]
    parts += [_linked(_lane(lane, plan), f"n{lane.number}", linked and lane.number is not None) for lane in plan.lanes]
    parts += [_wire(wire) for wire in plan.wires]
    # After the wires, which run below the names of the lanes that they pass.
    parts += [_linked(_name(lane), f"n{lane.number}", linked and lane.number is not None) for lane in plan.lanes]
    parts += [_linked(_box(box, topology.containers[box.number]), f"c{box.number}", linked) for box in plan.boxes]
    parts += [
        _linked(text, f"c{box.number}p{line.port}", linked)
        for box in plan.boxes
        for line, text in _lines(box)
        if line.port is not None
    ]
    return "\n".join([*parts, "</svg>"])


def text_of(value: str) -> str:
    """Text for XML: nothing in it is markup, and no control character is left, which XML forbids."""
    return escape("".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in value))


def _linked(part: str, anchor: str, linked: bool) -> str:  # a choice of the caller's, passed on
    return f'<a href="#{anchor}">{part}</a>' if linked else part


def _lane(lane: Lane, plan: Layout) -> str:
    kind = "lane" if lane.number is not None else "lane apart"
    rectangle = f'<rect x="{GAP // 2}" y="{lane.y}" width="{plan.width - GAP}" height="{lane.height}" rx="10"/>'
    return f'<g class="{kind} {lane.mark}">{rectangle}</g>'


def _name(lane: Lane) -> str:
    notes = (f'<tspan class="note {note.mark}" dx="14">{text_of(note.text)}</tspan>' for note in lane.notes)
    text = f'<text class="name" x="{GAP}" y="{lane.y + 25}">{text_of(lane.title)}{"".join(notes)}</text>'
    return f'<g class="over {lane.mark}">{text}</g>'


def _box(box: Box, container: Container) -> str:
    title = f"{SIGNS[container.mark]}{container.identity}"
    rectangle = f'<rect x="{box.x}" y="{box.y}" width="{BOX_WIDTH}" height="{box.height}" rx="6"/>'
    parts = [
        f'<g class="box {container.mark}"><title>{text_of(title)}</title>{rectangle}',
        f'<text class="name" x="{box.x + 10}" y="{box.y + 19}">{text_of(_short(title))}</text>',
        *(text for line, text in _lines(box) if line.port is None),
        "</g>",
    ]
    return "".join(parts)


def _lines(box: Box) -> Iterator[tuple[Line, str]]:
    for index, line in enumerate(box.lines):
        y = box.y + 26 + LINE_HEIGHT * index + 11
        yield line, f'<text class="{_class(line)}" x="{box.x + 10}" y="{y}">{text_of(_short(line.text))}</text>'


def _class(line: Line) -> str:
    return "line" if line.mark is Mark.SAME else f"line {line.mark}"


def _wire(wire: Wire) -> str:
    return (
        f'<g class="wire {wire.mark}"><path d="M{wire.x} {wire.start}V{wire.end}"/>'
        f'<circle cx="{wire.x}" cy="{wire.end}" r="4"/>'
        f'<text class="line" x="{wire.x + 8}" y="{wire.end + 4}">{text_of(_short(wire.label))}</text></g>'
    )


def _short(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}\N{HORIZONTAL ELLIPSIS}"
