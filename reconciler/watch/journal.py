"""What the watcher writes into its log: a line for each reconcile that did or met something, and each fault once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.errors import Problem
from reconciler.plan import text
from reconciler.plan.plan import counted, owner_of
from reconciler.watch.keeper import Keeper
from reconciler.watch.records import Round

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_MOST_LINES = 20


class Journal:
    """Writes to ``logger`` what happens to the keeper's stacks."""

    def __init__(self, logger: FilteringBoundLogger, keeper: Keeper) -> None:
        self._logger = logger
        self._keeper = keeper
        self._faults: dict[str, tuple[Problem, ...]] = {}
        self._warnings: set[str] = set()
        self._waiting: dict[str, str] = {}
        self._held: dict[str, str] = {}
        self._directory_faults: dict[str, str] = {}
        self._is_held_up = False

    def round(self, done: Round, cause: str, writer: str = "") -> None:
        """One reconcile, in one line; ``writer`` is who changed nftables last."""
        self._is_held_up = False
        facts = {"cause": cause, "milliseconds": round(done.seconds * 1000, 1)}
        if done.problems:
            self._logger.error("failed", **facts, **_problems(done), undone=done.undone, **_changes(done))
        elif done.changes:
            self._logger.info("reconciled", **facts, **_changes(done))
        else:
            self._logger.debug("nothing to do", **facts, full=done.full)
        for fight in done.fights:
            seconds = round(fight.until - self._keeper.now(), 1)
            self._logger.warning(
                "fight: another program undoes this again and again",
                object=fight.key.name,
                what=fight.description,
                times=fight.times,
                stack=fight.owner,
                waiting_seconds=seconds,
                **({"last_nftables_writer": writer} if writer else {}),
            )
        self._once()

    def busy(self) -> None:
        """Nothing could be done; the lock of others is no news, an unconfirmed run is, once."""
        waiting = self._keeper.standstill.problem
        if waiting and not self._is_held_up:
            self._logger.warning("nothing is done until an unconfirmed run is over", problem=str(waiting))
        self._is_held_up = bool(waiting)

    def manifests(self) -> None:
        """Faults of files that are new, and those that are gone."""
        found = self._keeper.manifests.problems()
        for path, problems in found.items():
            if self._faults.get(path) != problems:
                for problem in problems:
                    self._logger.error("manifest cannot be used", file=path, problem=str(problem))
        present = {file.path for file in self._keeper.manifests.files()}
        for path in self._faults.keys() - found.keys():
            self._logger.info("manifest is well again" if path in present else "broken manifest is gone", file=path)
        self._faults = found
        faults = {each.path: each.fault for each in self._keeper.manifests.directories.values() if each.fault}
        for path, fault in faults.items():
            if self._directory_faults.get(path) != fault:
                self._logger.error("directory cannot be read; its stacks stay", directory=path, problem=fault)
        for path in self._directory_faults.keys() - faults.keys():
            self._logger.info("directory can be read again", directory=path)
        self._directory_faults = faults

    def _once(self) -> None:
        """What would be the same again and again."""
        manifests = self._keeper.manifests.stacks().values()
        warnings = {str(each) for each in self._keeper.warnings}
        warnings |= {str(each) for manifest in manifests for each in manifest.warnings}
        for warning in sorted(warnings - self._warnings):
            self._logger.warning("warning", problem=warning)
        self._warnings = warnings
        waiting = {str(each): name for name, found in self._keeper.waiting.items() for each in found}
        for problem, name in waiting.items():
            if problem not in self._waiting:
                self._logger.warning("waiting for a namespace", stack=name, problem=problem)
        for problem, name in self._waiting.items():
            if problem not in waiting:
                self._logger.info("no longer waiting for a namespace", stack=name, problem=problem)
        self._waiting = waiting
        held = dict(self._keeper.decision.held)
        for path, reason in held.items():
            if self._held.get(path) != reason:
                self._logger.warning("stacks without a manifest are kept", directory=path, reason=reason)
        for path in self._held.keys() - held.keys():
            self._logger.info("no stacks without a manifest are kept any more", directory=path)
        self._held = held


def _problems(done: Round) -> dict[str, object]:
    first, *more = map(str, done.problems)
    return {"problem": first, **({"more_problems": _few(more)} if more else {})}


def _changes(done: Round) -> dict[str, object]:
    """What stands of it; nothing where nothing does."""
    if not done.changes:
        return {}
    return {
        "stacks": sorted({owner_of(change) for change in done.changes}),
        **counted(done.changes),
        "healed": done.healed,
        "changes": _few([text.done_line(change) for change in text.shown(done.changes)]),
    }


def _few(lines: list[str]) -> list[str]:
    more = len(lines) - _MOST_LINES
    return [*lines[:_MOST_LINES], *([f"… {more} more"] if more > 0 else [])]
