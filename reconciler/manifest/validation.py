"""The tree of nodes -> pydantic models, with pydantic's findings said for people, with their place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from reconciler.manifest import vocabulary
from reconciler.manifest.faults import Faults, suggestion
from reconciler.manifest.models import (
    AttachmentPart,
    ContainerPart,
    IpamPart,
    NetworkPart,
    PoolPart,
    PortPart,
    StackPart,
)
from reconciler.manifest.nodes import Mapping, Node, Scalar, Sequence, child, key_place, place, source_of

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Path = tuple[str | int, ...]

_PARTS: dict[tuple[str, ...], tuple[type[BaseModel], frozenset[str]]] = {
    (): (StackPart, vocabulary.UNUSED_TOP | {"services", "include"}),
    ("containers", "*"): (ContainerPart, vocabulary.UNUSED_CONTAINER | {"extends"}),
    ("containers", "*", "networks", "*"): (AttachmentPart, frozenset()),
    ("containers", "*", "ports", "*"): (PortPart, vocabulary.UNUSED_PORT),
    ("networks", "*"): (NetworkPart, vocabulary.UNUSED_NETWORK),
    ("networks", "*", "ipam"): (IpamPart, vocabulary.UNUSED_IPAM),
    ("networks", "*", "ipam", "config", "*"): (PoolPart, frozenset()),
}

_WANTED = {
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
}
_FORMS = {"'~text'": "text", "'~list'": "a list", "'~map'": "a mapping"}


def validate(root: Mapping, faults: Faults) -> StackPart | None:
    """The document as models, or None when it has faults of shape, which are then noted."""
    errors_before = len(faults.errors)
    data = _plain(root, (), faults)
    try:
        stack = StackPart.model_validate(data)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_context=True, include_input=False):
            _note(detail, root, faults)
        return None
    return stack if len(faults.errors) == errors_before else None


def _plain(node: Node, path: Path, faults: Faults) -> Any:
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [
            item.value if isinstance(item, Scalar) else _plain(item, (*path, index), faults)
            for index, item in enumerate(node.items)
        ]
    result: dict[str, Any] = {}
    for key, value in node.entries.items():
        if node.keys[key].value.__class__ is not str and not key.startswith("\0"):
            where = ".".join(map(str, path)) or "the top"
            faults.add(f"non-string key in {where}: {key}", source_of(node.keys[key]), f"quote it: '{key}'")
        result[key] = value.value if isinstance(value, Scalar) else _plain(value, (*path, key), faults)
    return result


def _note(detail: ErrorDetails, root: Mapping, faults: Faults) -> None:
    path: Path = tuple(step for step in detail["loc"] if not str(step).startswith("~"))
    kind = detail["type"]
    if kind == "extra_forbidden":
        _note_unknown(path, root, faults)
        return
    source = place(root, path)
    key = str(path[-1]) if path else "the manifest"
    if kind == "missing":
        faults.add(f"'{key}' is missing", place(root, path[:-1]), f"add {key}:")
        return
    node = child(root, path)
    if kind == "union_tag_invalid":
        tags = str(detail.get("ctx", {}).get("expected_tags", ""))
        wanted = " or ".join(_FORMS.get(tag.strip(), tag) for tag in tags.split(","))
    else:
        wanted = _WANTED.get(kind, detail["msg"])
    hint = f"write it as a list: [{node.text}]" if wanted == "a list" and _short(node) else ""
    named = f"'{key}'" if isinstance(path[-1] if path else "", str) else "this item"
    faults.add(f"{named} takes {wanted}, not {_found(node, path)}", source, hint)


def _short(node: Node | None) -> bool:
    return isinstance(node, Scalar) and node.value is not None and len(node.text) < 40  # noqa: PLR2004  # fits a line


def _found(node: Node | None, path: Path) -> str:
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    if node is None or node.value is None:
        return "nothing"
    if "environment" in path:
        return "this value"
    if isinstance(node.value, float) and not math.isfinite(node.value):
        return "this number"
    return f"'{node.text[:40]}'"


def _note_unknown(path: Path, root: Mapping, faults: Faults) -> None:
    key = str(path[-1])
    source = key_place(root, path)
    if key.startswith("\0"):
        return
    for pattern, (part, unused) in _PARTS.items():
        if len(pattern) == len(path) - 1 and all(
            p in {"*", str(step)} for p, step in zip(pattern, path, strict=False)
        ):
            known = set(part.model_fields) | unused
            faults.add(f"unknown key '{key}'", source, suggestion(key, known) or _elsewhere(key))
            return
    faults.add(f"unknown key '{key}'", source)


def _elsewhere(key: str) -> str:
    for pattern, (part, unused) in _PARTS.items():
        if key in part.model_fields or key in unused:
            where = ".".join(pattern).replace("*", "NAME") or "the top of the file"
            return f"'{key}' belongs under {where}"
    return "keys of your own begin with x-"
