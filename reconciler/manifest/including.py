"""``include``: other stacks whose containers and networks become part of this one."""

from __future__ import annotations

from dataclasses import dataclass
from posixpath import dirname
from typing import TYPE_CHECKING

from reconciler.manifest.nodes import RESET, Mapping, Node, Scalar, Sequence, is_null, source_of
from reconciler.manifest.paths import joined, remote

if TYPE_CHECKING:
    from reconciler.manifest.faults import Faults

_KEYS = ("path", "project_directory", "env_file")
_FETCH_IT = "fetch it first, and include the copy"


@dataclass(frozen=True, slots=True)
class Inclusion:
    """One entry: files that are merged, and the files of variables that they see.

    All paths are as they can be opened. ``env_files`` None: ``.env`` in ``directory``.
    """

    paths: tuple[str, ...]
    directory: str
    env_files: tuple[str, ...] | None
    node: Node


def take_inclusions(root: Mapping, directory: str, faults: Faults) -> tuple[Inclusion, ...]:
    """The entries of ``include``, whose paths start from ``directory``; it is taken out of the document."""
    given = root.entries.get("include")
    if given is None:
        return ()
    root.drop("include")
    if is_null(given) or given.tag == RESET:
        return ()
    if not isinstance(given, Sequence):
        faults.add("'include' takes a list", source_of(given), "write include: [FILE]")
        return ()
    found = (_inclusion(item, directory, faults) for item in given.items if item.tag != RESET)
    return tuple(inclusion for inclusion in found if inclusion)


def _inclusion(node: Node, here: str, faults: Faults) -> Inclusion | None:
    if isinstance(node, Scalar) and node.text:
        if fault := remote(node.text):
            faults.add(fault, source_of(node), _FETCH_IT)
            return None
        path = joined(here, node.text)
        return Inclusion((path,), _folder(path), None, node)
    entries: dict[str, Node] = {}
    if isinstance(node, Mapping):
        entries = node.entries
        for key in entries.keys() - set(_KEYS):
            faults.add(f"unknown key '{key}'", source_of(node.keys[key]), faults.nearest(key, _KEYS))
    names = _texts(entries.get("path"))
    if fault := next(filter(None, map(remote, names)), ""):
        faults.add(fault, source_of(entries["path"]), _FETCH_IT)
        return None
    paths = tuple(joined(here, text) for text in names)
    if not paths:
        faults.add("an inclusion without a path", source_of(node), "write - FILE, or - path: FILE")
        return None
    given = _texts(entries.get("project_directory"))
    directory = joined(here, given[0]) if given else _folder(paths[0])
    files = entries.get("env_file")
    env_files = None if files is None else tuple(joined(here, text) for text in _texts(files))
    return Inclusion(paths, directory, env_files, node)


def _folder(path: str) -> str:
    return dirname(path) or "."


def _texts(node: Node | None) -> list[str]:
    items = node.items if isinstance(node, Sequence) else [node]
    return [item.text for item in items if isinstance(item, Scalar) and item.text and item.tag != RESET]
