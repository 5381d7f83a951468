"""A plan for programs: the JSON of the command line's contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reconciler.plan.change import Change, Create, Delete
from reconciler.plan.plan import Plan, action_of
from reconciler.plan.text import change_source

FORMAT_VERSION = 1


def document(plan: Plan, stacks: Sequence[str]) -> dict[str, Any]:
    """The plan as plain data, in stable order and without secrets."""
    return {
        "format_version": FORMAT_VERSION,
        "stacks": sorted(stacks),
        "summary": plan.summary,
        "disruption": str(plan.disruption),
        "changes": [_change(change) for change in plan.changes],
        "firewall": {"backend": plan.firewall[0], "reason": plan.firewall[1]},
        "warnings": [str(warning) for warning in plan.warnings],
    }


def _change(change: Change) -> dict[str, Any]:
    resource = change.before if isinstance(change, Delete) else change.after
    source = change_source(change)
    return {
        "action": action_of(change),
        "kind": str(change.key.kind),
        "name": change.key.name,
        "stack": resource.owner,
        "summary": resource.describe(),
        "reason": change.reason,
        "source": str(source) if source else None,
        "disruption": str(change.disruption),
        "before": None if isinstance(change, Create) else dict(change.before.record()),
        "after": None if isinstance(change, Delete) else dict(change.after.record()),
    }
