"""Namespaces of others that watched containers attach: who waits for one, and which process is another one by now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from reconciler.desired.attached import absent_namespaces
from reconciler.errors import Problem
from reconciler.manifest.model import Manifest
from reconciler.observation import Facts, ForeignNamespace

Waiting = dict[str, tuple[Problem, ...]]
"""What containers wait for, by stack."""


def waiting_in(manifests: Mapping[str, Manifest], facts: Facts) -> Waiting:
    """Which stacks have containers whose namespace is not there."""
    found: Waiting = {}
    for identity, problem in absent_namespaces(manifests.values(), facts).items():
        stack_name = identity.partition("/")[0]
        found[stack_name] = (*found.get(stack_name, ()), problem)
    return found


def stacks_concerned(manifests: Iterable[Manifest], before: Facts, after: Facts) -> set[str]:
    """The stacks that attach a namespace which came, went or became another one."""
    # One that could not be attached may be later, without becoming another one.
    seen = {(each.path, each.identity, each.fault) for each in before.attachable}
    changed = {each.path for each in after.attachable if (each.path, each.identity, each.fault) not in seen}
    return {
        manifest.stack
        for manifest in manifests
        if any(each.attach and each.attach.path in changed for each in manifest.containers)
    }


class KnownProcesses:
    """Remembers when a process that is attached by its number started: a number is given to others again."""

    def __init__(self) -> None:
        self._started: dict[str, str] = {}

    def checked(self, facts: Facts) -> Facts:
        """The facts, with a fault for each number that another process has than at first."""
        paths = {each.path for each in facts.attachable}
        self._started = {path: started for path, started in self._started.items() if path in paths}
        return replace(facts, attachable=tuple(map(self._checked, facts.attachable)))

    def _checked(self, seen: ForeignNamespace) -> ForeignNamespace:
        started = seen.identity.partition(":")[2]
        if not started or self._started.setdefault(seen.path, started) == started:
            return seen
        fault = f"{seen.path} is another process than the one that was attached"
        return ForeignNamespace(seen.path, seen.identity, fault)
