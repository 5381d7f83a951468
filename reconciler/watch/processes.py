"""Commands and the agent: a descriptor of each process tells at once when it ends (pidfd_open(2))."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from reconciler.agent.loop import READ, Loop


@dataclass(frozen=True, slots=True)
class _Process:
    descriptor: int

    def fileno(self) -> int:
        return self.descriptor


class Processes:
    """Watches processes by name. ``ended`` is called with that of one that has ended."""

    def __init__(self, loop: Loop, ended: Callable[[str], None]) -> None:
        self._loop = loop
        self._ended = ended
        self._watched: dict[tuple[str, int], _Process] = {}

    def watch(self, wanted: Mapping[str, int]) -> None:
        """Watch exactly these: process ids by what they are, for people."""
        items = set(wanted.items())
        for gone in self._watched.keys() - items:
            self._forget(gone)
        for item in items - self._watched.keys():
            name, pid = item
            try:
                process = _Process(os.pidfd_open(pid))
            except ProcessLookupError:
                self._ended(name)
                continue
            self._watched[item] = process
            self._loop.watch(process, READ, partial(self._on_end, item))

    def close(self) -> None:
        """Let go of all."""
        for item in list(self._watched):
            self._forget(item)

    def _on_end(self, item: tuple[str, int]) -> None:
        self._forget(item)
        self._ended(item[0])

    def _forget(self, item: tuple[str, int]) -> None:
        process = self._watched.pop(item)
        self._loop.forget(process)
        os.close(process.descriptor)
