"""``--once``: make the host like the manifests, and end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.kernel import lock, unconfirmed
from reconciler.watch.git_follower import Follower
from reconciler.watch.hints import Hints
from reconciler.watch.journal import Journal
from reconciler.watch.keeper import Keeper

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


def once(keeper: Keeper, journal: Journal, logger: FilteringBoundLogger) -> bool:
    """Read the manifests and make the host like them; whether all is well.

    Raises NetapplyError while a run waits to be confirmed.
    """
    manifests = keeper.manifests
    manifests.scan()
    keeper.changed(manifests.stacks())
    hints = Hints()
    hints.add_timer("once", full=True)
    journal.manifests()
    while True:
        done = keeper.reconcile(hints)
        if done.busy:
            unconfirmed.refuse(keeper.machine.host)
            lock.wait_until_free(
                keeper.machine.host, lambda who: logger.warning("another holds the host's lock; waiting", holder=who)
            )
            continue
        journal.round(done, "once")
        # Stacks go in a round of their own; and whatever was done is looked at again.
        if done.problems or not done.changes:
            break
    faulty = any(directory.fault for directory in manifests.directories.values())
    return not (done.problems or faulty or manifests.problems() or keeper.decision.held or keeper.waiting)


def once_of_git(follower: Follower, keeper: Keeper, journal: Journal, logger: FilteringBoundLogger) -> bool:
    """The same for the newest commit; whatever was fetched last where there is none to be had."""
    try:
        follower.update()
        follower.tell(logger)
        return once(keeper, journal, logger) and follower.problem is None
    finally:
        follower.close()
