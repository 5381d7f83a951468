"""What differs, as values: one of three changes for each object."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.actions import Action
from reconciler.state import Key, Kind, Resource


class Disruption(StrEnum):
    """What a change does to traffic that flows already; from harmless to harmful."""

    NONE = "none"
    RESET = "connections reset"
    FLAP = "endpoint flap"
    RECREATE = "recreate"


def _keep_key(change: Change, resource: Resource) -> None:
    # A run asks each change for it a dozen times, and a resource puts it together anew each time.
    object.__setattr__(change, "key", resource.key)


@dataclass(frozen=True, slots=True)
class Create:
    """Make ``after``."""

    after: Resource
    reason: str = ""
    disruption: Disruption = Disruption.NONE
    key: Key = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _keep_key(self, self.after)


@dataclass(frozen=True, slots=True)
class Update:
    """Turn ``before`` into ``after`` in place."""

    before: Resource
    after: Resource
    reason: str = ""
    disruption: Disruption = Disruption.NONE
    key: Key = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _keep_key(self, self.after)


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove ``before``. ``implied``: it goes by itself with an object that is also removed."""

    before: Resource
    reason: str = ""
    disruption: Disruption = Disruption.NONE
    implied: bool = False
    key: Key = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _keep_key(self, self.before)


Change = Create | Update | Delete


def actions_of(change: Change) -> tuple[Action, ...]:
    """The atomic steps of a change; none for what goes by itself."""
    match change:
        case Create(after=after):
            return after.create()
        case Update(before=before, after=after):
            return after.update(before)
        case Delete(before=before, implied=implied):
            return () if implied else before.delete()


def worst(changes: Iterable[Change]) -> Disruption:
    """The worst class of the changes."""
    return max((change.disruption for change in changes), key=list(Disruption).index, default=Disruption.NONE)


def disturbed(changes: Iterable[Change]) -> str:
    """What the changes do to the connections that there are.

    A published port that changes ends those that the change is about, and none besides: ``nothing else``.
    """
    changes = tuple(changes)
    found = worst(changes)
    if found is not Disruption.NONE:
        return str(found)
    return (
        "nothing else"
        if any(isinstance(each, Update) and each.key.kind is Kind.PORT for each in changes)
        else "nothing"
    )
