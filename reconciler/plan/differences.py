"""What an update changes: each field with its old and new value, without any secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from reconciler.plan.change import Update
from reconciler.plan.diff import changed_fields
from reconciler.resources.container_file import ContainerFile
from reconciler.resources.resolver import Resolver

_HIDDEN = frozenset({"environment"})
"""Fields whose values are secrets: only that they changed is told."""

_NAMES = frozenset({"registrations", "links"})
"""Fields that are told as the names that went and came."""


class Difference(NamedTuple):
    """A field and its two values in words."""

    name: str
    before: str
    after: str


def differences(change: Update) -> tuple[str, ...]:
    """``host_port: 8080 -> 8081``; of a file the lines, and of names the names, that went and came."""
    if isinstance(change.after, ContainerFile) and isinstance(change.before, ContainerFile):
        if change.after.text == change.before.text:
            return ("not shown by ip netns exec",)
        return change.after.changed_lines(change.before) or ("in another order",)
    fields = changed(change)
    if isinstance(change.after, Resolver) and isinstance(change.before, Resolver):
        told = change.after.changed_names(change.before)
        others = tuple(each for each in fields if each.name not in _NAMES)
        return (*told, *map(_in_words, others)) or ("in another order",)
    return tuple(map(_in_words, fields))


def _in_words(found: Difference) -> str:
    return f"{found.name} changed" if found.name in _HIDDEN else f"{found.name}: {found.before} -> {found.after}"


def changed(change: Update) -> tuple[Difference, ...]:
    """The fields that differ, in the order of the class."""
    before, after = change.before.record(), change.after.record()
    found = []
    for name in changed_fields(change.before, change.after):
        if name in _HIDDEN:
            found.append(Difference(name, "secret", "another"))
        else:
            old = before.get(name, getattr(change.before, name))
            found.append(Difference(name, words(old), words(after.get(name, getattr(change.after, name)))))
    return tuple(found)


def words(value: object) -> str:
    """A value of a record for people."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {words(each)}" for name, each in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(words, value)) or "none"
    return str(value) or "none"
