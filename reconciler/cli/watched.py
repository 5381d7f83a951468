"""A warning where a watcher will undo what a run does, for its manifests say otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from reconciler import manifest
from reconciler.desired.scope import Scope
from reconciler.errors import NetapplyError, Problem
from reconciler.manifest.model import Manifest
from reconciler.plan.plan import Plan
from reconciler.watch.asking import SilentError, ask

_PATIENCE = 2.0
"""Seconds for the watcher to answer; a run is not held up for longer by a mere warning."""


def undone_by_watcher(run_directory: Path, scope: Scope, plan: Plan) -> Iterator[Problem]:
    """For each stack of the run that changes and that the watcher of this host keeps otherwise."""
    if not scope.stacks.intersection(plan.owners):
        return
    try:
        status = ask(run_directory, _PATIENCE)
    except (OSError, ValueError, SilentError):
        return  # nobody watches, or nobody can tell
    for stack in status["stacks"]:
        name, path = stack["name"], stack["file"]
        # One that it never applied is not its own; one without a manifest it gives up as soon as somebody else has it.
        if name not in scope.stacks.intersection(plan.owners) or not stack["last_apply"] or stack["held"]:
            continue
        given = next((each for each in scope.manifests if each.stack == name), None)
        if given is None or not _is_what_it_reads(given, path):
            what = f"edit {path} instead" if given else f"remove {path} instead"
            yield Problem(f"process {status['pid']} watches stack {name} and will undo this", hint=what)


def _is_what_it_reads(given: Manifest, path: str) -> bool:
    """Whether the file that the watcher goes by says just that."""
    if given.origin != os.path.realpath(path):
        return False
    try:
        read = manifest.load((path,), stack_name=None, environment=os.environ)
    except (NetapplyError, OSError):
        return False
    return replace(read, named=given.named, warnings=given.warnings) == given
