"""What can go wrong, said for the person who has to act on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


def printable(text: str) -> str:
    """The text on one line. What could end it, or move the cursor of a terminal, is shown escaped."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """A place in a manifest: file as the user named it, line and column counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault, or one warning.

    ``message`` says what is wrong, with the other half's place in it where there is one;
    ``hint`` says what to do. ``source`` is None where no manifest line is to blame.
    """

    message: str
    source: Source | None = None
    hint: str = ""
    severity: str = "error"
    details: tuple[str, ...] = ()
    """What another program said of it, or what it consists of, line by line."""

    def __str__(self) -> str:
        place = f"{self.source}: " if self.source else ""
        hint = (f"hint: {self.hint}",) if self.hint else ()
        # A name in a stranger's manifest must not look like a line of its own: terminals and CI services obey some.
        lines = (f"{place}{self.severity}: {self.message}", *self.details, *hint)
        return "\n  ".join(map(printable, lines))


class NetapplyError(Exception):
    """The run stops here; ``problems`` is all that was found, ordered by place.

    ``warnings`` are what else was noticed, and may be the reason of it, in the same order.
    """

    def __init__(self, problems: Iterable[Problem], warnings: Iterable[Problem] = ()) -> None:
        self.problems = tuple(sorted(problems, key=_place))
        self.warnings = tuple(sorted(warnings, key=_place))
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @classmethod
    def of(cls, message: str, source: Source | None = None, hint: str = "") -> NetapplyError:
        """An error of one problem."""
        return cls([Problem(message, source, hint)])


def _place(problem: Problem) -> tuple[str, int, int, str]:
    source = problem.source or Source("", 0, 0)
    return (source.file, source.line, source.column, problem.message)
