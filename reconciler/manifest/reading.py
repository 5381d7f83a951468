"""Bytes -> tree of nodes: decoding, the choice of the YAML parser, and its messages.

libyaml's event parser is about 25 times as fast as ruamel's, but the one that its binding
carries (0.1.7) refuses ordinary flow forms such as ``[8080:80]``. So on any error of it the
text goes to it once more, with stand-ins for the colons that it stumbles over; and on an
error of that, the same builder runs over ruamel's own parser, and only that one's verdict counts.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import ScalarEvent
from ruamel.yaml.scanner import Scanner

from reconciler.errors import NetapplyError, Source
from reconciler.manifest.builder import Builder, Document
from reconciler.manifest.characters import FORBIDDEN
from reconciler.manifest.faults import typographic_hint

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST_FILE = 4 * 1024 * 1024
"""Bytes of one file that are read; 10 000 containers need about 2.5 million."""
LARGEST_SLOW = 512 * 1024
"""Characters that the slow parser is given, about 3 seconds' work; mistakes are for it to judge, and rare forms."""

_INNER_COLON = re.compile(r"(?<![\"'}\]]):(?=\S)")
"""A colon that divides no key from a value: no space follows it, and nothing that was quoted or bracketed ends there."""
_INNER_QUESTION_MARK = re.compile(r"(?<=[^\s,\[\]{}])\?")
_PRIVATE_USE = range(0xE000, 0xF8FF)

_BRACKETED = re.compile(r"(?:[^#\[\]\"']*[-:])?\s+(\[[0-9a-fA-F:.]+\])[^\s,\[\]{}\"']")
"""An address in brackets, and what stands right behind it, where a block's text begins."""
_DASHED = re.compile(r"\s*(-)[^\s-]")
_NO_COLON = "could not find expected ':'"
_OUT_OF_PLACE = (_NO_COLON, "expected <block end>", "did not find expected")
_WORDS = (
    (
        "found character '\\t' that cannot start any token",
        "a tab where YAML wants spaces",
        "indent with spaces only",
    ),
    ("mapping values are not allowed here", "a ':' that does not fit here", "check the indentation, or quote the text"),
    (
        _NO_COLON,
        "a key without ':'",
        "write KEY: VALUE, with a space after the colon",
    ),
    ("expected <block end>, but found '}'", "a '}' that closes nothing", "remove it, or open the mapping with '{'"),
    ("expected <block end>, but found ']'", "a ']' that closes nothing", "remove it, or open the list with '['"),
    (
        "expected the node content, but found '<stream end>'",
        "the file ends inside a list in [ ] or a mapping in { }",
        "close it",
    ),
    # libyaml's own words, for files that are too large for the other parser
    ("mapping values are not allowed in", "a ':' that does not fit here", "check the indentation, or quote the text"),
    ("did not find expected key", "this line does not fit the indentation above", "align it with its neighbours"),
    ("did not find expected '-'", "this line does not fit the indentation above", "align it with its neighbours"),
    (
        "found character that cannot start",
        "a value cannot begin with this character",
        "indent with spaces; quote texts",
    ),
    ("expected <block end>, but found", "this line does not fit the indentation above", "align it with its neighbours"),
    ("found unexpected end of stream", "the file ends inside quotes", "close the quotes"),
    ("expected ',' or ']'", "a list in [ ] is not closed, or a comma is missing", ""),
    ("expected ',' or '}'", "a mapping in { } is not closed, or a comma is missing", ""),
    ("found character '%' that cannot start any token", "a value cannot begin with '%'", "quote it"),
    ("found character '@' that cannot start any token", "a value cannot begin with '@'", "quote it"),
    ("found character '`' that cannot start any token", "a value cannot begin with '`'", "quote it"),
)


def read(data: bytes | str, file: str) -> Document:
    """Parse one file; ``file`` is its name in messages.

    Raises:
        NetapplyError: it is not one YAML document, or it passes a bound; with the place.
    """
    text = _decode(data, file) if isinstance(data, bytes) else data
    text = text.removeprefix("\ufeff")
    bad = FORBIDDEN.search(text)
    if bad:
        code = f"U+{ord(bad.group()):04X}"
        raise NetapplyError.of(f"character {code} is not allowed in YAML", _at(text, bad.start(), file), "remove it")
    document = _parse(text, file)
    document.has_typography = not text.isascii() and bool(typographic_hint(text))
    return document


def _parse(text: str, file: str) -> Document:
    try:
        return Builder(file).build(_fast_events(text))
    except (YAMLError, ImportError):
        pass
    try:
        return Builder(file).build(_fast_events_with_stand_ins(text))
    except (YAMLError, ImportError) as error:
        if len(text) > LARGEST_SLOW:
            raise _refusal(error, text, file) from None
    try:
        return Builder(file).build(_slow_events(text))
    except YAMLError as error:
        raise _refusal(error, text, file) from None


def _decode(data: bytes, file: str) -> str:
    if len(data) > LARGEST_FILE:
        message = f"the file has more than {LARGEST_FILE // 1024 // 1024} MiB"
        raise NetapplyError.of(message, Source(file, 1, 1), "split it into several stacks")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        message = f"byte 0x{data[error.start]:02x} is not valid UTF-8"
        raise NetapplyError.of(message, _at(before, len(before), file), "save the file as UTF-8") from None


def _at(text: str, index: int, file: str) -> Source:
    line_start = text.rfind("\n", 0, index) + 1
    return Source(file, text.count("\n", 0, index) + 1, index - line_start + 1)


def _fast_events(text: str) -> Iterator[Any]:
    from _ruamel_yaml import CParser  # noqa: PLC0415  # absent where the C library was not built

    parser = CParser(text)
    try:
        while (event := parser.get_event()) is not None:
            yield event
    finally:
        parser.dispose()


def _fast_events_with_stand_ins(text: str) -> Iterator[Any]:
    """The events with colons and question marks inside of scalars kept from libyaml.

    Each goes as one character that the text does not hold, so that every place stays where it
    is, and comes back in the scalars, quoted ones too. It harms where neither may stand: in a
    tag's address, and there the parser says so.
    """
    # Neither as itself nor in an escape sequence.
    lowered = text.lower()
    free = (chr(code) for code in _PRIVATE_USE if chr(code) not in text and f"{code:04x}" not in lowered)
    colon, question_mark = next(free, ":"), next(free, "?")
    replaced = _INNER_QUESTION_MARK.sub(question_mark, _INNER_COLON.sub(colon, text))
    for event in _fast_events(replaced):
        if event.__class__ is ScalarEvent and not event.value.isascii():
            event.value = event.value.replace(colon, ":").replace(question_mark, "?")
        yield event


def _slow_events(text: str) -> Iterator[Any]:
    yaml = YAML(typ="safe", pure=True)
    yaml.Scanner = _FlowScanner
    yield from yaml.parse(text)


class _FlowScanner(Scanner):
    """ruamel's scanner with YAML 1.2's rule for ':' in flow mappings: ``{ip: ::1}`` is no second value.

    ruamel looks for the value's ':' among the tokens not yet taken, and so judges by chance.
    """

    def check_value(self) -> bool:
        reader = self.reader
        following = reader.peek(1)
        if not self.flow_level or following in "\0 \t\r\n\x85\u2028\u2029,[]{}":
            return bool(super().check_value())
        return reader.pointer > 0 and reader.buffer[reader.pointer - 1] in "\"'}]"


def _refusal(error: Exception, text: str, file: str) -> NetapplyError:
    lines = text.split("\n")
    problem = str(getattr(error, "problem", None) or "this is not YAML")
    source = _place_of(error, lines, file, at_context=problem == _NO_COLON)
    line = lines[source.line - 1]
    if (bracketed := _BRACKETED.match(line)) and source.column > bracketed.start(1):
        at = Source(file, source.line, bracketed.start(1) + 1)
        return NetapplyError.of("a text that begins with '[' needs quotes", at, "put all of it in quotes")
    if (dashed := _DASHED.match(line)) and problem.startswith(_OUT_OF_PLACE):
        at = Source(file, source.line, dashed.start(1) + 1)
        return NetapplyError.of("a dash without a space behind it begins no item", at, "write a space after the dash")
    if source.column > 1 and line.startswith("${", source.column - 2):
        at = replace(source, column=source.column - 1)
        return NetapplyError.of("inside of [ ] and { } a text with a ${…} needs quotes", at, "put all of it in quotes")
    strange = typographic_hint(line)
    for found, message, hint in _WORDS:
        if found in problem:
            return NetapplyError.of(message, source, strange or hint)
    context = getattr(error, "context", None)
    return NetapplyError.of(f"{problem} ({context})" if context else problem, source, strange)


def _place_of(error: Exception, lines: list[str], file: str, *, at_context: bool) -> Source:
    """Where the parser found the error, or where what is wrong began; never behind the last line."""
    marks = [getattr(error, name, None) for name in ("problem_mark", "context_mark")]
    for mark in reversed(marks) if at_context else marks:
        if mark and (mark.line < len(lines) - 1 or (mark.line < len(lines) and lines[mark.line].strip())):
            return Source(file, mark.line + 1, mark.column + 1)
    last = max((number for number, line in enumerate(lines) if line.strip()), default=0)
    return Source(file, last + 1, len(lines[last].rstrip()) + 1)
