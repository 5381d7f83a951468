"""A manifest's text without the lines that hold secrets: environment values, build arguments, contents of secrets."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING

from reconciler.errors import NetapplyError
from reconciler.manifest.nodes import Mapping, Node, Sequence
from reconciler.manifest.reading import read

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEYS = frozenset({"environment", "args", "content"})
_WORD = re.compile(rf"\b(?:{'|'.join(_KEYS)})\b")
_LIKE_THEM = frozenset({"env_file", "target"})
"""Keys of other values, that could be taken for one of those mistyped."""
_KEY = re.compile(r"""(?<![\w-])[\w-]++(?=["']?\s*:)""")
_LONGEST = 40


def without_secrets(data: bytes, file: str) -> str | None:
    """The text, lines with secret values empty; None for what is no manifest (a file of variables).

    A file that is not YAML is given only if it does not speak of such values at all, for
    nobody can say then which lines belong to it.
    """
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    try:
        root = read(data, file).root
    except NetapplyError:
        return None if _speaks_of_secrets(text) or "=" in text.partition("\n")[0] else text
    if not isinstance(root, Mapping):
        return None
    lines = text.split("\n")
    hidden = {number for number, line in enumerate(lines, 1) if _speaks_of_secrets(line)}
    hidden.update(_hidden(root, len(lines)))
    return "\n".join("" if number in hidden else line for number, line in enumerate(lines, 1))


def _speaks_of_secrets(text: str) -> bool:
    return bool(_WORD.search(text)) or any(_may_hold_secrets(found.group()) for found in _KEY.finditer(text))


@lru_cache(4096)
def _may_hold_secrets(key: str) -> bool:
    """Whether it is one of those keys, or could be meant for one: who mistypes ``environment`` has secrets below it."""
    word = key.strip().lower()
    if key in _KEYS or key in _LIKE_THEM or len(word) > _LONGEST:
        return key in _KEYS
    return word.startswith("env") or any(each in word for each in _KEYS) or bool(get_close_matches(word, _KEYS, n=1))


def _hidden(root: Mapping, last_line: int) -> Iterator[int]:
    """The lines from each part of secret values up to the next node of anything else.

    A node's end is not known, so a value is taken to reach to what follows it.
    """
    secrets = {(node.line, node.column) for part in _secret_parts(root) for node in _walk(part)}
    places = sorted({(node.line, node.column) for node in _walk(root)} | secrets)
    for place, following in zip(places, [*places[1:], (last_line + 1, 1)], strict=True):
        if place in secrets:
            # The line of what follows is shown unless the value begins on it.
            yield from range(place[0], max(following[0], place[0] + 1))


def _secret_parts(root: Mapping) -> Iterator[Node]:
    """Whatever stands under those words anywhere, for a container may take it from elsewhere by an alias."""
    for node in _walk(root):
        if isinstance(node, Mapping):
            yield from (value for key, value in node.entries.items() if _may_hold_secrets(key))


def _walk(node: Node, seen: set[int] | None = None) -> Iterator[Node]:
    """The node, its keys and all in it, each once: aliases share nodes."""
    seen = set() if seen is None else seen
    if id(node) in seen:
        return
    seen.add(id(node))
    yield node
    if isinstance(node, Mapping):
        yield from node.keys.values()
        for value in node.entries.values():
            yield from _walk(value, seen)
    elif isinstance(node, Sequence):
        for item in node.items:
            yield from _walk(item, seen)
