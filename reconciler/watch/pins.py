"""Which names below /run/netns became others: who knows need not look at a thousand sandboxes because of one."""

from __future__ import annotations

import os

from reconciler.kernel.host import PINNED

Identity = tuple[int, int]
"""Device and inode of what a name leads to."""


class Pins:
    """What stood there when it was asked last."""

    def __init__(self) -> None:
        self._seen = _look()

    def changed(self) -> dict[str, tuple[Identity | None, Identity | None]]:
        """The names that came, went or lead to another namespace since: what each was, and what it is; None: not there."""
        before, self._seen = self._seen, _look()
        pairs = {name: (before.get(name), self._seen.get(name)) for name in before.keys() | self._seen.keys()}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _look() -> dict[str, Identity]:
    found = {}
    try:
        names = os.listdir(PINNED)  # noqa: PTH208 - only the names are wanted, of thousands
    except FileNotFoundError:
        return {}
    for name in names:
        try:
            status = os.stat(f"{PINNED}/{name}")  # noqa: PTH116 - as above
        except FileNotFoundError:
            continue
        found[name] = (status.st_dev, status.st_ino)
    return found
