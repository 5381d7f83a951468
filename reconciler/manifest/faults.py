"""Collects everything that is wrong with the manifests of a run."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.errors import NetapplyError, Problem, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


_SHORT = 3
_TYPOGRAPHIC = re.compile("[\u2010-\u2015\u2018-\u201f\u2212]")  # dashes and quotes of word processors
_SPACE = re.compile(
    "[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000\ufeff]"
)  # and their spaces, which look like plain ones
_OVERRIDES = "; overrides the value at "
# A value that was meant for something else can have thousands of characters; names of files have no such words.
_LENGTHY = re.compile(r"[^\s/]{120,}|(?<=')[^']{300,}(?=')")
_SHOWN = 40


class FormError(Exception):
    """A text does not have the form that its place asks for; ``hint`` says what would."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Faults:
    """The errors and warnings found so far."""

    def __init__(self) -> None:
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []

    def add(self, message: str, source: Source | None = None, hint: str = "") -> None:
        """Note one error."""
        self.errors.append(Problem(shortened(message), source, shortened(hint)))

    def add_form(self, error: FormError, source: Source | None) -> None:
        """Note the error of a parser of short forms."""
        self.add(str(error), source, error.hint)

    def warn(self, message: str, source: Source | None = None, hint: str = "") -> None:
        """Note one warning."""
        self.warnings.append(Problem(shortened(message), source, hint, severity="warning"))

    def note(self, message: str, source: Source | None = None, hint: str = "") -> None:
        """Note advice: a warning of what is right, but could be better."""
        self.warnings.append(Problem(message, source, hint, severity="note"))

    def name_overridden(self, overrides: Mapping[Source, Source]) -> None:
        """Say of each error at one of these places which value, at which place, was overridden there."""
        for index, problem in enumerate(self.errors):
            before = overrides.get(problem.source) if problem.source else None
            if before and _OVERRIDES not in problem.message:
                self.errors[index] = replace(problem, message=f"{problem.message}{_OVERRIDES}{before}")

    def stop_if_any(self) -> None:
        """Raise all errors at once, if there is one.

        Raises:
            NetapplyError: with every error noted so far, and with the warnings, one of which may name the cause.
        """
        if self.errors:
            warnings = [each for each in self.warnings if each.severity == "warning"]
            raise NetapplyError(dict.fromkeys(self.errors), dict.fromkeys(warnings))


def shortened(text: str) -> str:
    """The text with no more than the beginning of every lengthy value in it."""
    return _LENGTHY.sub(lambda found: f"{found.group()[:_SHOWN]}… ({len(found.group())} characters)", text)


def suggestion(word: str, known: Iterable[str]) -> str:
    """A hint that names the known word nearest to ``word``, or nothing."""
    from difflib import get_close_matches  # noqa: PLC0415  # 5 ms, needed for errors only

    strange = typographic_hint(word)
    # Of two letters one may be wrong, which is half of them.
    near = get_close_matches(
        _SPACE.sub("", _TYPOGRAPHIC.sub("", word)).lower() if strange else word.lower(),
        sorted(known),
        n=1,
        cutoff=0.6 if len(word) > _SHORT else 0.5,
    )
    meant = f"did you mean '{near[0]}'?" if near else ""
    return "; ".join(filter(None, (strange, meant)))


def typographic_hint(text: str) -> str:
    """A hint when the text holds a dash, quote or space of a word processor, else nothing."""
    if text.isascii():
        return ""
    if space := _SPACE.search(text):
        return f"U+{ord(space.group()):04X} is not a plain space; type it anew"
    found = _TYPOGRAPHIC.search(text)
    return f"'{found.group()}' is not a plain '-' or quote; type it anew" if found else ""
