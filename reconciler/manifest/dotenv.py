"""Files of variables: ``.env`` and those of ``--env-file``, in the form that Compose reads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.errors import Source
from reconciler.manifest.faults import FormError
from reconciler.manifest.interpolation import Interpolation, Room

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.manifest.faults import Faults
    from reconciler.manifest.interpolation import Environment

_NAME = r"[^\S\n]*(?:export[^\S\n]+)?(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]*)"
_ENTRY = re.compile(
    _NAME
    + r"""
    (?:
        [^\S\n]* [=:] [^\S\n]*+
        (?:
            '(?P<literal>(?:[^'\\]++|\\.)*+)' | "(?P<quoted>(?:[^"\\]++|\\.)*+)" | (?P<plain>(?!['"])[^\n]*)
        )
    )?
    [^\S\n]* (?:\#[^\n]*)? (?:\n|\Z)
    """,
    re.VERBOSE | re.DOTALL,
)
_RAW = re.compile(_NAME + r"[^\S\n]*(?:[=:#][^\n]*)?(?:\n|\Z)")
_OPENING = re.compile(_NAME + r"[^\S\n]*[=:][^\S\n]*(?=['\"])")
_QUOTED = re.compile(r"""'(?:[^'\\]++|\\.)*+'|"(?:[^"\\]++|\\.)*+\"""", re.DOTALL)
_BLANK = re.compile(r"[^\S\n]*(?:#[^\n]*)?(?:\n|\Z)")
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*\Z")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "$": "$$"}


@dataclass(frozen=True, slots=True)
class _Known:
    """The variables outside, and under them those of the lines before."""

    outside: Mapping[str, str]
    before: Mapping[str, str]

    def get(self, name: str, /) -> str | None:
        value = self.outside.get(name)
        return self.before.get(name) if value is None else value


def parse_dotenv(
    text: str,
    file: str,
    environment: Mapping[str, str],
    faults: Faults,
    *,
    found: dict[str, str] | None = None,
    room: Room | None = None,
    raw: bool = False,
) -> dict[str, str]:
    """The variables of one file; with ``raw`` each line is NAME=VALUE, quotes and dollar signs mean themselves.

    ``found`` are those of the files before; they are added to, as far as there is ``room``.
    Single quotes take text as it is, but for an escaped quote; in double quotes and without quotes
    variables are replaced, from ``environment`` and the lines before, and one that is not
    set is warned of. A name alone takes the value that ``environment`` has. Lines that are
    none of this are noted with their place.
    """
    found = {} if found is None else found
    room = room or Room()
    known = _Known(environment, found)
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    position, counted, number = 0, 0, 1
    while position < len(text) and room.left >= 0:
        blank = _BLANK.match(text, position)
        if blank:
            position = blank.end()
            continue
        number += text.count("\n", counted, position)
        counted = position
        source = Source(file, number, 1)
        entry = (_RAW if raw else _ENTRY).match(text, position)
        if entry is None:
            position = _note(text, position, source, faults)
            continue
        if raw:
            end = text.find("\n", position)
            line = text[position : end if end >= 0 else len(text)]
            name, equals, content = line.partition("=")
            if equals:
                found[name.strip()] = content
            position += len(line) + 1
            continue
        position = entry.end()
        work = Interpolation(known)
        try:
            value = _value(entry, work, known)
            room.take(value or "")
        except FormError as error:
            faults.add_form(error, source)
            continue
        if work.unset:
            # Its name is not shown: it may be half of a password.
            message = f"the value of {entry['name']} has a variable that is not set; empty text stands for it"
            faults.warn(message, source, "for a dollar sign write $$, or put the value into single quotes")
        if value is not None:
            found[entry["name"]] = value
    return found


def _note(text: str, position: int, source: Source, faults: Faults) -> int:
    """Note what is wrong with the line at ``position``; the position of the line after it."""
    opening = _OPENING.match(text, position)
    if opening is None:
        faults.add("this line is no variable", source, "write NAME=VALUE")
    elif quoted := _QUOTED.match(text, opening.end()):
        message = f"text after the closing quote of {opening['name']}"
        faults.add(message, source, "end the line there, put the text into the quotes, or ' #' before it")
        position = quoted.end()
    else:
        quote = text[opening.end()]
        hint = f"add {quote} at its end; one that belongs to the value is written \\{quote}"
        faults.add(f"{opening['name']} has a quoted value without its end", source, hint)
    return (text.find("\n", position) + 1) or len(text)


def _value(entry: re.Match[str], work: Interpolation, environment: Environment) -> str | None:
    if entry["literal"] is not None:
        return re.sub(r"\\(.)", _unquote, entry["literal"], flags=re.DOTALL)
    if entry["quoted"] is not None:
        return work.substitute(re.sub(r"\\(.)", _unescape, entry["quoted"], flags=re.DOTALL))
    if entry["plain"] is not None:
        return work.substitute(_COMMENT.sub("", entry["plain"]).strip())
    return environment.get(entry["name"])


def _unquote(match: re.Match[str]) -> str:
    return "'" if match[1] == "'" else match[0]


def _unescape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[0])
