"""When to read manifests again: changes in the folders that they, and what they are made of, stand in."""

from __future__ import annotations

import time
from collections.abc import Callable

from reconciler.agent.loop import READ, Loop
from reconciler.watch.ancestors import Ancestors
from reconciler.watch.folders import Folders, folders_of
from reconciler.watch.manifests import Manifests

_QUIET, _LONGEST = 0.05, 0.25
"""Files are read when nothing happened for so long, or at last after so long."""


class ManifestEvents:
    """Opened on a loop. ``due`` is told when (by the monotonic clock) the manifests are to be read."""

    def __init__(self, loop: Loop, manifests: Manifests, due: Callable[[float], None]) -> None:
        self._manifests = manifests
        self._due = due
        self._deadline = 0.0
        self._folders = Folders()
        loop.watch(self._folders, READ, self._on_file)
        try:
            self._ancestors: Ancestors | None = Ancestors()
        except OSError:
            self._ancestors = None
        else:
            loop.watch(self._ancestors, READ, self._on_ancestor)

    @property
    def complete(self) -> bool:
        """Whether every change is heard of."""
        return self._folders.complete and self._ancestors is not None and self._ancestors.complete

    def read(self, *, thorough: bool) -> frozenset[str]:
        """Read what changed; again when a folder is watched anew, for what happened before that was not heard.

        The stacks whose manifest changed, came or went.
        """
        changed = self._manifests.scan(thorough=thorough)
        while self._watch():
            changed |= self._manifests.scan(thorough=True)
        return changed

    def close(self) -> None:
        """Let go of all."""
        self._folders.close()
        if self._ancestors:
            self._ancestors.close()

    def _watch(self) -> bool:
        directories = set(self._manifests.directories)
        folders = {*directories, *folders_of({*self._manifests.read_files(), *directories})}
        is_new = self._folders.watch(folders)
        # What is above is compared only after a folder's own watch stands: what comes there is heard by that.
        return (self._ancestors is not None and self._ancestors.watch(folders)) or is_new

    def _on_file(self) -> None:
        self._folders.drain()
        self._soon()

    def _on_ancestor(self) -> None:
        if self._ancestors and self._ancestors.drain():
            self._soon()

    def _soon(self) -> None:
        now = time.monotonic()
        if self._deadline < now:
            self._deadline = now + _LONGEST
        self._due(min(now + _QUIET, self._deadline))
