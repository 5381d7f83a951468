"""``--once``: make the host like the manifests, and end."""

from __future__ import annotations

import time

from reconciler.watch.git_follower import Follower
from reconciler.watch.hints import Hints
from reconciler.watch.journal import Journal
from reconciler.watch.keeper import Keeper
from reconciler.watch.rests import BUSY_PAUSE


def once(keeper: Keeper, journal: Journal) -> bool:
    """Read the manifests and make the host like them; whether all is well."""
    manifests = keeper.manifests
    manifests.scan()
    keeper.changed(manifests.stacks())
    hints = Hints()
    hints.add_timer("once", full=True)
    journal.manifests()
    while True:
        done = keeper.reconcile(hints)
        if done.busy:
            time.sleep(BUSY_PAUSE)
            continue
        journal.round(done, "once")
        # Stacks go in a round of their own; and whatever was done is looked at again.
        if done.problems or not done.changes:
            break
    faulty = any(directory.fault for directory in manifests.directories.values())
    return not (done.problems or faulty or manifests.problems() or keeper.decision.held or keeper.waiting)


def once_of_git(follower: Follower, keeper: Keeper, journal: Journal) -> bool:
    """The same for the newest commit; whatever was fetched last where there is none to be had."""
    try:
        follower.update()
        journal.git(follower)
        return once(keeper, journal) and follower.problem is None
    finally:
        follower.close()
