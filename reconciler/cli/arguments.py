"""What the command line says of manifests: which files make which stack, and what they are read with."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from reconciler import manifest
from reconciler.errors import NetapplyError
from reconciler.manifest.model import Manifest
from reconciler.manifest.tree import Tree

_SAVED_PLAN = b'{"netapply_plan":'
"""How a plan begins that was saved (`reconciler.plan.saved.MARK`); no manifest has such a key."""


def is_saved_plan(path: str) -> bool:
    """Whether the file is a plan that ``plan --out`` saved, whatever it is called."""
    try:
        # What a pipe gives, it gives once: ``-f <(command)`` is for the manifest's own reader.
        if not Path(path).is_file():
            return False
        with Path(path).open("rb") as file:
            return file.read(len(_SAVED_PLAN)) == _SAVED_PLAN
    except (OSError, ValueError):
        return False


@dataclass(frozen=True, slots=True)
class Arguments:
    """Positional ``files`` are separate stacks, ``merged`` ones (``-f``) make one; without ``env_files`` each has its .env."""

    files: tuple[str, ...] = ()
    merged: tuple[str, ...] = ()
    stack_name: str | None = None
    profiles: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()

    @property
    def names_files(self) -> bool:
        """Whether they say where a manifest is: else it is looked for, or a stack's name is enough."""
        return bool(self.files or self.merged)

    @property
    def with_stdin(self) -> bool:
        """Whether a manifest comes on standard input."""
        return "-" in {*self.files, *self.merged}

    def stacks(self, tree: Tree | None = None, directory: str = ".") -> tuple[Manifest, ...]:
        """The manifests, from ``tree`` or the disk. Raises NetapplyError with all faults of all files."""
        for path in (*self.files, *self.merged):
            if is_saved_plan(path):
                raise NetapplyError.of(f"{path} is a saved plan, not a manifest", hint=f"to do it: netapply up {path}")
        return manifest.stacks(
            self.files,
            merged=self.merged,
            stack_name=self.stack_name,
            environment=os.environ,
            directory=directory,
            # As bytes, so that what is no UTF-8 is a fault with a place.
            stdin=getattr(sys.stdin, "buffer", sys.stdin).read() if self.with_stdin else None,
            profiles=self.profiles,
            env_files=self.env_files or None,
            tree=tree,
        )
