"""The difference of two states, as changes with a reason and a disruption class each."""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache

from reconciler.firewall.policy import PublishedPort
from reconciler.plan.change import Change, Create, Delete, Disruption, Update
from reconciler.plan.disruption import of_creation, of_removal, of_update
from reconciler.resources.namespace import Namespace
from reconciler.resources.source_route import SourceRoute
from reconciler.resources.sub_interface import SubInterface
from reconciler.state import HOST_OWNER, Key, Kind, Resource, State


def diff(observed: State, desired: State) -> tuple[Change, ...]:
    """Every key at which the two states differ, in a stable order, with what goes down with a replaced object."""
    replaced = _replaced(observed, desired)
    changes: list[Change] = []
    for key in sorted({*observed.keys(), *desired.keys()}):
        before, after = observed.get(key), desired.get(key)
        if before is None and after is not None:
            changes.append(Create(after, _wanted_by(after), of_creation(after, observed)))
        elif before is not None and after is None:
            changes.append(_removal(before, "no longer wanted"))
        elif before is not None and after is not None:
            changes.extend(_both(before, after, replaced.get(key)))
    return with_implied(_moved_ports(changes))


def _moved_ports(changes: list[Change]) -> list[Change]:
    """A port that only gets another host port or address is one change, not two."""
    gone: dict[tuple[object, ...], list[Delete]] = {}
    for change in changes:
        if isinstance(change, Delete) and isinstance(change.before, PublishedPort):
            gone.setdefault(_port_identity(change.before), []).append(change)
    moved: dict[Key, Delete] = {}
    result: list[Change] = []
    for change in changes:
        if isinstance(change, Create) and isinstance(change.after, PublishedPort):
            before = gone.get(_port_identity(change.after))
            if before:
                old = before.pop(0)
                moved[old.key] = old
                # Who still talks through the old host port is cut, as asked for; nobody else is.
                result.append(Update(old.before, change.after, "moved", Disruption.NONE))
                continue
        result.append(change)
    return [change for change in result if not (isinstance(change, Delete) and moved.get(change.key) is change)]


def _port_identity(port: PublishedPort) -> tuple[object, ...]:
    return (port.container, port.target_port, port.protocol, port.family, port.routed)


@lru_cache(maxsize=64)
def _compared(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.compare)


def changed_fields(before: Resource, after: Resource) -> tuple[str, ...]:
    """The names of the fields that differ, in the order of the class."""
    if type(before) is not type(after):
        return ("kind",)
    return tuple(name for name in _compared(type(after)) if getattr(before, name) != getattr(after, name))


def _replaced(observed: State, desired: State) -> dict[Key, str]:
    """Keys of objects that must be made anew, with the reason; an object goes with what it needs."""
    pairs = [(key, before, after) for key, after in desired.items() if (before := observed.get(key))]
    replaced: dict[Key, str] = {}
    for key, before, after in pairs:
        names = () if before is after or before == after else changed_fields(before, after)
        fixed = [name for name in names if name not in after.live]
        if fixed:
            replaced[key] = f"{', '.join(fixed)} changed"
    going = {key for key, _ in observed.items() if key not in desired} | replaced.keys()
    size = -1
    while size < len(replaced) and going:
        size = len(replaced)
        for key, before, after in pairs:
            # What is observed does not know all that it needs.
            needs = () if key in replaced else after.needs() if before is after else (*before.needs(), *after.needs())
            cause = next((need for need in needs if need in going), None)
            if cause:
                going.add(key)
                replaced[key] = f"goes with {cause.name}"
    return replaced


def _both(before: Resource, after: Resource, reason: str | None) -> tuple[Change, ...]:
    """Nothing, an update, or with a ``reason`` to replace the object both its end and its new beginning."""
    if reason:
        disruption = of_removal(before)
        # What a route led is disturbed by its end already.
        anew = Disruption.NONE if before.key.kind is Kind.ROUTE else disruption
        return (Delete(before, reason, disruption), Create(after, reason, anew))
    if before is after or before == after:
        return ()
    names = changed_fields(before, after)
    disruption = of_update(before, after, names)
    return (Update(before, after, f"{', '.join(names)} differ{'s' if len(names) == 1 else ''}", disruption),)


def _removal(before: Resource, reason: str) -> Delete:
    return Delete(before, reason, of_removal(before))


def _wanted_by(after: Resource) -> str:
    return "needed by the stacks of this host" if after.owner == HOST_OWNER else f"wanted by {after.subject}"


def with_implied(changes: list[Change]) -> tuple[Change, ...]:
    """Mark the deletes that happen by themselves because what the object needs is deleted too."""
    gone = {change.key for change in changes if isinstance(change, Delete) and not _stays(change.before)}
    again = {change.key for change in changes if isinstance(change, Create) and change.key.kind is Kind.LINK}
    marked: list[Change] = []
    for change in changes:
        if isinstance(change, Delete) and change.before.key.kind in _GOES_BY_ITSELF and not _lingers(change.before):
            # A namespace goes some time after its name, and until then its link's end on the host holds that name.
            implied = change.key not in again and any(need in gone for need in change.before.needs())
            marked.append(
                Delete(change.before, change.reason, change.disruption, implied=implied) if implied else change
            )
        else:
            marked.append(change)
    return tuple(marked)


def _stays(resource: Resource) -> bool:
    # Somebody else made it, and keeps it: what is ours in it is taken out piece by piece.
    return isinstance(resource, Namespace) and bool(resource.attached)


def _lingers(resource: Resource) -> bool:
    # A namespace goes some time after its name. Until then its sub-interfaces hold their MACs, and in
    # mode passthru the whole parent, against those of the next up. A rule stays when its link goes.
    return isinstance(resource, SubInterface | SourceRoute)


# The kernel removes these with the namespace or link that they stand in. A process holds its
# namespace, and ports, files and settings are our own to clear away.
_GOES_BY_ITSELF = frozenset({Kind.LINK, Kind.ADDRESS, Kind.ROUTE, Kind.ROUTER})
