"""YAML events -> tree of nodes, within bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from reconciler.errors import NetapplyError, Problem, Source
from reconciler.manifest.characters import has_forbidden, impossible
from reconciler.manifest.nodes import OVERRIDE, RESET, Mapping, Node, Scalar, Sequence, source_of
from reconciler.manifest.scalars import resolve

if TYPE_CHECKING:
    from collections.abc import Iterable

DEEPEST = 64
"""Levels of nesting; real manifests stay below 12."""
MOST_ALIASED_NODES = 200_000
"""Nodes that aliases may stand for altogether, against files that explode when expanded."""
LONGEST_SCALAR = 256 * 1024

_CORE = "tag:yaml.org,2002:"
_OWN_TAGS = frozenset({RESET, OVERRIDE})
_MERGE = "<<"
_NO_KEY = "\0"
"""Stands for a key that is none; no key's text can be that."""


@dataclass(slots=True)
class Document:
    """One parsed file.

    ``templates`` are the value scalars that hold a ``$``, each once; ``has_typography`` says
    that there is a dash or quote of a word processor somewhere in the text, ``has_controls``
    that an escape brought a control character into some scalar.
    """

    root: Node | None = None
    templates: list[Scalar] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    has_typography: bool = False
    has_controls: bool = False


class Builder:
    """Builds one document from parser events."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._document = Document()
        self._open: list[tuple[Mapping | Sequence, Scalar | None]] = []
        self._current: Mapping | Sequence | None = None
        self._key: Scalar | None = None
        self._anchors: dict[str, Node] = {}
        self._aliased = 0

    def build(self, events: Iterable[Any]) -> Document:
        """The document that the events describe.

        Raises:
            NetapplyError: more than one document, or one of the bounds is passed.
        """
        documents = 0
        for event in events:
            kind = type(event)
            if kind is ScalarEvent:
                self._scalar(event)
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                self._start(event, Mapping if kind is MappingStartEvent else Sequence)
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                self._end()
            elif kind is AliasEvent:
                self._alias(event)
            elif kind is DocumentStartEvent:
                documents += 1
                if documents > 1:
                    self._refuse("a second document begins here", event, "a manifest is one document; use two files")
        return self._document

    def _refuse(self, message: str, event: Any, hint: str = "") -> None:
        mark = event.start_mark
        raise NetapplyError.of(message, Source(self._file, mark.line + 1, mark.column + 1), hint)

    def _scalar(self, event: Any) -> None:
        text = event.value
        mark = event.start_mark
        if len(text) > LONGEST_SCALAR:
            self._refuse(f"a value of {len(text)} characters; at most {LONGEST_SCALAR} are read", event)
        value = resolve(text) if event.implicit[0] else text
        node = Scalar(self._file, mark.line + 1, mark.column + 1, text, value)
        if event.tag is not None:
            self._tag(node, event)
        # Only an escape in double quotes can bring in what the text itself was searched for.
        if event.style == '"' and has_forbidden(text):
            self._strange(node)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._add(node)

    def _strange(self, node: Scalar) -> None:
        self._document.has_controls = True
        if message := impossible(node):
            self._document.problems.append(Problem(message, source_of(node), "remove the escape sequence"))

    def _tag(self, node: Node, event: Any) -> None:
        tag = str(event.tag)
        if tag in _OWN_TAGS:
            node.tag = tag
            if isinstance(node, Scalar) and not event.style:
                node.value = resolve(node.text)
            return
        wanted = tag.removeprefix(_CORE)
        if isinstance(node, Scalar):
            resolved = resolve(node.text)
            fits = {
                "str": True,
                "int": isinstance(resolved, int) and not isinstance(resolved, bool),
                "float": isinstance(resolved, int | float) and not isinstance(resolved, bool),
                "bool": isinstance(resolved, bool),
                "null": resolved is None,
            }
            if fits.get(wanted):
                node.value = node.text if wanted == "str" else resolved
                return
            problem = f"this value is not {tag!r}" if wanted in fits else f"unknown tag {tag!r}"
        elif wanted == ("map" if isinstance(node, Mapping) else "seq") or tag == "!":
            return
        else:
            problem = f"unknown tag {tag!r}"
        self._document.problems.append(Problem(problem, source_of(node), "remove the tag"))

    def _start(self, event: Any, kind: type[Mapping | Sequence]) -> None:
        mark = event.start_mark
        node = kind(self._file, mark.line + 1, mark.column + 1)
        if event.tag is not None:
            self._tag(node, event)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        if len(self._open) >= DEEPEST - 1:
            self._refuse(f"nested more than {DEEPEST} levels deep", event)
        if self._current is not None:
            self._open.append((self._current, self._key))
        self._current, self._key = node, None

    def _end(self) -> None:
        node = self._current
        if isinstance(node, Mapping):
            if _MERGE in node.entries:
                self._merge(node)
            node.size += sum(_size(value) for value in node.entries.values())
        elif node is not None:
            node.size += sum(map(_size, node.items))
        self._current, self._key = self._open.pop() if self._open else (None, None)
        if node is not None:
            self._add(node)

    def _alias(self, event: Any) -> None:
        node = self._anchors.get(event.anchor)
        if node is None:
            self._refuse(f"alias '*{event.anchor}' has no anchor '&{event.anchor}' before it", event)
        elif node is self._current or any(node is parent for parent, _ in self._open):
            self._refuse(f"alias '*{event.anchor}' stands inside what it names", event)
        else:
            self._aliased += _size(node)
            if self._aliased > MOST_ALIASED_NODES:
                self._refuse(
                    f"aliases stand for more than {MOST_ALIASED_NODES} values",
                    event,
                    "write fewer aliases of aliases",
                )
            self._add(node, shared=True)

    def _add(self, node: Node, *, shared: bool = False) -> None:
        current = self._current
        if current is None:
            self._document.root = node
        elif isinstance(current, Sequence):
            current.items.append(node)
        elif self._key is None:
            self._take_key(node)
            return
        else:
            self._entry(current, self._key, node)
            self._key = None
        if isinstance(node, Scalar) and not shared and "$" in node.text:
            self._document.templates.append(node)

    def _take_key(self, node: Node) -> None:
        if not isinstance(node, Scalar):
            opening = "[" if isinstance(node, Sequence) else "{"
            self._document.problems.append(
                Problem(
                    "a list or mapping cannot be a key", source_of(node), f"a value with {opening} in it needs quotes"
                ),
            )
            node = Scalar(node.file, node.line, node.column, _NO_KEY, None)
        self._key = node

    def _entry(self, mapping: Mapping, key: Scalar, value: Node) -> None:
        if key.text == _NO_KEY:
            # Noted already, and its value is nobody's; an item of a list was meant to be text, and lacks no key.
            if self._open and isinstance(self._open[-1][0], Sequence):
                mapping.tag = RESET
            return
        first = mapping.keys.get(key.text)
        if first is None:
            mapping.put(key, value)
            return
        self._document.problems.append(
            Problem(
                f"key '{key.text}' is given twice; first at {source_of(first)}",
                source_of(key),
                "remove one of them, or put both contents under one key",
            ),
        )

    def _merge(self, mapping: Mapping) -> None:
        """Resolve a merge key (YAML 1.1's type ``merge``): entries of its own come first."""
        merged = mapping.entries[_MERGE]
        mapping.drop(_MERGE)
        for part in merged.items if isinstance(merged, Sequence) else [merged]:
            if not isinstance(part, Mapping):
                self._document.problems.append(
                    Problem("'<<' takes a mapping or a list of mappings", source_of(part), "write <<: *anchor"),
                )
                continue
            for text, value in part.entries.items():
                if text not in mapping.entries:
                    mapping.put(part.keys[text], value)


def _size(node: Node) -> int:
    return 1 if isinstance(node, Scalar) else node.size
