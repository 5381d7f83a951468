"""What to write in place of a value of the wrong form, or of a key that belongs elsewhere."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from reconciler.manifest.faults import FormError
from reconciler.manifest.nodes import Mapping, Node, Scalar, Sequence, key_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Sequence as Several

    Path = tuple[str | int, ...]

_LISTS = frozenset({"ports", "open", "listen", "config", "routes", "allow"})
"""Keys whose items are mappings, or may be."""
_FIRST_KEYS = {"config": "subnet", "routes": "to"}
"""Keys whose items are mappings only, and what an item says first."""
_PLAIN = re.compile(r"[A-Za-z0-9/_](?:[A-Za-z0-9/_.+=@-]|:(?=[A-Za-z0-9]))*")
"""Text that needs no quotes in a list in [ ]."""
_LONGEST_EXAMPLE = 60
_LONGEST_LINE = 200
"""Characters that are searched for several items."""


def word(root: Mapping) -> str:
    """``containers`` or ``services``: the word that the manifest uses."""
    key = root.keys.get("containers")
    return "services" if key is not None and key.value == "services" else "containers"


def shown(path: Iterable[str | int], root: Mapping) -> list[str]:
    """The steps of the path in the manifest's own words."""
    return [word(root) if not index and step == "containers" else str(step) for index, step in enumerate(path)]


def instead(node: Node | None, wanted: str, path: Path, root: Mapping) -> str:
    """What to write in place of a value that is not of the ``wanted`` form; nothing where that cannot be said."""
    if isinstance(node, Scalar) and node.text:
        return _of_text(node, wanted, path, root)
    if isinstance(node, Mapping) and node.entries and wanted == "a list":
        return f"write it as a list: {path[-1]}: [{{{next(iter(node.entries))}: …}}]"
    if path[2:3] == ("networks",) and isinstance(path[-1], int) and isinstance(node, Mapping) and node.entries:
        # The mapping form with a list's dashes, or with its keys beside the name instead of under it.
        name, *others = node.entries
        more = "…" if others or isinstance(node.entries[name], Mapping) else ""
        return f"drop the dashes: networks: {{{name}: {{{more}}}}}"
    if path in {("containers",), ("networks",)} and isinstance(node, Sequence):
        names = [item.text for item in node.items if isinstance(item, Scalar)]
        name = names[0] if names else "NAME"
        return f"drop the dashes: {shown(path, root)[0]}: {{{name}: {{…}}}}"
    return ""


def belonging(key: str, value: Node | None, patterns: Several[tuple[str, ...]], root: Mapping) -> str:
    """Where a key belongs; ``patterns`` are the paths, with ``*`` for names and items, of the parts that have it."""
    if not patterns:
        return ""
    pattern = patterns[0]
    if key == "gateway" and not (isinstance(value, Scalar) and value.text.startswith(("service:", "container:"))):
        # An address is the bridge's; a container's is the one that all goes through.
        pattern = next((each for each in patterns if each[0] == "networks"), pattern)
    names = [index for index, step in enumerate(pattern) if step == "*" and pattern[index - 1] not in _LISTS]
    named = names[-1] + 1 if names else len(pattern)
    where = ".".join(shown(pattern[:named], root)).replace("*", "NAME") or "the top of the file"
    example = f"{key}: …"
    for step in reversed(pattern[named:]):
        example = f"[{{{example}}}]" if step == "*" else f"{step}: {_in_braces(example)}"
    return f"'{key}' belongs under {where}" + (f", as {example}" if pattern[named:] else "")


def in_list(text: str) -> str:
    """The text as an item of a list in [ ], with quotes where it needs them."""
    return text if _PLAIN.fullmatch(text) else quoted(text)


def quoted(text: str) -> str:
    """The text in double quotes, which every text can stand in; a long one is cut."""
    return json.dumps(f"{text[:_LONGEST_EXAMPLE]}{'…' * (len(text) > _LONGEST_EXAMPLE)}", ensure_ascii=False)


def one_by_one(text: str, parse: Callable[[str], object]) -> str:
    """The items of a list that commas or spaces divide in one text; nothing where ``parse`` refuses one of them."""
    items = [item.removeprefix("-") for item in re.split(r"[\s,;]+", text[:_LONGEST_LINE]) if item not in {"", "-"}]
    try:
        for item in items:
            parse(item)
    except FormError:
        return ""
    return ", ".join(map(quoted, items)) if len(items) > 1 else ""


def _in_braces(example: str) -> str:
    return example if example.startswith("[") else f"{{{example}}}"


def _of_text(node: Scalar, wanted: str, path: Path, root: Mapping) -> str:
    if wanted == "a mapping" and isinstance(path[-1], int) and path[-2] in _FIRST_KEYS:
        return f"write it as {{{_FIRST_KEYS[str(path[-2])]}: {in_list(node.text)}}}"
    if "a list" not in wanted:
        return ""
    if path[-1] == "environment":
        return "write it as a list: [NAME=VALUE]"
    text = node.text
    if re.match("-[^ -]", text):
        text = text[1:].partition(" -")[0]
        if node.line > key_place(root, path).line:
            return f"a dash and its text have a space between them: - {text[:_LONGEST_EXAMPLE]}"
    items = [piece.strip() for piece in text.split(",")]
    item = ", ".join(items) if all(map(_PLAIN.fullmatch, items)) else quoted(text)
    return f"write it as a list: [{_in_first_key(item, path)}]"


def _in_first_key(item: str, path: Path) -> str:
    first = _FIRST_KEYS.get(str(path[-1]))
    return f"{{{first}: {item}}}" if first else item
