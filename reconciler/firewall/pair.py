"""One object before and after a change, which is all that a backend needs to know of it."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.firewall.policy import FirewallBase
from reconciler.state import Resource

Pair = tuple[Resource | None, Resource | None]
"""Before and after; None where it is not."""


def base_of(changes: Sequence[Pair]) -> tuple[FirewallBase | None, FirewallBase | None]:
    """What the changes make of the table itself; (None, None) where none is about it."""
    for before, after in changes:
        if isinstance(before, FirewallBase) or isinstance(after, FirewallBase):
            return (
                before if isinstance(before, FirewallBase) else None,
                after if isinstance(after, FirewallBase) else None,
            )
    return None, None
