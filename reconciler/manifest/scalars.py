"""What a plain scalar means by the core schema of YAML 1.2 (section 10.3.2).

YAML 1.1's rules would read ``22:22`` as a number in base 60, ``on`` as true, ``017`` as 15.
"""

from __future__ import annotations

import re

_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_FIRST = frozenset("0123456789+-.")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
)
_LONGEST_NUMBER = 100
FLAG_PATTERN = "[tT]([rR][uU][eE])?|[fF]([aA][lL][sS][eE])?|[yY]([eE][sS])?|[nN][oO]?|[oO]([nN]|[fF][fF])|[01]"
NUMBER_PATTERN = r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?"
WHOLE_PATTERN = "[-+]?[0-9]+"
"""Texts that stand for a flag, for any number and for a whole one, in what JSON Schema's and Python's patterns share."""
_BASES = {"0o": 8, "0x": 16}


class WrittenInt(int):
    """A whole number that was written in another way than Python prints it, such as 017."""

    text: str


class WrittenFloat(float):
    """A number with the text it was written as, such as 1.10."""

    text: str


def resolve(text: str) -> object:
    """The value of a plain scalar: None, a bool, a number, or the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _FIRST or len(text) > _LONGEST_NUMBER:
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        number = WrittenFloat(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        number.text = text
        return number
    return text


def as_text(value: object) -> object:
    """A number or bool as the text that was written; anything else as it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, WrittenInt | WrittenFloat):
        return value.text
    return str(value) if isinstance(value, int | float) else value


def _integer(text: str) -> int:
    plain = int(text[2:], _BASES[text[:2]]) if text[:2] in _BASES else int(text)
    if str(plain) == text:
        return plain
    number = WrittenInt(plain)
    number.text = text
    return number
