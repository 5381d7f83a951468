"""A plan for programs: the JSON of the command line's contract (``schemas/plan.schema.json``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reconciler.plan.change import Change, Create, Delete
from reconciler.plan.exposure import Exposure
from reconciler.plan.grouping import change_source, resource_of
from reconciler.plan.plan import Plan, action_of

if TYPE_CHECKING:
    from reconciler.reach.matrix import MatrixDifference

FORMAT_VERSION = 1


def document(
    plan: Plan, stacks: Sequence[str], exposed: Exposure | None = None, reaching: MatrixDifference | None = None
) -> dict[str, Any]:
    """The plan as plain data, in stable order and without secrets.

    ``exposed`` is what it changes of what can be reached, ``reaching`` what of the matrix, each where that is known.
    """
    return {
        "format_version": FORMAT_VERSION,
        "stacks": sorted(stacks),
        "summary": plan.summary,
        "disruption": str(plan.disruption),
        "changes": [_change(change) for change in plan.changes],
        **({} if exposed is None else {"exposure": _exposure(exposed)}),
        **({} if reaching is None else {"reach": _reach(reaching)}),
        "firewall": {"backend": plan.firewall[0], "reason": plan.firewall[1]},
        "warnings": [str(warning) for warning in plan.warnings],
    }


def _exposure(exposed: Exposure) -> dict[str, Any]:
    return {
        "opened": [way.record() for way in exposed.opened],
        "closed": [way.record() for way in exposed.closed],
    }


def _reach(difference: MatrixDifference) -> dict[str, Any]:
    return {
        "opened": [cell.record() for cell in difference.opened],
        "closed": [cell.record() for cell in difference.closed],
    }


def _change(change: Change) -> dict[str, Any]:
    resource = resource_of(change)
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
