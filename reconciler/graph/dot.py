"""A topology in the DOT language of Graphviz."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.graph.topology import SIGNS, Mark, Topology

_COLOURS = {Mark.ADDED: "#1a7f37", Mark.CHANGED: "#9a6700", Mark.REMOVED: "#cf222e"}


def render(topology: Topology) -> str:
    """The graph, ending with a newline. Names stand in quoted strings only (Graphviz: The DOT Language)."""
    head = ("graph netapply {", "    rankdir=LR;", '    node [fontname="sans-serif"];')
    return "\n".join((*head, *_nodes(topology), *_edges(topology), "}", ""))


def quoted(lines: Sequence[str]) -> str:
    """A label of several lines: neither a quote nor a backslash in a name means anything."""
    texts = ("".join(each if each.isprintable() else "?" for each in line) for line in lines)
    return '"' + "\\n".join(text.replace("\\", "\\\\").replace('"', '\\"') for text in texts) + '"'


def _nodes(topology: Topology) -> Iterator[str]:
    for number, network in enumerate(topology.networks):
        label = quoted([f"{SIGNS[network.mark]}{network.name}", *network.words])
        yield f"    n{number} [shape=ellipse, label={label}{_look(network.mark)}];"
    for number, container in enumerate(topology.containers):
        home = [container.home] if container.home else []
        ports = [f"{SIGNS[port.mark]}{port.text}" for port in container.ports]
        label = quoted([f"{SIGNS[container.mark]}{container.identity}", *home, *ports])
        yield f"    c{number} [shape=box, label={label}{_look(container.mark)}];"


def _edges(topology: Topology) -> Iterator[str]:
    numbers = {network.identity: number for number, network in enumerate(topology.networks)}
    for number, container in enumerate(topology.containers):
        for member in container.members:
            if member.network in numbers:
                label = quoted([f"{SIGNS[member.mark]}{member.interface}", *member.addresses])
                yield f"    n{numbers[member.network]} -- c{number} [label={label}{_look(member.mark)}];"
    for each in topology.allowances:
        if each.network in numbers and each.target in numbers:
            label = quoted([f"{SIGNS[each.mark]}allow {each.ports}"])
            ends = f"n{numbers[each.network]} -- n{numbers[each.target]}"
            yield f"    {ends} [dir=forward, label={label}{_look(each.mark)}];"


def _look(mark: Mark) -> str:
    if mark is Mark.SAME:
        return ""
    style = ", style=dashed" if mark is Mark.REMOVED else ", penwidth=3"
    return f', color="{_COLOURS[mark]}"{style}'
