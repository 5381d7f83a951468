"""A plan for people: by stack, network and container, one line a change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from reconciler.errors import Source
from reconciler.plan.change import Change, Create, Delete, Disruption, Update
from reconciler.plan.diff import changed_fields
from reconciler.plan.plan import Plan, counted, owner_of
from reconciler.resources.agent import HeldPorts
from reconciler.state import HOST_OWNER, Kind, Resource

SIGNS = {Create: "+", Update: "~", Delete: "-"}
_KIND_ORDER = {kind: place for place, kind in enumerate(Kind)}
_HIDDEN = {"environment"}


def render(plan: Plan) -> str:
    """The whole plan, ending with a newline; the same bytes for the same plan."""
    if not plan.steps:
        return "Nothing to do.\n"
    lines = list(_groups(shown(plan.changes)))
    backend, reason = plan.firewall
    if backend:
        lines.append(f"Firewall: {backend} ({reason})")
    lines.append(f"Plan: {summary(plan)}")
    return "\n".join(lines) + "\n"


def shown(changes: Sequence[Change]) -> tuple[Change, ...]:
    """The changes that get a line: the host ports that the agent holds follow from those that are published."""
    publishing = {owner_of(change) for change in changes if change.key.kind is Kind.PORT}
    return tuple(
        change
        for change in changes
        if not (isinstance(_resource(change), HeldPorts) and owner_of(change) in publishing)
    )


def summary(plan: Plan) -> str:
    """``3 to create, 1 to update, 0 to delete; no other connection is disturbed``."""
    counts = ", ".join(f"{count} to {action}" for action, count in counted(shown(plan.changes)).items())
    return f"{counts}; {_DISTURBANCE[plan.disruption]}"


_DISTURBANCE = {
    Disruption.NONE: "no other connection is disturbed",
    Disruption.RESET: "connections are reset",
    Disruption.FLAP: "an interface goes down for a moment or for good",
    Disruption.RECREATE: "a container is ended or made anew",
}


def _groups(changes: Sequence[Change]) -> Iterator[str]:
    for owner, of_owner in groupby(sorted(changes, key=_reading_order), key=owner_of):
        yield "host" if owner == HOST_OWNER else f"stack {owner}"
        for subject, of_subject in groupby(of_owner, key=lambda change: _resource(change).subject):
            if owner != HOST_OWNER:
                yield f"  {subject}"
            indent = "  " if owner == HOST_OWNER else "    "
            for change in of_subject:
                yield indent + line(change)
        yield ""


def line(change: Change) -> str:
    """One change: sign, what, what differs, reason, place."""
    resource = _resource(change)
    words = [SIGNS[type(change)], resource.describe()]
    if isinstance(change, Update):
        words.append(_differences(change))
    elif change.reason and not isinstance(change, Create):
        words.append(f"({change.reason})")
    if change.disruption is not Disruption.NONE:
        words.append(f"[{change.disruption}]")
    source = change_source(change)
    if source:
        words.append(f" {source}")
    return " ".join(words)


def done_line(change: Change) -> str:
    """One change on its own, as it is done: sign, whose, what."""
    resource = _resource(change)
    subject = resource.key.name.partition(":")[0]
    return f"{SIGNS[type(change)]} {subject}: {resource.describe()}"


def done_summary(plan: Plan) -> str:
    """``3 created, 1 updated, 0 deleted``."""
    counts = counted(shown(plan.changes))
    return f"Done: {counts['create']} created, {counts['update']} updated, {counts['delete']} deleted"


def change_source(change: Change) -> Source | None:
    """The manifest line that asks for it; a delete has none."""
    return None if isinstance(change, Delete) else change.after.source


def _differences(change: Update) -> str:
    before, after = change.before.record(), change.after.record()
    parts = []
    for name in changed_fields(change.before, change.after):
        if name in _HIDDEN:
            parts.append(f"{name} changed")
        else:
            old = before.get(name, getattr(change.before, name))
            new = after.get(name, getattr(change.after, name))
            parts.append(f"{name}: {_short(old)} -> {_short(new)}")
    return f"({'; '.join(parts)})"


def _short(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return ", ".join(map(_short, value)) or "none"
    return str(value) or "none"


def _resource(change: Change) -> Resource:
    return change.before if isinstance(change, Delete) else change.after


def _reading_order(change: Change) -> tuple[bool, str, bool, str, int, str, bool]:
    """The host first, then stack by stack: networks before containers, each with its parts in their usual order."""
    resource = _resource(change)
    owner, subject, key = resource.owner, resource.subject, resource.key
    return (
        owner != HOST_OWNER,
        owner,
        not subject.startswith("network "),
        subject,
        _KIND_ORDER[key.kind],
        key.name,
        not isinstance(change, Delete),
    )
