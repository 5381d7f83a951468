"""One type for what should be and for what is: resources by key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

if TYPE_CHECKING:
    from reconciler.actions import Action
    from reconciler.errors import Source

HOST_OWNER = "host"
"""The owner of what all stacks of a host share."""


class Kind(StrEnum):
    """The kinds of object that a plan names; the words are part of the JSON contract."""

    NAMESPACE = "namespace"
    LINK = "link"
    ADDRESS = "address"
    ROUTE = "route"
    ROUTER = "router"
    RULE = "rule"
    PORT = "port"
    POLICY = "policy"
    SYSCTL = "sysctl"
    FILE = "file"
    PROCESS = "process"
    AGENT = "agent"


class Key(NamedTuple):
    """Identifies one object of a host: its kind, and ``stack/container:object`` or the like."""

    kind: Kind
    name: str


class Resource(Protocol):
    """One object in normal form: a frozen dataclass whose ``==`` ignores ``source``."""

    live: ClassVar[frozenset[str]]
    """The fields that change in place; any other difference replaces the object."""

    @property
    def owner(self) -> str:
        """The stack's name, or ``HOST_OWNER``."""
        ...

    @property
    def source(self) -> Source | None:
        """Where the manifest asks for it; None on what is observed."""
        ...

    @property
    def key(self) -> Key:
        """What identifies it among all objects of a host."""
        ...

    @property
    def subject(self) -> str:
        """What it is part of, for people: ``network front``, ``container web``, ``host``."""
        ...

    @property
    def sandbox(self) -> str:
        """``stack/container`` of the sandbox that it stands in; empty: none."""
        ...

    def needs(self) -> tuple[Key, ...]:
        """The objects that must exist while this one does; those not in the state are ignored."""
        ...

    def describe(self) -> str:
        """The object in the words of the manifest, for a plan's line."""
        ...

    def record(self) -> Mapping[str, Any]:
        """The fields for JSON, in stable order, without any secret."""
        ...

    def create(self) -> tuple[Action, ...]:
        """What makes it."""
        ...

    def update(self, before: Any) -> tuple[Action, ...]:
        """What turns ``before``, which differs in live fields only, into this."""
        ...

    def delete(self) -> tuple[Action, ...]:
        """What removes it."""
        ...


def subject_of(word: str, identity: str) -> str:
    """``container web`` for ``shop/web``."""
    return f"{word} {identity.partition('/')[2]}"


class State:
    """Resources by key. Immutable; two states are equal when all their resources are."""

    __slots__ = ("_resources",)

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self._resources: dict[Key, Resource] = {}
        for resource in resources:
            if self._resources.setdefault(resource.key, resource) is not resource:
                message = f"two resources with one key: {resource.key}"
                raise ValueError(message)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._resources.values())

    def __len__(self) -> int:
        return len(self._resources)

    def __contains__(self, key: Key) -> bool:
        return key in self._resources

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and self._resources == other._resources

    __hash__ = None  # type: ignore[assignment]  # a mapping is not hashable

    def get(self, key: Key) -> Resource | None:
        """The resource of that key, or None."""
        return self._resources.get(key)

    def keys(self) -> Iterator[Key]:
        """All keys, in the order of insertion."""
        return iter(self._resources)

    def items(self) -> Iterator[tuple[Key, Resource]]:
        """Keys and resources, in the order of insertion; a resource's key takes time to make."""
        return iter(self._resources.items())

    def owned_by(self, owners: frozenset[str]) -> State:
        """The part that belongs to these owners."""
        return State(resource for resource in self if resource.owner in owners)

    def where(self, keep: Callable[[Resource], bool]) -> State:
        """The part for which ``keep`` says yes."""
        part = State()
        part._resources = {key: resource for key, resource in self._resources.items() if keep(resource)}
        return part

    def sharing(self, other: State) -> State:
        """This state, made of the objects of ``other`` where they are equal: whoever keeps both keeps one."""
        shared = State()
        mine = self._resources
        shared._resources = {
            key: theirs if theirs == mine[key] else mine[key] for key, theirs in other._resources.items() if key in mine
        }
        for key, resource in mine.items():
            shared._resources.setdefault(key, resource)
        return shared

    def merged(self, other: State) -> State:
        """Both together; a resource of ``other`` replaces one of the same key."""
        union = State()
        union._resources = {**self._resources, **other._resources}
        return union
