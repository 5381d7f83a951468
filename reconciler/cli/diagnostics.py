"""Problems for people: on a terminal with the line of the manifest that is meant, and a caret under the place."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from unicodedata import combining, east_asian_width

import click

from reconciler.errors import Problem

_MOST_EXCERPTS = 50
_LONGEST_LINE = 200
_TAB = "    "
_MANIFESTS = frozenset({".yaml", ".yml", ".json"})
"""What other files hold, such as those of variables, is not shown at all."""


def show(problems: Iterable[Problem]) -> None:
    """Print them on standard error; a program, or a log, gets them without the source's lines."""
    with_source = sys.stderr.isatty()
    texts: dict[str, str | None] = {}
    for number, problem in enumerate(problems):
        source = problem.source
        if with_source and source and number < _MOST_EXCERPTS:
            if source.file not in texts:
                texts[source.file] = _showable(source.file)
            click.echo(render(problem, texts[source.file]), err=True)
        else:
            click.echo(str(problem), err=True)


def render(problem: Problem, text: str | None) -> str:
    """The problem with its line out of ``text`` and a caret below its column; without text as it is."""
    lines = text.split("\n") if text is not None else []
    source = problem.source
    if source is None or not 1 <= source.line <= len(lines):
        return str(problem)
    line = lines[source.line - 1].rstrip("\r")
    if not line.strip() or len(line) > _LONGEST_LINE or source.column > len(line) + 1 or not _is_plain(line):
        return str(problem)
    head, newline, hint = str(problem).partition("\n  hint: ")
    number = f"{source.line:5} | "
    before = line[: source.column - 1].replace("\t", _TAB)
    caret = " " * (len(number) - 2) + "| " + " " * _width(before) + "^"
    shown = line.replace("\t", _TAB)
    return f"{head}\n{number}{shown}\n{caret}{newline}{hint}"


def _width(text: str) -> int:
    """Columns of a terminal: two for each wide character (Unicode Standard Annex 11), none for what is put on another."""
    return sum(0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1 for each in text)


def _is_plain(line: str) -> bool:
    """Whether a terminal shows the line as it is: no control characters, which a foreign file could send."""
    return all(character.isprintable() or character == "\t" for character in line)


def _showable(file: str) -> str | None:
    """The file's text with the lines blanked that hold environment values; None where that cannot be told.

    Those values are secrets, and what stands on a terminal gets copied.
    """
    from reconciler.manifest.secrets import without_secrets  # noqa: PLC0415  # needed when there is something to say

    if Path(file).suffix not in _MANIFESTS:
        return None
    try:
        data = Path(file).read_bytes()
    except (OSError, ValueError):
        return None
    return without_secrets(data, file)
