"""Changes of kernel objects as a reader of the manifest thinks of them: one entry a network, place, port or command."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from reconciler.errors import Source
from reconciler.firewall.policy import NetworkPolicy
from reconciler.plan.change import Change, Delete, Disruption, Update, disturbed, worst
from reconciler.plan.headings import heading
from reconciler.plan.plan import action_of, owner_of
from reconciler.resources.address import Address
from reconciler.resources.agent import HeldPorts
from reconciler.resources.container_file import ContainerFile
from reconciler.resources.host_address import HostAddress
from reconciler.resources.namespace import namespace_key
from reconciler.resources.resolver import Resolver
from reconciler.resources.route import Route
from reconciler.resources.router_rules import router_rules_key
from reconciler.resources.shim import ShimRoute, shim_key
from reconciler.resources.source_route import SourceRoute
from reconciler.resources.sysctl import Sysctl
from reconciler.state import HOST_OWNER, Key, Kind, Resource

_KIND_ORDER = {kind: place for place, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that changes, with all that goes with it: ``changes``, of one action and subject, what it is about first.

    ``what`` is the thing in the words of the manifest.
    """

    what: str
    changes: tuple[Change, ...]

    @property
    def first(self) -> Change:
        """The change that the others go with."""
        return self.changes[0]

    @property
    def action(self) -> str:
        """``create``, ``update`` or ``delete``."""
        return action_of(self.first)

    @property
    def owner(self) -> str:
        """The stack, or the host."""
        return owner_of(self.first)

    @property
    def subject(self) -> str:
        """``network front``, ``container web``, ``host``."""
        return resource_of(self.first).subject

    @property
    def disruption(self) -> Disruption:
        """The worst class of its changes."""
        return worst(self.changes)

    @property
    def disturbs(self) -> str:
        """The same as a word for people (``disturbed``)."""
        return disturbed(self.changes)

    @property
    def source(self) -> Source | None:
        """The manifest line that asks for it; what goes has none."""
        return change_source(self.first)


def shown(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The changes that get a line: the host ports that the agent holds follow from those that are published."""
    changes = tuple(changes)
    publishing = {owner_of(change) for change in changes if change.key.kind is Kind.PORT}
    return tuple(
        change
        for change in changes
        if not (isinstance(resource_of(change), HeldPorts) and owner_of(change) in publishing)
    )


def entries(changes: Iterable[Change]) -> tuple[Entry, ...]:
    """What the changes are to a reader: the host first, then stack by stack, networks before containers."""
    ordered = sorted(shown(changes), key=reading_order)
    found: list[Entry] = []
    for _, group in groupby(ordered, key=lambda change: (owner_of(change), resource_of(change).subject)):
        found.extend(_of_subject(list(group)))
    return tuple(found)


def single(changes: Iterable[Change]) -> tuple[Entry, ...]:
    """An entry for each object of the kernel, in the same order."""
    ordered = sorted(shown(changes), key=reading_order)
    return tuple(Entry(resource_of(change).describe(), (change,)) for change in ordered)


def resource_of(change: Change) -> Resource:
    """What a change is about: as it will be, or as it was where it goes."""
    return change.before if isinstance(change, Delete) else change.after


def change_source(change: Change) -> Source | None:
    """The manifest line that asks for it; a delete has none."""
    return None if isinstance(change, Delete) else change.after.source


def reading_order(change: Change) -> tuple[bool, str, bool, str, int, str, bool]:
    """The host first, then stack by stack: networks before containers, each with its parts in their usual order."""
    resource = resource_of(change)
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


def _of_subject(changes: Sequence[Change]) -> Iterator[Entry]:
    heads = {(type(change), change.key) for change in changes}
    members: dict[tuple[type, object], list[Change]] = {}
    for change in changes:
        members.setdefault(_place(change, heads), []).append(change)
    for (_, place), together in members.items():
        together.sort(key=lambda change, head=place: change.key != head)  # type: ignore[misc]  # a default that binds
        first = together[0]
        what = resource_of(first).describe() if isinstance(first, Update) else heading(together)
        yield Entry(what, tuple(together))


def _place(change: Change, heads: set[tuple[type, Key]]) -> tuple[type, object]:
    """The entry that a change belongs to: what it goes with, where that changes in the same way; else its own."""
    if not isinstance(change, Update):
        kind = type(change)
        for key in _goes_with(resource_of(change)):
            if (kind, key) in heads:
                return kind, key
        if isinstance(resource_of(change), Sysctl):
            return kind, ("sysctls", change.reason, change_source(change))
    return type(change), change.key


def _goes_with(resource: Resource) -> Iterator[Key]:
    """The objects with which this one is made, and without which a reader would not look for it."""
    match resource:
        case Address(place=place, interface=interface):
            yield Key(Kind.LINK, f"{place}:{interface}")
        case NetworkPolicy(network=place, interface=interface):
            yield Key(Kind.LINK, f"{place}:{interface}")
        case Route(container=container, interface=interface) if resource.is_way_out:
            yield Key(Kind.LINK, f"{container}:{interface}")
        case SourceRoute(container=container, interface=interface):
            yield Key(Kind.LINK, f"{container}:{interface}")
        case ShimRoute(network=network, interface=interface):
            yield shim_key(network, interface)
        case ContainerFile(container=container) | Resolver(container=container):
            yield namespace_key(container)
        case HostAddress(container=container, address=address):
            yield Key(Kind.PORT, f"{container}:floating {address}")
        case Sysctl(namespace=container) if container:
            yield router_rules_key(container)
        case _:
            return
