"""A topology as a Mermaid flowchart, which forges draw in comments and documents."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.graph.topology import SIGNS, Mark, Topology

_PLAIN = frozenset("_ ,.-:/=")
_STYLES = {
    Mark.ADDED: "fill:#d7f5dd,stroke:#1a7f37,stroke-width:3px,color:#000",
    Mark.CHANGED: "fill:#fff3c4,stroke:#9a6700,stroke-width:3px,color:#000",
    Mark.REMOVED: "fill:#ffe0dd,stroke:#cf222e,stroke-width:3px,stroke-dasharray:6 4,color:#000",
}


def render(topology: Topology) -> str:
    """The flowchart, ending with a newline. No text of a manifest can end a label (Mermaid: entity codes)."""
    return "\n".join(("flowchart LR", *_nodes(topology), *_edges(topology), *_styles(topology), ""))


def _nodes(topology: Topology) -> Iterator[str]:
    for number, network in enumerate(topology.networks):
        label = "<br/>".join(map(escaped, (f"{SIGNS[network.mark]}{network.name}", *network.words)))
        yield f'    n{number}(["{label}"])'
    for number, container in enumerate(topology.containers):
        lines = [f"{SIGNS[container.mark]}{container.identity}"]
        lines += [container.home] if container.home else []
        lines += [f"{SIGNS[port.mark]}{port.text}" for port in container.ports]
        yield f'    c{number}["{"<br/>".join(map(escaped, lines))}"]'


def _edges(topology: Topology) -> Iterator[str]:
    numbers = {network.identity: number for number, network in enumerate(topology.networks)}
    for number, container in enumerate(topology.containers):
        for member in container.members:
            if member.network in numbers:
                label = escaped(f"{SIGNS[member.mark]}{' '.join((member.interface, *member.addresses))}")
                line = "-.-" if member.mark is Mark.REMOVED else "---"
                yield f'    n{numbers[member.network]} {line}|"{label}"| c{number}'
    for each in topology.allowances:
        if each.network in numbers and each.target in numbers:
            label = escaped(f"{SIGNS[each.mark]}allow {each.ports}")
            yield f'    n{numbers[each.network]} ==>|"{label}"| n{numbers[each.target]}'


def _styles(topology: Topology) -> Iterator[str]:
    marked = [(f"n{number}", each.mark) for number, each in enumerate(topology.networks)]
    marked += [(f"c{number}", each.mark) for number, each in enumerate(topology.containers)]
    for mark, style in _STYLES.items():
        nodes = [node for node, own in marked if own is mark]
        if nodes:
            yield f"    classDef {mark} {style}"
            yield f"    class {','.join(nodes)} {mark}"


def escaped(text: str) -> str:
    """The text for a label: letters and digits as they are, anything that could mean more as its number.

    What comes first is never left plain: a label that begins as a list does in Markdown is refused.
    """
    return "".join(
        each if each.isalnum() or (place and each in _PLAIN) else f"#{ord(each)};" for place, each in enumerate(text)
    )
