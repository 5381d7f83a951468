"""The files that the stacks of one run are made of, and what those stacks share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.errors import NetapplyError, Problem
from reconciler.manifest.dotenv import parse_dotenv
from reconciler.manifest.faults import Faults
from reconciler.manifest.nodes import Node, source_of
from reconciler.manifest.normalise import Unused
from reconciler.manifest.reading import LARGEST_FILE
from reconciler.manifest.tree import DISK, Tree

if TYPE_CHECKING:
    from collections.abc import Mapping as Table
    from collections.abc import Sequence as Several

STDIN = "-"
DOTENV = ".env"


@dataclass(slots=True)
class Run:
    """What the stacks of one run share. ``env_files`` None: each stack's own ``.env``. ``tree`` has the files.

    ``files`` are those that were asked for so far, found or not: the result is as good as they are unchanged.
    """

    environment: Table[str, str]
    stdin: str | bytes | None = None
    profiles: tuple[str, ...] = ()
    env_files: tuple[str, ...] | None = None
    faults: Faults = field(default_factory=Faults)
    unused: Unused = field(default_factory=Unused)
    files: set[str] = field(default_factory=set)
    tree: Tree = DISK


def asked(error: NetapplyError, asked_by: Node | None) -> list[Problem]:
    """The error's problems; one without a place gets that of the value which asked for the file."""
    place = source_of(asked_by) if asked_by else None
    return [Problem(each.message, each.source or place, each.hint) for each in error.problems]


def content(path: str, run: Run) -> bytes | str:
    """What stands in the file, or on standard input.

    Raises:
        NetapplyError: the file cannot be read.
    """
    if path == STDIN:
        return run.stdin or ""
    run.files.add(path)
    try:
        return run.tree.read(path, LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        reason = "no such file" if isinstance(error, FileNotFoundError) else reason
        raise NetapplyError.of(f"{path}: {reason}") from None


def read_variables(
    files: Several[str],
    environment: Table[str, str],
    run: Run,
    *,
    optional: bool = False,
    asked_by: Node | None = None,
) -> dict[str, str]:
    """The variables of these files, later ones first; a missing file is a fault unless ``optional``."""
    found: dict[str, str] = {}
    for file in files:
        if optional and not run.tree.is_file(file):
            run.files.add(file)
            continue
        try:
            data = content(file, run)
        except NetapplyError as error:
            run.faults.errors += asked(error, asked_by)
            continue
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
        found.update(parse_dotenv(text, file, {**found, **environment}, run.faults))
    return found
