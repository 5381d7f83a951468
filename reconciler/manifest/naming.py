"""The stack's name: given, or derived from where the file is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.manifest.context import LONGEST_NAME
from reconciler.manifest.discovery import NAMES, OVERRIDES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from reconciler.errors import Source
    from reconciler.manifest.faults import Faults

_STACK = re.compile(r"[a-z0-9][a-z0-9_-]*")


def stack_name(
    argument: str | None,
    environment: Mapping[str, str],
    written: tuple[str, Source] | None,
    file: Path | None,
    faults: Faults,
) -> tuple[str, bool]:
    """The stack's name, and whether it was given rather than derived.

    ``argument`` is that of ``-p``; then come ``COMPOSE_PROJECT_NAME``, the document's
    ``name:`` with its place, and what `derived_name` makes of the file (None: standard input).
    """
    given = argument or environment.get("COMPOSE_PROJECT_NAME") or (written[0] if written else "")
    if given:
        source = written[1] if written and given == written[0] else None
        if not _STACK.fullmatch(given):
            proposal = _lower(given)
            hint = f"'{proposal}' would do" if proposal else "lower-case letters, digits, '_' and '-'"
            origin = "" if argument or source else " (it comes from the variable COMPOSE_PROJECT_NAME)"
            faults.add(f"'{given}' cannot be the name of a stack{origin}", source, hint)
        elif len(given) > LONGEST_NAME:
            faults.add(f"the name of a stack has at most {LONGEST_NAME} characters", source)
        return given, True
    derived = derived_name(file) if file else ""
    if not derived:
        faults.add("the stack has no name", hint="write name: at the top of the manifest, or give -p NAME")
    return derived, False


def derived_name(file: Path) -> str:
    """The name that a file without ``name:`` gets, in lower case, other characters left out.

    A file with one of the usual names is its folder's stack, as with Compose; any other is
    a stack by itself, named like the file, so that one folder can hold several.
    """
    usual = file.name in NAMES or file.name in OVERRIDES
    return _lower(file.parent.name if usual else file.stem)[:LONGEST_NAME]


def _lower(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "", text.lower()).lstrip("_-")
