"""Slips of spaces and indentation that change what YAML makes of a manifest: found before its shape is judged.

What is noted is taken out, because every further message would be about something that nobody meant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.manifest import vocabulary
from reconciler.manifest.hints import in_list, quoted
from reconciler.manifest.models import ListenPart, PortPart, SpanPart
from reconciler.manifest.network_models import AttachmentPart
from reconciler.manifest.nodes import Mapping, Node, Scalar, Sequence, is_null, source_of

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from reconciler.manifest.faults import Faults

_NONE: frozenset[str] = frozenset()
_JOINED_BY_COLON: dict[str, AbstractSet[str]] = {
    "ports": {*PortPart.model_fields, *vocabulary.UNUSED_PORT},
    "open": SpanPart.model_fields.keys(),
    "listen": ListenPart.model_fields.keys(),
    "expose": _NONE,
    "links": _NONE,
    "external_links": _NONE,
    "dns_opt": _NONE,
}
"""Lists of texts that may hold colons, each with the keys that its items have where they are mappings."""
_UNMAPPED = frozenset({"expose", "open"})
_PAIRS = ("environment", "extra_hosts", "sysctls")
"""Mappings that may be written as lists of NAME=VALUE."""
_ATTACHMENT = AttachmentPart.model_fields.keys()


def take_out_slips(root: Mapping, faults: Faults) -> None:
    """Note them, and take out of the tree what is at fault."""
    containers = root.entries.get("containers")
    for container in containers.entries.values() if isinstance(containers, Mapping) else ():
        if not isinstance(container, Mapping):
            continue
        entries = container.entries
        for key in _JOINED_BY_COLON:
            if key in entries:
                _take_out_colons(key, container, faults)
        for key in _PAIRS:
            node = entries.get(key)
            if node.__class__ is Sequence:
                _take_out_pairs(key, node, faults)
        networks = entries.get("networks")
        if isinstance(networks, Mapping) and not _ATTACHMENT.isdisjoint(networks.entries):
            _take_out_neighbours(networks, root.entries.get("networks"), faults)


def by_name(node: Node) -> Mapping:
    """What a list of names, or a single name, was meant to be: a mapping with each of them as a key."""
    named = Mapping(node.file, node.line, node.column)
    for item in node.items if isinstance(node, Sequence) else [node]:
        if isinstance(item, Scalar) and not is_null(item):
            key = Scalar(item.file, item.line, item.column, item.text, item.text)
            named.put(key, Scalar(item.file, item.line, item.column, "", None))
        elif isinstance(item, Mapping):
            for text, value in item.entries.items():
                named.put(item.keys[text], value)
    return named


def _texts(node: Node, known: AbstractSet[str]) -> list[tuple[str, str]]:
    """Key and value of each entry of a mapping that has none of the ``known`` keys, and texts only; else nothing."""
    if not isinstance(node, Mapping) or not known.isdisjoint(node.entries):
        return []
    found = [(key, value.text) for key, value in node.entries.items() if isinstance(value, Scalar)]
    return found if len(found) == len(node.entries) else []


def _take_out_colons(key: str, container: Mapping, faults: Faults) -> None:
    """``- 8080: 80``, and ``8080: 80`` without a dash."""
    node, known = container.entries[key], _JOINED_BY_COLON[key]
    if pairs := _texts(node, known):
        source = source_of(container.keys[key])
        hint = f"write it as a list: {key}: [{_joined(key, pairs)}]"
        faults.add(f"'{key}' takes a list, not a mapping", source, hint)
        container.drop(key)
    elif isinstance(node, Sequence):
        for item in [item for item in node.items if item.__class__ is Mapping]:
            if pairs := _texts(item, known):
                _take_out_item(node, item, f"write {_joined(key, pairs)}", faults)


def _joined(key: str, pairs: list[tuple[str, str]]) -> str:
    """The texts that were meant; where nothing is mapped, that is the container's side."""
    texts = (value or name if key in _UNMAPPED else ":".join(filter(None, (name, value))) for name, value in pairs)
    return ", ".join(map(quoted, texts))


def _take_out_pairs(key: str, node: Sequence, faults: Faults) -> None:
    """``- NAME: VALUE``; nothing of an environment is shown."""
    for item in [item for item in node.items if item.__class__ is Mapping]:
        if pairs := _texts(item, _NONE):
            written = "NAME=VALUE" if key == "environment" else in_list("=".join(pairs[0]))
            _take_out_item(node, item, f"write it as {written}, or drop all dashes of '{key}'", faults)


def _take_out_item(holder: Sequence, item: Node, hint: str, faults: Faults) -> None:
    faults.add("this item takes text, and a colon with a space after it makes a mapping", source_of(item), hint)
    holder.items = [each for each in holder.items if each is not item]


def _take_out_neighbours(networks: Mapping, declared: Node | None, faults: Faults) -> None:
    """Keys of a place on a network that stand beside the network's name, and not under it."""
    known = declared.entries if isinstance(declared, Mapping) else {}
    name = ""
    for key, value in list(networks.entries.items()):
        if key not in _ATTACHMENT or key in known:
            name = key
        elif not is_null(value) and (key == "driver_opts" or not isinstance(value, Mapping)):
            hint = f"indent it under '{name}'" if name else f"write it under one: networks: {{NAME: {{{key}: …}}}}"
            faults.add(f"'{key}' stands beside the names of networks", source_of(networks.keys[key]), hint)
            networks.drop(key)
