"""Bytes -> tree of nodes: decoding, the choice of the YAML parser, and its messages.

libyaml's event parser is about 25 times as fast as ruamel's, but the one that its binding
carries (0.1.7) refuses ordinary flow forms such as ``[8080:80]``. So on any error of it the
same builder runs over ruamel's own parser, and only that one's verdict counts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scanner import Scanner

from reconciler.errors import NetapplyError, Source
from reconciler.manifest.builder import Builder, Document
from reconciler.manifest.faults import typographic_hint

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST_FILE = 4 * 1024 * 1024
"""Bytes of one file that are read; 10 000 containers need about 2.5 million."""
LARGEST_SLOW = 512 * 1024
"""Characters that the slow parser is given, about 3 seconds' work."""

_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_WORDS = (
    (
        "found character '\\t' that cannot start any token",
        "a tab where YAML wants spaces",
        "indent with spaces only",
    ),
    ("mapping values are not allowed here", "a ':' that does not fit here", "check the indentation, or quote the text"),
    (
        "could not find expected ':'",
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
    bad = _FORBIDDEN.search(text)
    if bad:
        code = f"U+{ord(bad.group()):04X}"
        raise NetapplyError.of(f"character {code} is not allowed in YAML", _at(text, bad.start(), file), "remove it")
    document = _parse(text, file)
    document.has_typography = not text.isascii() and bool(typographic_hint(text))
    return document


def _parse(text: str, file: str) -> Document:
    try:
        return Builder(file).build(_fast_events(text))
    except (YAMLError, ImportError) as error:
        if len(text) > LARGEST_SLOW:
            raise _refusal(error, file) from None
    try:
        return Builder(file).build(_slow_events(text))
    except YAMLError as error:
        raise _refusal(error, file) from None


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


def _refusal(error: Exception, file: str) -> NetapplyError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    source = Source(file, mark.line + 1, mark.column + 1) if mark else Source(file, 1, 1)
    problem = str(getattr(error, "problem", None) or "this is not YAML")
    for found, message, hint in _WORDS:
        if found in problem:
            return NetapplyError.of(message, source, hint)
    context = getattr(error, "context", None)
    return NetapplyError.of(f"{problem} ({context})" if context else problem, source)
