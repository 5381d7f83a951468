"""The shape of values that netapply only accepts: whether they are what Compose takes in their place."""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Mapping as Table
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from reconciler.manifest.faults import Faults
from reconciler.manifest.nodes import RESET, Mapping, Node, Scalar, Sequence, is_null, source_of
from reconciler.manifest.scalars import FLAG_PATTERN, NUMBER_PATTERN

YOURS = "Yours: any value; nothing looks at it."
"""What the schema says of keys that begin with x-."""

_PAIR = "is it text? a colon with a space after it makes a mapping: leave the space out, or write NAME=VALUE"
_FLAG, _NUMBER = re.compile(FLAG_PATTERN), re.compile(NUMBER_PATTERN)
_ITEM = object()
"""The value of a key that stands for an item of its list."""
_SINGLE = {"text": "text", "flag": "true or false", "number": "a number"}
_SCHEMA: dict[str, list[str]] = {
    "text": ["string", "number", "boolean"],
    "flag": ["boolean", "string"],
    "number": ["number", "string"],
}
# Of text: empty, or a variable, which is text until it is replaced, too.
_PATTERNS = {"flag": rf"^({FLAG_PATTERN})?$|\$", "number": rf"^({NUMBER_PATTERN})?$|\$"}


@dataclass(frozen=True, slots=True)
class Shape:
    """The forms that a value may have, at least one of three.

    ``single``: ``text``, ``flag`` or ``number``, of ``words`` one if there are any. ``items``: a list of these.
    A mapping has either ``fields``, those that are ``required`` among them, or any keys with these ``values``.
    No value at all is always right.
    """

    single: str = ""
    words: tuple[str, ...] = ()
    items: Shape | None = None
    values: Shape | None = None
    fields: Table[str, Shape] | None = None
    required: tuple[str, ...] = ()

    @property
    def forms(self) -> str:
        """The forms for people."""
        forms = [", ".join(self.words) or _SINGLE[self.single]] if self.single else []
        forms += ["a list"] if self.items else []
        forms += ["a mapping"] if self.values or self.fields is not None else []
        return " or ".join(forms)

    def schema(self, owner: str, about: Callable[[str, str], dict[str, Any]]) -> dict[str, Any]:
        """The shape in JSON Schema; ``about`` gives what is said of a key below the key ``owner``."""
        if self.words and not self.items:
            # A variable may stand for any of them.
            return {"anyOf": [{"enum": [*self.words, None]}, {"type": "string", "pattern": "\\$"}]}
        types = list(_SCHEMA.get(self.single, ()))
        made: dict[str, Any] = {"pattern": _PATTERNS[self.single]} if self.single in _PATTERNS else {}
        if self.items:
            types.append("array")
            made["items"] = self.items.schema(owner, about)
        if self.values or self.fields is not None:
            types.append("object")
        if self.values:
            made["additionalProperties"] = self.values.schema(owner, about)
        if self.fields is not None:
            known = {key: {**about(owner, key), **each.schema(key, about)} for key, each in self.fields.items()}
            made |= {"properties": known, "patternProperties": {"^x-": {"description": YOURS}}}
            made |= {"additionalProperties": False}
            made |= {"required": list(self.required)} if self.required else {}
        return {"type": [*types, "null"], **made}


TEXT, FLAG, NUMBER = Shape("text"), Shape("flag"), Shape("number")


def one_of(*words: str) -> Shape:
    """One of these words."""
    return Shape("text", words)


def fields(required: str = "", /, *, single: str = "", **shapes: Shape) -> Shape:
    """A mapping with these keys, the ``required`` ones apart by spaces; ``single`` as in `Shape`."""
    return Shape(single, fields=MappingProxyType(shapes), required=tuple(required.split()))


def check(key: Scalar, node: Node, shape: Shape, faults: Faults) -> None:
    """Note what of ``node``, which stands under ``key``, has not this shape. Texts are not shown: some are secrets."""
    if is_null(node) or node.tag == RESET:
        return
    fits = (isinstance(node, Scalar) and shape.single) or (isinstance(node, Sequence) and shape.items)
    if not fits and not (isinstance(node, Mapping) and (shape.values or shape.fields is not None)):
        found = {Scalar: "a single value", Sequence: "a list", Mapping: "a mapping"}[type(node)]
        source = source_of(node if isinstance(node, Scalar) else key)
        named = f"an item of '{key.text}'" if key.value is _ITEM else f"'{key.text}'"
        hint = _PAIR if key.value is _ITEM and isinstance(node, Mapping) and shape.single == "text" else ""
        faults.add(f"{named} takes {shape.forms}, not {found}", source, hint)
    elif isinstance(node, Scalar):
        _check_scalar(key, node, shape, faults)
    elif isinstance(node, Sequence):
        for item in node.items:
            anchor = Scalar(item.file, item.line, item.column, key.text, _ITEM)
            check(anchor, item, shape.items or TEXT, faults)
    elif (
        key.value is _ITEM
        and shape.single
        and shape.fields
        and node.entries
        and node.entries.keys().isdisjoint(shape.fields)
    ):
        faults.add(f"an item of '{key.text}' has none of the keys that it may have", source_of(node), _PAIR)
    else:
        _check_mapping(key, node, shape, faults)


def _check_scalar(key: Scalar, node: Scalar, shape: Shape, faults: Faults) -> None:
    text = node.text
    if not text:
        return
    number = isinstance(node.value, int | float) and not isinstance(node.value, bool)
    wrong = {
        "flag": number or not _FLAG.fullmatch(text),
        "number": not number and not _NUMBER.fullmatch(text),
        "text": bool(shape.words) and text not in shape.words,
    }[shape.single]
    if wrong:
        hint = faults.nearest(text, shape.words) if shape.words else ""
        named = f"an item of '{key.text}'" if key.value is _ITEM else f"'{key.text}'"
        faults.add(f"{named} takes {shape.forms}, not '{text[:40]}'", source_of(node), hint)


def _check_mapping(key: Scalar, node: Mapping, shape: Shape, faults: Faults) -> None:
    for name, value in node.entries.items():
        known = shape.fields.get(name) if shape.fields is not None else shape.values
        if known:
            check(node.keys[name], value, known, faults)
        elif not name.startswith("x-") and not name.startswith("\0"):
            hint = faults.nearest(name, shape.fields or ())
            faults.add(f"unknown key '{name}' of '{key.text}'", source_of(node.keys[name]), hint)
    for name in shape.required:
        if name not in node.entries:
            faults.add(f"'{name}' of '{key.text}' is missing", source_of(key), f"add {name}:")
