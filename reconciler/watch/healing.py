"""What of a round put back what others had changed: counted, for restarts of commands and for fights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from reconciler.kernel.runtime import ENDED
from reconciler.manifest.model import Manifest
from reconciler.observation import Observation
from reconciler.plan.change import Delete, Update
from reconciler.plan.plan import Step, owner_of
from reconciler.resources.process import Process
from reconciler.state import Kind, State
from reconciler.watch.backoff import Fight, Fights, Restarts


class Healing:
    """Counts how often objects are put back and commands started again."""

    def __init__(self) -> None:
        self.fights = Fights()
        self.restarts = Restarts()

    def end_waiting(self) -> None:
        """Whatever was put off is due now; how often a command was started stays known."""
        self.fights = Fights()
        self.restarts.end_waiting()

    def without_early_restarts(
        self, observation: Observation, manifests: Mapping[str, Manifest], more: Iterable[str], now: float
    ) -> Observation:
        """Commands that ended and shall not start again yet look as if they were as they should be.

        ``more``: containers without a manifest whose commands start again too.
        """
        stacks = manifests.values()
        limits = {f"{m.stack}/{c.name}": c.restart_limit for m in stacks for c in m.containers if c.restart}
        limits = dict.fromkeys(more) | limits
        self.restarts.keep(limits)
        early = [
            replace(resource, fault="")
            for resource in observation.state
            if isinstance(resource, Process)
            and resource.fault.startswith(ENDED)
            and self.restarts.postponed(resource.container, limits.get(resource.container), now)
        ]
        if not early:
            return observation
        return replace(observation, state=observation.state.merged(State(early)))

    def count(
        self, steps: Iterable[Step], is_asked_for: Callable[[str], bool], now: float
    ) -> tuple[dict[str, int], list[Fight]]:
        """By owner, how many of the changes healed what others did; and the objects that were healed too often.

        ``is_asked_for``: whether the owner's changes follow from its manifest.
        """
        healed: dict[str, int] = {}
        fights = []
        restarted = set()
        for step in steps:
            change = step.change
            before = change.before if isinstance(change, Update | Delete) else None
            if isinstance(before, Process) and before.fault.startswith(ENDED):
                self.restarts.started(before.container, now)
                restarted.add(change.key)
            if change.key in restarted:
                # It ended, and starts again as its manifest says: nobody changed anything.
                continue
            owner = owner_of(change)
            if is_asked_for(owner):
                continue
            healed[owner] = healed.get(owner, 0) + 1
            resource = change.before if isinstance(change, Delete) else change.after
            if change.key.kind is not Kind.PROCESS:
                fight = self.fights.healed(change.key, owner, resource.describe(), now)
                fights += [fight] if fight else []
        self.fights.forget_old(now)
        return healed, fights
