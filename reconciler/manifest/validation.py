"""The tree of nodes -> pydantic models, with pydantic's findings said for people, with their place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from reconciler.manifest import vocabulary
from reconciler.manifest.faults import Faults
from reconciler.manifest.forms import LIST, MAP, TEXT
from reconciler.manifest.hints import belonging, instead, shown
from reconciler.manifest.models import (
    AttachPart,
    ContainerPart,
    DeployPart,
    HostAddressPart,
    ListenPart,
    PortPart,
    SpanPart,
    StackPart,
)
from reconciler.manifest.network_models import (
    AllowancePart,
    AttachmentPart,
    IpamPart,
    NetworkPart,
    PoolPart,
    RoutePart,
)
from reconciler.manifest.nodes import (
    Mapping,
    Node,
    Scalar,
    Sequence,
    child,
    is_null,
    key_place,
    overrides,
    place,
    source_of,
)
from reconciler.manifest.slips import by_name, take_out_slips

if TYPE_CHECKING:
    from collections.abc import Collection

    from pydantic_core import ErrorDetails

Path = tuple[str | int, ...]

_ROUNDS = 5
_SHOWN = 40
"""Characters of a value that a message shows."""
_OWN_KEYS = "keys of your own begin with x-"
_NAMED_PART = 2
"""The length of the path to a container or network; others refer to it, so that its name must stay."""

_PARTS: dict[tuple[str, ...], tuple[type[BaseModel], Collection[str]]] = {
    (): (StackPart, {*vocabulary.UNUSED_TOP, "services", "include"}),
    ("containers", "*"): (ContainerPart, {*vocabulary.UNUSED_CONTAINER, "extends"}),
    ("containers", "*", "attach"): (AttachPart, ()),
    ("containers", "*", "networks", "*"): (AttachmentPart, ()),
    ("containers", "*", "ports", "*"): (PortPart, vocabulary.UNUSED_PORT),
    ("containers", "*", "networks", "*", "routes", "*"): (RoutePart, ()),
    ("containers", "*", "open", "*"): (SpanPart, ()),
    ("containers", "*", "listen", "*"): (ListenPart, ()),
    ("containers", "*", "floating_ip"): (HostAddressPart, ()),
    ("containers", "*", "floating_ip", "*"): (HostAddressPart, ()),
    ("containers", "*", "egress_ip"): (HostAddressPart, ()),
    ("containers", "*", "egress_ip", "*"): (HostAddressPart, ()),
    ("containers", "*", "deploy"): (DeployPart, vocabulary.UNUSED_DEPLOY),
    ("networks", "*", "allow", "*"): (AllowancePart, ()),
    ("networks", "*"): (NetworkPart, vocabulary.UNUSED_NETWORK),
    ("networks", "*", "ipam"): (IpamPart, vocabulary.UNUSED_IPAM),
    ("networks", "*", "ipam", "config", "*"): (PoolPart, ()),
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
    "int_parsing_size": "a whole number",
    "finite_number": "a whole number",
}
_TAGS = frozenset({TEXT, LIST, MAP})
_FORMS = {"'~text'": "text", "'~list'": "a list", "'~map'": "a mapping"}


def validate(root: Mapping, faults: Faults) -> StackPart | None:
    """The document as models; faults of shape are noted.

    What is at fault is taken out of the tree, so that the rest can be judged in the same
    run. None when nothing sound is left.
    """
    take_out_slips(root, faults)
    for _ in range(_ROUNDS):
        try:
            return StackPart.model_validate(_plain(root, (), root, faults))
        except ValidationError as error:
            paths = [
                _note(detail, root, faults)
                for detail in error.errors(include_url=False, include_context=True, include_input=False)
            ]
        faults.name_overridden(overrides(root))
        if faults.is_full:
            return None  # what else there is would not be shown
        # From the back, so that the indexes in the other paths stay right.
        for path in sorted(set(paths), key=lambda path: [str(step).zfill(8) for step in path], reverse=True):
            _take_out(root, path)
    return None


def _take_out(root: Mapping, path: Path) -> None:
    """Remove the value at ``path``: an entry that may be empty becomes so, any other goes."""
    parent = child(root, path[:-1]) if path else None
    last = path[-1] if path else ""
    if isinstance(parent, Mapping) and str(last) in parent.entries:
        value = parent.entries[str(last)]
        if path == ("networks",):
            parent.entries["networks"] = by_name(value)  # who joins these networks is not at fault
        elif is_null(value) or len(path) != _NAMED_PART:
            parent.drop(str(last))
        else:
            parent.entries[str(last)] = Scalar(value.file, value.line, value.column, "", None)
    elif isinstance(parent, Sequence) and isinstance(last, int) and last < len(parent.items):
        del parent.items[last]


def _plain(node: Node, path: Path, root: Mapping, faults: Faults) -> Any:
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [
            item.value if isinstance(item, Scalar) else _plain(item, (*path, index), root, faults)
            for index, item in enumerate(node.items)
        ]
    result: dict[str, Any] = {}
    for key, value in node.entries.items():
        if node.keys[key].value.__class__ is not str and not key.startswith("\0"):
            where = ".".join(shown(path, root)) or "the top"
            faults.add(f"non-string key in {where}: {key}", source_of(node.keys[key]), f"quote it: '{key}'")
        result[key] = value.value if isinstance(value, Scalar) else _plain(value, (*path, key), root, faults)
    return result


def _note(detail: ErrorDetails, root: Mapping, faults: Faults) -> Path:
    """Say one of pydantic's findings; the path to what has to go is returned."""
    kind = detail["type"]
    # A key that is unknown ends its path, whatever it is called.
    *steps, last = detail["loc"] or ("",)
    path: Path = tuple(step for step in steps if step not in _TAGS)
    if detail["loc"] and (last not in _TAGS or kind == "extra_forbidden"):
        path = (*path, last)
    if kind == "extra_forbidden":
        _note_unknown(path, root, faults)
        return path
    source = place(root, path)
    key = shown(path, root)[-1] if path else "the manifest"
    if kind == "missing":
        faults.add(f"'{key}' is missing", place(root, path[:-1]), f"add {key}:")
        return path[:-1]
    node = child(root, path)
    if kind == "union_tag_invalid":
        tags = str(detail.get("ctx", {}).get("expected_tags", ""))
        wanted = " or ".join(_FORMS.get(tag.strip(), tag) for tag in tags.split(","))
    else:
        wanted = _WANTED.get(kind, "another sort of value")
    hint = instead(node, wanted, path, root)
    named = f"'{key}'" if isinstance(path[-1] if path else "", str) else "this item"
    faults.add(f"{named} takes {wanted}, not {_found(node, path)}", source, hint)
    return path


def _found(node: Node | None, path: Path) -> str:
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    if node is None or node.value is None:
        return "nothing"
    if "environment" in path:
        return "this value"
    return f"'{node.text[:_SHOWN]}{'…' if len(node.text) > _SHOWN else ''}'"


def _note_unknown(path: Path, root: Mapping, faults: Faults) -> None:
    key = str(path[-1])
    source = key_place(root, path)
    parent = child(root, path[:-1])
    if isinstance(parent, Mapping) and key in parent.keys and not isinstance(parent.keys[key].value, str):
        return  # noted already: not text
    for pattern, (part, unused) in _PARTS.items():
        if len(pattern) == len(path) - 1 and all(p in {"*", str(step)} for p, step in zip(pattern, path, strict=False)):
            known = {*part.model_fields, *unused}
            near = faults.nearest(key, known)
            # 'port' and 'network' are keys elsewhere, but who writes them for a container means the plural.
            hint = near if {f"{key}s", key.removesuffix("s")} & known else _elsewhere(key, path, root) or near
            if not pattern and _is_container(child(root, path)):
                hint = f"a container? it belongs under services:, indented{'; ' * bool(near)}{near}"
            faults.add(f"unknown key '{key}'", source, hint or _OWN_KEYS)
            return
    faults.add(f"unknown key '{key}'", source)


def _is_container(node: Node | None) -> bool:
    """Whether it looks like one: not indented, or of Compose's first version, which had no ``services``."""
    known = {*ContainerPart.model_fields, *vocabulary.UNUSED_CONTAINER}
    return isinstance(node, Mapping) and not known.isdisjoint(node.entries)


def _elsewhere(key: str, path: Path, root: Mapping) -> str:
    patterns = [pattern for pattern, (part, unused) in _PARTS.items() if key in part.model_fields or key in unused]
    return belonging(key, child(root, path), patterns, root)
