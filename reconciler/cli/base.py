"""What a plan is compared with instead of a host: other manifests (``--base``) and snapshots (``--observed``)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from reconciler import manifest
from reconciler.cli.arguments import Arguments
from reconciler.cli.at_commit import AtCommit
from reconciler.errors import NetapplyError, Problem
from reconciler.manifest.model import Manifest
from reconciler.manifest.tree import DISK, Tree
from reconciler.observation import Observation

_GIT = "git:"
_LARGEST_SNAPSHOT = 256 * 1024 * 1024


def manifests_of(base: str, arguments: Arguments, head: Sequence[Manifest]) -> tuple[Manifest, ...]:
    """The manifests of ``base`` that correspond to those of a run: a file, a directory or ``git:REF``.

    A file that the base does not have is new there, and left out. A stack whose name is
    derived from its folder's keeps the name that it has in ``head``, whatever the base's folder is called.

    Raises NetapplyError: there is no such base, or its manifests are at fault.
    """
    if arguments.with_stdin and (base.startswith(_GIT) or Path(base).is_dir()):
        raise NetapplyError.of("what comes on standard input has no counterpart in the base", hint="name the file")
    try:
        if base.startswith(_GIT):
            tree: Tree = AtCommit(base.removeprefix(_GIT))
            counterparts, directory = _present(arguments, tree), "."
        else:
            tree, counterparts, directory = DISK, *_counterparts(base, arguments)
        if counterparts is None:
            return ()
        found = counterparts.stacks(tree, directory)
        if len(found) == len(head) == 1 and not found[0].named and not head[0].named:
            return replace(counterparts, stack_name=head[0].stack).stacks(tree, directory)
        return _named_like(head, found, counterparts, tree)
    except NetapplyError as error:
        problems = [Problem(f"in the base {base}: {each.message}", each.source, each.hint) for each in error.problems]
        raise NetapplyError(problems) from None


def _present(arguments: Arguments, tree: Tree) -> Arguments | None:
    """The arguments without files that the tree does not have; None where nothing is left."""
    if not arguments.files and not arguments.merged:
        try:
            manifest.discover(".", os.environ, tree)
        except NetapplyError:
            return None
        return arguments
    return _left(
        arguments,
        [path for path in arguments.files if tree.is_file(path) or tree.is_folder(path)],
        [path for path in arguments.merged if tree.is_file(path)],
    )


def _counterparts(base: str, arguments: Arguments) -> tuple[Arguments | None, str]:
    """The files below ``base`` that correspond to those of the arguments, and where to look if none were named."""
    if not Path(base).is_dir():
        if not Path(base).exists():
            hint = "a file, a directory, or a commit: --base git:main"
            raise NetapplyError.of("no such file or directory", hint=hint)
        return replace(arguments, files=(base,), merged=()), "."
    if not arguments.files and not arguments.merged:
        return arguments, base
    if len(arguments.files) == 1 and Path(arguments.files[0]).is_dir():
        return replace(arguments, files=(base,)), "."
    files = [found for path in arguments.files if (found := _counterpart(base, path))]
    merged = [found for path in arguments.merged if (found := _counterpart(base, path))]
    left = _left(arguments, files, merged)
    if left is None and not any(Path(base).iterdir()):
        raise NetapplyError.of("the directory is empty", hint="is the base branch checked out there?")
    return left, "."


def _counterpart(base: str, path: str) -> str | None:
    candidates = [Path(base, path), Path(base, Path(path).name)] if not Path(path).is_absolute() else []
    candidates = candidates or [Path(base, Path(path).name)]
    return next((str(found) for found in candidates if found.exists()), None)


def _left(arguments: Arguments, files: list[str], merged: list[str]) -> Arguments | None:
    if not files and not merged:
        return None
    return replace(arguments, files=tuple(files), merged=tuple(merged))


def _named_like(
    head: Sequence[Manifest], base: tuple[Manifest, ...], arguments: Arguments, tree: Tree
) -> tuple[Manifest, ...]:
    """The base's manifests; of several, one whose name is that of its folder has the name of the head's folder."""
    names = {each.stack for each in base}
    by_file = {Path(each.origin).name: each for each in head if not each.named and each.stack not in names}
    stacks = {each.stack for each in head}
    found = []
    for each in base:
        path = Path(each.origin)
        counterpart = by_file.get(path.name)
        if each.named or each.stack in stacks or counterpart is None:
            found.append(each)
        else:
            found.extend(replace(arguments, files=(str(path),), stack_name=counterpart.stack).stacks(tree))
    return tuple(found)


def snapshot_of(path: str) -> Observation:
    """The observation in a file that ``netapply snapshot`` wrote; ``-`` is standard input.

    Raises NetapplyError: it cannot be read, or is no snapshot.
    """
    from reconciler.snapshot import observation_from_document  # noqa: PLC0415  # only this way needs all resources

    try:
        return observation_from_document(_document(path))
    except NetapplyError as error:
        hint = "write it on the host: netapply snapshot >snapshot.json"
        problems = [Problem(f"{path}: {each.message}", hint=each.hint or hint) for each in error.problems]
        raise NetapplyError(problems) from None


def _document(path: str) -> Any:
    try:
        if path == "-":
            return json.load(sys.stdin)
        with Path(path).open("rb") as file:
            return json.loads(file.read(_LARGEST_SNAPSHOT))
    except OSError as error:
        raise NetapplyError.of((error.strerror or str(error)).lower()) from None
    except (ValueError, RecursionError):
        raise NetapplyError.of("this is not JSON") from None
