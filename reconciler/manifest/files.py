"""The files that the stacks of one run are made of, and what those stacks share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.errors import NetapplyError, Problem
from reconciler.manifest.dotenv import parse_dotenv
from reconciler.manifest.faults import Faults
from reconciler.manifest.interpolation import Room
from reconciler.manifest.nodes import Node, source_of
from reconciler.manifest.normalise import Unused
from reconciler.manifest.reading import LARGEST_FILE
from reconciler.manifest.tree import DISK, Tree

if TYPE_CHECKING:
    from collections.abc import Mapping as Table
    from collections.abc import Sequence as Several

STDIN = "-"
DOTENV = ".env"
_LARGEST_ALTOGETHER = 32 * 1024 * 1024
"""Bytes of the files that others ask for, all of one stack."""
_TOO_MUCH = f"the files that are asked for exceed {_LARGEST_ALTOGETHER >> 20} MiB"
_LESS = "ask for fewer, or smaller ones; one that is asked for several times counts as often"


@dataclass(slots=True)
class Run:
    """What the stacks of one run share. ``env_files`` None: each stack's own ``.env``. ``tree`` has the files.

    ``files`` are those that were asked for so far, found or not: the result is as good as they are unchanged.
    ``by_user`` are those that the user named, not a manifest: they may be pipes. ``room`` and ``asked_bytes``, what
    other files than these came to so far, are of the stack that is being read.
    """

    environment: Table[str, str]
    stdin: str | bytes | None = None
    profiles: tuple[str, ...] = ()
    env_files: tuple[str, ...] | None = None
    faults: Faults = field(default_factory=Faults)
    unused: Unused = field(default_factory=Unused)
    files: set[str] = field(default_factory=set)
    tree: Tree = DISK
    by_user: set[str] = field(default_factory=set)
    room: Room = field(default_factory=Room)
    asked_bytes: int = 0


def asked(error: NetapplyError, asked_by: Node | None) -> list[Problem]:
    """The error's problems; one without a place gets that of the value which asked for the file."""
    place = source_of(asked_by) if asked_by else None
    return [Problem(each.message, each.source or place, each.hint) for each in error.problems]


def content(path: str, run: Run) -> bytes | str:
    """What stands in the file, or on standard input.

    Raises:
        NetapplyError: the file cannot be read.
    """
    by_user = path in run.by_user
    if path == STDIN and by_user:
        return run.stdin or ""
    run.files.add(path)
    if run.asked_bytes > _LARGEST_ALTOGETHER:
        raise NetapplyError.of(_TOO_MUCH, hint=_LESS)
    try:
        data = run.tree.read(path, LARGEST_FILE + 1, by_user=by_user)
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        reason = "no such file" if isinstance(error, FileNotFoundError) else reason
        raise NetapplyError.of(f"{path}: {reason}") from None
    run.asked_bytes += 0 if by_user else len(data)
    if run.asked_bytes > _LARGEST_ALTOGETHER:
        raise NetapplyError.of(_TOO_MUCH, hint=_LESS)
    return data


def variables_text(path: str, run: Run) -> str:
    """The text of a file of variables.

    Raises:
        NetapplyError: the file cannot be read, or is too large.
    """
    data = content(path, run)
    if len(data) > LARGEST_FILE:
        message = f"{path}: the file has more than {LARGEST_FILE >> 20} MiB"
        raise NetapplyError.of(message, hint="leave what is no variable out of it")
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else data


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
            text = variables_text(file, run)
        except NetapplyError as error:
            run.faults.take(asked(error, asked_by))
            continue
        parse_dotenv(text, file, environment, run.faults, found=found, room=run.room)
    return found
