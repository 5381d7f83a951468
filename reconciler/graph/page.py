"""A page of its own: one file that needs no network, reads well without JavaScript, and runs none but its own."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from reconciler.graph.style import PAGE_STYLE, SVG_STYLE
from reconciler.graph.svg import picture, text_of
from reconciler.graph.topology import SIGNS, Mark, Topology

# What is chosen in the picture stands alone; without JavaScript the links lead to it, and :target shows which it is.
SCRIPT: Final = """"use strict";
const sections = document.querySelectorAll("section[id]");
const all = document.getElementById("all");
function choose() {
  const target = document.getElementById(location.hash.slice(1));
  const chosen = target === null ? null : target.closest("section[id]");
  const found = chosen !== null;
  for (const each of sections) { each.hidden = found && each !== chosen; }
  if (found) { for (const each of chosen.querySelectorAll(":scope > details")) { each.open = true; } }
  all.hidden = !found;
}
all.addEventListener("click", () => { location.hash = ""; });
window.addEventListener("hashchange", choose);
choose();
"""
_STYLE: Final = PAGE_STYLE + SVG_STYLE


class Row(NamedTuple):
    """A row of a table: its mark, its texts, and the ids under which it can be found."""

    mark: Mark
    texts: Sequence[str]
    anchors: Sequence[str] = ()


def page(title: str, body: Iterable[str]) -> str:
    """The document, ending with a newline; ``body`` is markup, with every text in it escaped."""
    policy = f"default-src 'none'; style-src {_digest(_STYLE)}; script-src {_digest(SCRIPT)}; base-uri 'none'"
    return "\n".join(
        (
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            # Whatever a name in a manifest may hold, nothing but these two is carried out (W3C: CSP Level 3, 2.3.1).
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{text_of(title)}</title>",
            f"<style>{_STYLE}</style></head><body>",
            *body,
            f"<script>{SCRIPT}</script>",
            "</body></html>",
            "",
        )
    )


def render(topology: Topology, title: str) -> str:
    """A page of the topology alone."""
    return page(title, (f"<h1>{text_of(title)}</h1>", drawn(topology), ALL, *_sections(topology)))


ALL: Final = '<p><button id="all" type="button" hidden>Show everything</button></p>'
"""What takes a choice back; it is hidden as long as nothing is chosen."""


def drawn(topology: Topology) -> str:
    """The picture, with links to the sections ``n0``, ``c0``, ...."""
    return f'<div class="picture">{picture(topology, linked=True)}</div>'


def table(head: Sequence[str], rows: Iterable[Row]) -> str:
    """A table of texts, a mark to each row; the first column is what it is about."""
    cells = "".join(f"<th>{text_of(word)}</th>" for word in head)
    lines = "".join(map(_line, rows))
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table>"


def _line(row: Row) -> str:
    identity = f' id="{row.anchors[0]}"' if row.anchors else ""
    more = "".join(f'<span id="{each}"></span>' for each in row.anchors[1:])
    first, *others = row.texts
    cells = f'<td class="what">{more}{text_of(first)}</td>' + "".join(f"<td>{text_of(each)}</td>" for each in others)
    return f'<tr class="{row.mark}"{identity}>{cells}</tr>'


def _sections(topology: Topology) -> Iterable[str]:
    for number, network in enumerate(topology.networks):
        rows: list[Row] = [
            Row(
                member.mark, (f"{SIGNS[member.mark]}{container.identity}", member.interface, " ".join(member.addresses))
            )
            for container in topology.containers
            for member in container.members
            if member.network == network.identity
        ]
        words = text_of(", ".join(network.words))
        head = f"<h3>{SIGNS[network.mark]}network {text_of(network.name)}</h3><p>{words}</p>"
        yield f'<section id="n{number}">{head}{table(("container", "interface", "addresses"), rows)}</section>'
    names = {network.identity: network.name for network in topology.networks}
    for number, container in enumerate(topology.containers):
        rows = [
            Row(
                member.mark,
                (
                    f"{SIGNS[member.mark]}{names.get(member.network, member.network)}",
                    f"{member.interface} {' '.join(member.addresses)}",
                ),
            )
            for member in container.members
        ]
        rows += [
            Row(port.mark, (f"{SIGNS[port.mark]}{port.text}", "port"), (f"c{number}p{index}",))
            for index, port in enumerate(container.ports)
        ]
        head = f"<h3>{SIGNS[container.mark]}container {text_of(container.identity)}</h3>"
        home = f"<p>{text_of(container.home)}</p>" if container.home else ""
        yield f'<section id="c{number}">{head}{home}{table(("network or port", "how"), rows)}</section>'


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
