"""Plain values -> YAML text, some ten times as fast as by ruamel's round-trip dumper.

Block style, of a value's forms the plainest that every reader takes for the same: YAML 1.1, which many
still speak, has ``no`` for false, ``22:22`` for a number in base 60 and ``2025-01-01`` for a date.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PLAIN = re.compile(r"[A-Za-z0-9/_(](?:[A-Za-z0-9/_(.)+@%=~^*!?;&<>|$-]|:(?=[A-Za-z0-9/_.:])| (?=[A-Za-z0-9/_(.=+-]))*")
"""Neither an indicator at the beginning nor one that ends the text, on one line, and nothing that looks strange."""
# The numbers of YAML 1.2 are among those of 1.1, but for what _PLAIN does not take.
_OLD_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_OLD_NUMBER = re.compile(
    r"0b[01_]+|0x[0-9a-f_]+|0o?[0-7_]+|[0-9][0-9_]*(?::[0-5]?[0-9])*(?:\.[0-9_]*)?(?:e[-+]?[0-9]+)?"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[t ].*)?",
    re.IGNORECASE,
)

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}
_LAST_SHORT = 0xFFFF


def text_of(document: Mapping[str, Any]) -> str:
    """The document of mappings, lists, texts, whole numbers and booleans as YAML; a single line break ends it."""
    return "\n".join(_mapping(document, "")) + "\n" if document else "{}\n"


def _mapping(mapping: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in mapping.items():
        head = f"{indent}{_scalar(key)}:"
        if not isinstance(value, dict | list) or not value:
            yield f"{head} {_scalar(value)}"
        else:
            yield head
            yield from _mapping(value, f"{indent}  ") if isinstance(value, dict) else _sequence(value, indent)


def _sequence(items: list[Any], indent: str) -> Iterator[str]:
    for item in items:
        if isinstance(item, dict) and item:
            first, *others = _mapping(item, f"{indent}  ")
            yield f"{indent}- {first[len(indent) + 2 :]}"
            yield from others
        elif isinstance(item, list) and item:
            yield f"{indent}-"
            yield from _sequence(item, f"{indent}  ")
        else:
            yield f"{indent}- {_scalar(item)}"


def _scalar(value: object) -> str:
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _OLD_WORDS and not _OLD_NUMBER.fullmatch(text):
        return text
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character.isprintable():
        return _ESCAPES.get(character, character)
    code = ord(character)
    return _ESCAPES.get(character) or (f"\\u{code:04x}" if code <= _LAST_SHORT else f"\\U{code:08x}")
