"""Files of variables: ``.env`` and those of ``--env-file``, in the form that Compose reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.errors import Source
from reconciler.manifest.faults import FormError
from reconciler.manifest.interpolation import Interpolation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.manifest.faults import Faults

_ENTRY = re.compile(
    r"""
    [^\S\n]* (?:export[^\S\n]+)?
    (?P<name>[A-Za-z_][A-Za-z0-9_.-]*)
    (?:
        [^\S\n]* [=:] [^\S\n]*
        (?: '(?P<literal>[^']*)' | "(?P<quoted>(?:[^"\\]|\\.)*)" | (?P<plain>[^\n]*) )
    )?
    [^\S\n]* (?:\#[^\n]*)? (?:\n|\Z)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLANK = re.compile(r"[^\S\n]*(?:#[^\n]*)?(?:\n|\Z)")
_COMMENT = re.compile(r"(?:^|\s+)#.*\Z")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "$": "$$"}


def parse_dotenv(
    text: str, file: str, environment: Mapping[str, str], faults: Faults, *, raw: bool = False
) -> dict[str, str]:
    """The variables of one file; with ``raw`` each line is NAME=VALUE, quotes and dollar signs mean themselves.

    Single quotes take text as it is; in double quotes and without quotes variables are
    replaced, from ``environment`` and the lines before. A name alone takes the value that
    ``environment`` has. Lines that are none of this are noted with their place.
    """
    found: dict[str, str] = {}
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    position = 0
    while position < len(text):
        blank = _BLANK.match(text, position)
        if blank:
            position = blank.end()
            continue
        source = Source(file, text.count("\n", 0, position) + 1, 1)
        entry = _ENTRY.match(text, position)
        if entry is None:
            faults.add("this line is no variable", source, "write NAME=VALUE")
            position = (text.find("\n", position) + 1) or len(text)
            continue
        if raw:
            line = text[position:].partition("\n")[0]
            name, equals, content = line.partition("=")
            if equals:
                found[name.strip()] = content
            position += len(line) + 1
            continue
        position = entry.end()
        try:
            value = _value(entry, {**found, **environment})
        except FormError as error:
            faults.add_form(error, source)
            continue
        if value is not None:
            found[entry["name"]] = value
    return found


def _value(entry: re.Match[str], environment: Mapping[str, str]) -> str | None:
    if entry["literal"] is not None:
        return entry["literal"]
    work = Interpolation(environment)
    if entry["quoted"] is not None:
        return work.substitute(re.sub(r"\\(.)", _unescape, entry["quoted"], flags=re.DOTALL))
    if entry["plain"] is not None:
        return work.substitute(_COMMENT.sub("", entry["plain"]).strip())
    return environment.get(entry["name"])


def _unescape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[0])
