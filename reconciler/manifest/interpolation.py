"""Variables in values: ``$NAME``, ``${NAME}`` and Compose's forms with an operator.

The forms are those of the Compose Specification, chapter 12: ``:-`` and ``-`` give a
default, ``:?`` and ``?`` demand a value, ``:+`` and ``+`` replace one; what follows the
operator is itself interpolated, and only if it is used. ``$$`` is a dollar sign.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from reconciler.manifest.characters import FROM_VARIABLE, has_forbidden, impossible
from reconciler.manifest.faults import Faults, FormError
from reconciler.manifest.nodes import RESET, Scalar, source_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.errors import Source

_NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_BRACED = re.compile(r"([_a-zA-Z][_a-zA-Z0-9]*)(?:(:?[-?+])(.*))?", re.DOTALL)
_ESCAPE_HINT = "write $$ for a dollar sign"
_DEEPEST = 20
_LONGEST = 256 * 1024
"""Characters of a result; variables made of variables double from line to line."""
_MOST_ALTOGETHER = 8 * 1024 * 1024
"""Characters of all results of a stack: a long variable takes two characters to write once more."""


class Environment(Protocol):
    """What variables are taken from."""

    def get(self, name: str, /) -> str | None:
        """The variable's value, None for one that is not set."""
        ...


@dataclass(slots=True)
class Room:
    """What all variables of a stack may still come to, in characters."""

    left: int = _MOST_ALTOGETHER

    def take(self, text: str) -> None:
        """Count one result. Raises FormError where it is too much."""
        self.left -= len(text)
        if self.left < 0:
            message = f"with this one, the values with variables in this stack exceed {_MOST_ALTOGETHER} characters"
            raise FormError(message, "set shorter variables, or use the long ones in fewer places")


class Interpolation:
    """Substitutes from one environment; ``unset`` gathers the names that were missing."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.unset: dict[str, None] = {}

    def substitute(self, text: str, depth: int = 0) -> str:
        """The text with its variables replaced.

        Raises:
            FormError: a malformed ``$`` form, a demanded variable is missing, or the result is too long.
        """
        if depth > _DEEPEST:
            message = "variables nested too deeply"
            raise FormError(message)
        parts: list[str] = []
        position = length = 0
        while (dollar := text.find("$", position)) >= 0:
            parts.append(text[position:dollar])
            value, position = self._variable(text, dollar + 1, depth)
            parts.append(value)
            length += len(value)
            if length > _LONGEST:
                message = f"variables that stand for more than {_LONGEST} characters"
                raise FormError(message)
        return "".join(parts) + text[position:]

    def _variable(self, text: str, start: int, depth: int) -> tuple[str, int]:
        if text.startswith("$", start):
            return "$", start + 1
        if text.startswith("{", start):
            end = _closing(text, start)
            return self._braced(text[start + 1 : end], depth), end + 1
        name = _NAME.match(text, start)
        if not name:
            message = f"'{text[start - 1 : start + 1]}' is not a variable"
            raise FormError(message, _ESCAPE_HINT)
        return self._plain(name.group()), name.end()

    def _plain(self, name: str) -> str:
        value = self._environment.get(name)
        if value is None:
            self.unset[name] = None
        return value or ""

    def _braced(self, inside: str, depth: int) -> str:
        form = _BRACED.fullmatch(inside)
        if not form:
            message = "'${' is not followed by a variable's name and '}'"
            raise FormError(message, f"the forms are ${{NAME}}, ${{NAME:-default}}, ${{NAME:?message}}; {_ESCAPE_HINT}")
        name, operator, rest = form.groups()
        if operator is None:
            return self._plain(name)
        value = self._environment.get(name)
        present = bool(value) if operator.startswith(":") else value is not None
        if operator.endswith("+"):
            return self.substitute(rest, depth + 1) if present else ""
        if present:
            return value or ""
        if operator.endswith("-"):
            return self.substitute(rest, depth + 1)
        message = f"variable {name} is not set" + (f": {said}" if (said := self.substitute(rest, depth + 1)) else "")
        raise FormError(message, f"set {name} in the environment")


def interpolate(templates: Iterable[Scalar], environment: Environment, faults: Faults, room: Room) -> set[Source]:
    """Replace the variables of these scalars, in place, as far as there is ``room``; results are text, never numbers.

    Returned are the places where control characters have come in, of which those are noted that no value can hold.
    """
    warned: set[str] = set()
    controls: set[Source] = set()
    for scalar in templates:
        if room.left < 0:  # noted where it was exceeded
            scalar.tag = RESET
            continue
        work = Interpolation(environment)
        template = scalar.text
        try:
            text = work.substitute(template)
            room.take(text)
        except FormError as error:
            faults.add_form(error, source_of(scalar))
            scalar.tag = RESET  # one fault is enough: nothing further is asked of this value
            continue
        scalar.text = scalar.value = text
        if has_forbidden(scalar.text):
            if not has_forbidden(template):
                controls.add(source_of(scalar))
            if message := impossible(scalar):
                faults.add(message, source_of(scalar), FROM_VARIABLE)
        for name in work.unset:
            if name not in warned:
                warned.add(name)
                faults.warn(f"variable {name} is not set; empty text stands for it", source_of(scalar))
    return controls


def _closing(text: str, opening: int) -> int:
    """The index of the brace that closes the one at ``opening``; inner pairs are skipped."""
    level = 0
    for index in range(opening, len(text)):
        if text[index] == "{":
            level += 1
        elif text[index] == "}":
            level -= 1
            if level == 0:
                return index
    message = "'${' without a closing '}'"
    whole = _NAME.fullmatch(text, opening + 1)
    closed = f"write ${{{whole.group()}}}" if whole else "close the brace"
    raise FormError(message, f"{closed}, or {_ESCAPE_HINT}")
