"""The tree of a YAML document: every value, and every key, with the place where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.errors import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


RESET = "!reset"
"""The tag of a value that is to be removed when the documents are merged."""
OVERRIDE = "!override"
"""The tag of a value that replaces the earlier one whole."""


@dataclass(slots=True)
class Scalar:
    """A single value.

    ``text`` is what was written, ``value`` what YAML 1.2's core schema makes of it.
    ``line`` and ``column`` count from 1. ``tag`` is a tag of the document's own (``!reset``).
    """

    file: str
    line: int
    column: int
    text: str
    value: object
    tag: str | None = None


@dataclass(slots=True)
class Sequence:
    """A list. ``size`` counts all nodes in it, aliases counted as often as they are used."""

    file: str
    line: int
    column: int
    items: list[Node] = field(default_factory=list)
    tag: str | None = None
    size: int = 1


@dataclass(slots=True)
class Mapping:
    """A mapping in file order; ``keys`` holds each key's own node, under its text.

    ``replaced`` holds the places of the values that a merge laid others over, under their keys.
    """

    file: str
    line: int
    column: int
    entries: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, Scalar] = field(default_factory=dict)
    tag: str | None = None
    size: int = 1
    replaced: dict[str, Source] | None = None

    def put(self, key: Scalar, value: Node) -> None:
        """Set an entry; an earlier one of that key keeps its turn in the order."""
        self.keys[key.text] = key
        self.entries[key.text] = value

    def drop(self, key: str) -> None:
        """Remove an entry, if it is there."""
        self.entries.pop(key, None)
        self.keys.pop(key, None)

    def empty_copy(self) -> Mapping:
        """A mapping without entries at the same place, that still knows what was laid over what."""
        return Mapping(self.file, self.line, self.column, tag=self.tag, replaced=self.replaced)


Node = Scalar | Sequence | Mapping


def is_null(node: Node | None) -> bool:
    """Whether there is no value: no node, or YAML's null."""
    return node is None or (isinstance(node, Scalar) and node.value is None)


def source_of(node: Node) -> Source:
    """Where the node begins."""
    return Source(node.file, node.line, node.column)


def place(node: Node, path: Iterable[str | int] = ()) -> Source:
    """The place of what ``path`` (keys and indexes) leads to from ``node``.

    A scalar's place is its own; a mapping's or list's place is that of the key in front of
    it, because a block collection begins only on the next line. Where the path leads
    nowhere (a default, or a short form), the place is that of the last part found.
    """
    key: Scalar | None = None
    for step in path:
        if isinstance(node, Mapping) and str(step) in node.entries:
            key, node = node.keys[str(step)], node.entries[str(step)]
        elif isinstance(node, Sequence):
            found = _item(node, step)
            if found is None:
                break
            key, node = None, found
        elif isinstance(node, Mapping):
            break
    if isinstance(node, Scalar) and node.value is not None:
        return source_of(node)
    return source_of(key or node)


def key_place(node: Node, path: tuple[str | int, ...]) -> Source:
    """The place of the key itself that ends ``path``."""
    parent = child(node, path[:-1])
    if isinstance(parent, Mapping) and str(path[-1]) in parent.keys:
        return source_of(parent.keys[str(path[-1])])
    return place(node, path)


def child(node: Node, path: Iterable[str | int]) -> Node | None:
    """The node at ``path``, or None."""
    current: Node | None = node
    for step in path:
        if isinstance(current, Mapping):
            current = current.entries.get(str(step))
        elif isinstance(current, Sequence):
            current = _item(current, step)
        else:
            return None
    return current


def _item(node: Sequence, step: str | int) -> Node | None:
    if isinstance(step, int):
        return node.items[step] if 0 <= step < len(node.items) else None
    # The short form of a mapping: a list of names, or of NAME=VALUE.
    for item in node.items:
        if isinstance(item, Scalar) and item.text.partition("=")[0] == step:
            return item
    return None


def overrides(node: Node) -> dict[Source, Source]:
    """For each value in the tree that a merge laid over another one: where the other stands."""
    found: dict[Source, Source] = {}
    if isinstance(node, Mapping):
        for key, before in (node.replaced or {}).items():
            if key in node.entries:
                found.setdefault(place(node, (key,)), before)
        for value in node.entries.values():
            found.update(overrides(value))
    elif isinstance(node, Sequence):
        for item in node.items:
            found.update(overrides(item))
    return found


def scalars(node: Node, leave_out: Callable[[str], bool], *, keys: bool = False) -> Iterator[Scalar]:
    """Every single value below ``node``, and with ``keys`` every key; nothing of what stands under keys to leave out."""
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, Sequence):
        for item in node.items:
            yield from scalars(item, leave_out, keys=keys)
    else:
        for key, value in node.entries.items():
            if keys:
                yield node.keys[key]
            if not leave_out(key):
                yield from scalars(value, leave_out, keys=keys)
