"""Characters that no value can hold: what YAML forbids raw, but lets in through escapes, and so do variables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.manifest.nodes import RESET, Mapping, Scalar, scalars, source_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from reconciler.errors import Source
    from reconciler.manifest.faults import Faults

FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What YAML forbids to stand in a file (1.2, section 5.1)."""
_IMPOSSIBLE = re.compile("[\0\ud800-\udfff]")
"""What the kernel takes in no string, and what no file can hold."""
_PROGRAMS_OWN = frozenset({"command", "entrypoint", "environment"})
"""Keys whose values go to a program as they are: a terminal's escape sequence is nothing strange there."""

FROM_VARIABLE = "it comes from a variable; set that anew"
"""What to do about a character that the manifest itself does not hold."""


def has_forbidden(text: str) -> bool:
    """Whether a forbidden character is in the text."""
    return not text.isprintable() and FORBIDDEN.search(text) is not None


def is_possible(text: str) -> bool:
    """Whether the kernel can take the text as a string, and a file hold it."""
    return text.isprintable() or _IMPOSSIBLE.search(text) is None


def impossible(scalar: Scalar) -> str:
    """What is wrong with a value that nothing could take; it is then safe to go on with, and removed by merging."""
    found = _IMPOSSIBLE.search(scalar.text)
    if not found:
        return ""
    scalar.text = FORBIDDEN.sub("\ufffd", scalar.text)
    scalar.value = scalar.text
    scalar.tag = RESET
    return _message(found.group())


def refuse_controls(root: Mapping, from_variables: Collection[Source], faults: Faults) -> None:
    """Note control characters in values, except in what goes to a program as it is; keys have to be known ones.

    ``from_variables`` are the places of values where variables have brought them in.
    """
    for scalar in scalars(root, _PROGRAMS_OWN.__contains__):
        found = FORBIDDEN.search(scalar.text)
        if found:
            source = source_of(scalar)
            faults.add(_message(found.group()), source, FROM_VARIABLE if source in from_variables else "remove it")
            scalar.text = FORBIDDEN.sub("\ufffd", scalar.text)
            scalar.value = scalar.text
            scalar.tag = RESET


def _message(character: str) -> str:
    return f"this text holds the character U+{ord(character):04X}, which is not allowed"
