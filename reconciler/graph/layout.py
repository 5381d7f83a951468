"""Where a topology's parts stand in a picture: networks as lanes one below the other, containers as boxes in them.

A container on several networks has a column of its own, which no other box stands in, and in it a wire to
each further lane; so no wire crosses a box. The others fill the rest of their lane row by row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reconciler.graph.topology import SIGNS, Container, Mark, Network, Topology

BOX_WIDTH = 230
LINE_HEIGHT = 16
GAP = 24
LANE_HEAD = 40
_BOX_HEAD = 26
_FEWEST_COLUMNS = 4
_MOST_PORTS = 8
_APART = "without a network of their own"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text; ``port`` is the number of the container's port that it tells of."""

    text: str
    mark: Mark = Mark.SAME
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """The container of that number in the topology, at its place; all in pixels."""

    number: int
    x: int
    y: int
    height: int
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Lane:
    """A network, or what is on none: then ``number`` is None. ``notes`` stand beside its name."""

    number: int | None
    title: str
    notes: tuple[Line, ...]
    mark: Mark
    y: int
    height: int


@dataclass(frozen=True, slots=True)
class Wire:
    """From a box straight up or down to a dot in another lane, with a label beside the dot."""

    x: int
    start: int
    end: int
    label: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class Layout:
    """A picture's parts, and its size."""

    width: int
    height: int
    lanes: tuple[Lane, ...]
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]


def layout(topology: Topology) -> Layout:
    """The same picture for the same topology."""
    rows = _rows(topology)
    columns = max((column + 1 for lane in rows.values() for row in lane for column, _ in row), default=1)
    width = GAP + columns * (BOX_WIDTH + GAP) + GAP
    lanes: list[Lane] = []
    boxes: list[Box] = []
    y = GAP
    for place, lane in rows.items():
        lane_y, y = y, y + LANE_HEAD
        for row in lane:
            found = [_box(number, topology.containers[number], column, y) for column, number in row]
            boxes += found
            y += max((box.height for box in found), default=0) + GAP
        y += 0 if lane else GAP
        lanes.append(_lane(place, topology, lane_y, y - lane_y))
        y += GAP
    return Layout(width, y, tuple(lanes), tuple(boxes), tuple(_wires(topology, lanes, boxes)))


def _rows(topology: Topology) -> dict[str, list[list[tuple[int, int]]]]:
    """By lane, its rows of column and number of a container; the lane of those on no network is called ''."""
    homes = [_lanes_of(container, topology.networks) for container in topology.containers]
    several = [number for number, found in enumerate(homes) if len(found) > 1]
    columns = {number: column for column, number in enumerate(several)}
    beside = max(_FEWEST_COLUMNS, min(len(homes), 8) - len(several))
    rows: dict[str, list[list[tuple[int, int]]]] = {network.identity: [] for network in topology.networks}
    if any(not found for found in homes):
        rows[""] = []
    for lane, found in rows.items():
        here = [number for number, own in enumerate(homes) if (own[0] if own else "") == lane]
        wired = [(columns[number], number) for number in here if number in columns]
        alone = [number for number in here if number not in columns]
        chunks = [alone[start : start + beside] for start in range(0, len(alone), beside)] or [[]]
        for index, chunk in enumerate(chunks):
            placed = [(len(several) + column, number) for column, number in enumerate(chunk)]
            row = [*(wired if index == 0 else []), *placed]
            if row:
                found.append(row)
    return rows


def _lanes_of(container: Container, networks: Sequence[Network]) -> list[str]:
    on = {member.network for member in container.members}
    return [network.identity for network in networks if network.identity in on]


def _box(number: int, container: Container, column: int, y: int) -> Box:
    lines = tuple(_lines(container))
    x = GAP + GAP // 2 + column * (BOX_WIDTH + GAP)
    return Box(number, x, y, _BOX_HEAD + LINE_HEIGHT * len(lines) + 8, lines)


def _lines(container: Container) -> Iterator[Line]:
    if container.home:
        yield Line(container.home)
    for member in container.members:
        words = " ".join((member.interface, *member.addresses))
        yield Line(f"{SIGNS[member.mark]}{words}", member.mark)
    # What changes is never among those left out while others are shown.
    ports = sorted(enumerate(container.ports), key=lambda port: port[1].mark is Mark.SAME)
    for number, port in ports[:_MOST_PORTS]:
        yield Line(f"{SIGNS[port.mark]}{port.text}", port.mark, number)
    if len(ports) > _MOST_PORTS:
        hidden = {port.mark for _, port in ports[_MOST_PORTS:]}
        yield Line(f"and {len(ports) - _MOST_PORTS} more", Mark.SAME if hidden == {Mark.SAME} else Mark.CHANGED)


def _lane(place: str, topology: Topology, y: int, height: int) -> Lane:
    for number, network in enumerate(topology.networks):
        if network.identity == place:
            names = {each.identity: each.name for each in topology.networks}
            notes = [Line(word) for word in network.words]
            notes += [
                Line(f"{SIGNS[each.mark]}may reach {names.get(each.target, each.target)}: {each.ports}", each.mark)
                for each in topology.allowances
                if each.network == place
            ]
            return Lane(number, f"{SIGNS[network.mark]}{network.name}", tuple(notes), network.mark, y, height)
    return Lane(None, _APART, (), Mark.SAME, y, height)


def _wires(topology: Topology, lanes: Sequence[Lane], boxes: Sequence[Box]) -> Iterator[Wire]:
    by_network = {topology.networks[lane.number].identity: lane for lane in lanes if lane.number is not None}
    for box in boxes:
        container = topology.containers[box.number]
        home, *others = _lanes_of(container, topology.networks) or [""]
        del home  # it stands in that lane
        for index, other in enumerate(others):
            lane = by_network[other]
            below = lane.y > box.y
            members = [member for member in container.members if member.network == other]
            yield Wire(
                box.x + 16 + 20 * index,
                box.y + box.height if below else box.y,
                lane.y + LANE_HEAD + 6 if below else lane.y + lane.height - 10,
                f"{container.identity.partition('/')[2]} {members[0].interface}",
                members[0].mark,
            )
