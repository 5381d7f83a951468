"""Collects everything that is wrong with the manifests of a run."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.errors import NetapplyError, Problem, Source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence


_SHORT = 3
_TYPOGRAPHIC = re.compile("[\u2010-\u2015\u2018-\u201f\u2212]")  # dashes and quotes of word processors
_SPACE = re.compile(
    "[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000\ufeff]"
)  # and their spaces, which look like plain ones
_OVERRIDES = "; overrides the value at "
# A value that was meant for something else can have thousands of characters; names of files have no such words.
_LENGTHY = re.compile(r"[^\s/]{120,}|(?<=')[^']{300,}(?=')")
_SHOWN = 40
_MOST = 500
"""Errors that are kept, and warnings: nobody reads more, and millions of them fit into a file."""
_MOST_COMPARED = 40_000_000
"""What is spent on similar words, about a second and a half: the pairs of characters, and for each word as many as here:"""
_COMPARISON = 100


class FormError(Exception):
    """A text does not have the form that its place asks for; ``hint`` says what would.

    ``near`` is a word with those that it may have been meant for; the nearest goes before the hint.
    """

    def __init__(self, message: str, hint: str = "", near: tuple[str, Collection[str]] | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.near = near


class Faults:
    """The errors and warnings found so far: all are counted, `_MOST` of each are kept."""

    def __init__(self) -> None:
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self.count = 0
        self._warning_count = 0
        self._comparing = _MOST_COMPARED

    @property
    def is_full(self) -> bool:
        """Whether no further error is kept, so that nothing need be found out for it."""
        return len(self.errors) >= _MOST

    def add(self, message: str, source: Source | None = None, hint: str = "") -> None:
        """Note one error."""
        self.count += 1
        if not self.is_full:
            self.errors.append(Problem(shortened(message), source, shortened(hint)))

    def add_form(self, error: FormError, source: Source | None) -> None:
        """Note the error of a parser of short forms."""
        self.add(str(error), source, (error.near and self.nearest(*error.near)) or error.hint)

    def take(self, problems: Sequence[Problem]) -> None:
        """Note errors that were made elsewhere."""
        self.count += len(problems)
        self.errors += problems[: max(0, _MOST - len(self.errors))]

    def warn(self, message: str, source: Source | None = None, hint: str = "") -> None:
        """Note one warning."""
        self._add_warning(message, source, hint, "warning")

    def note(self, message: str, source: Source | None = None, hint: str = "") -> None:
        """Note advice: a warning of what is right, but could be better."""
        self._add_warning(message, source, hint, "note")

    def _add_warning(self, message: str, source: Source | None, hint: str, severity: str) -> None:
        self._warning_count += 1
        if len(self.warnings) < _MOST:
            self.warnings.append(Problem(shortened(message), source, hint, severity=severity))

    def nearest(self, word: str, known: Collection[str]) -> str:
        """See `suggestion`; nothing when the error would not be kept, or when too much was compared already."""
        if self.is_full or self._comparing < 0:
            return ""
        self._comparing -= sum(_COMPARISON + len(word) * len(each) for each in known)
        return suggestion(word, known) if self._comparing >= 0 else typographic_hint(word)

    def all_warnings(self) -> tuple[Problem, ...]:
        """The warnings, each once, and how many were not kept."""
        more = self._warning_count - len(self.warnings)
        said = [Problem(f"{more} more warnings are not shown", severity="warning")] if more > 0 else []
        return (*dict.fromkeys(self.warnings), *said)

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
            errors = list(dict.fromkeys(self.errors))
            if self.count > len(self.errors):
                message = f"{self.count} faults, of which {len(errors)} are shown"
                errors.append(Problem(message, hint="mend these first, then the others come up"))
            raise NetapplyError(errors, dict.fromkeys(warnings))


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
