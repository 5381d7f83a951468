"""A container without a sandbox of its own: it uses the host's network, or another container's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from reconciler.actions import Action, JoinNamespace, LeaveNamespace
from reconciler.errors import Source
from reconciler.resources.namespace import namespace_key
from reconciler.resources.parts import PartOfSandbox
from reconciler.state import Key

FOREIGN = "netns:"
"""How the name of a namespace below /run/netns begins that netapply did not make."""


@dataclass(frozen=True, slots=True)
class Joined(PartOfSandbox):
    """``container`` (``stack/name``) in a network namespace that is not its own.

    ``namespace`` is the ``stack/name`` of the sandbox, ``netns:NAME`` for one below /run/netns that netapply did not
    make, empty for the host's. Of an observed one it is where its name really leads; ``pinned`` is false where that
    name leads nowhere. The host's gets no name of its own.
    """

    owner: str
    container: str
    namespace: str
    origin: str
    pinned: bool = True
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset({"origin"})

    @property
    def key(self) -> Key:
        return namespace_key(self.container)

    def needs(self) -> tuple[Key, ...]:
        own = not self.namespace or self.namespace.startswith(FOREIGN)
        return () if own else (namespace_key(self.namespace),)

    def describe(self) -> str:
        return f"network of {place_words(self.owner, self.namespace)}"

    def record(self) -> Mapping[str, Any]:
        return {"container": self.container, "namespace": self.namespace, "pinned": self.pinned}

    def create(self) -> tuple[Action, ...]:
        return (JoinNamespace(self.container, self.namespace, self.origin),)

    def update(self, before: Joined) -> tuple[Action, ...]:
        del before
        return self.create()

    def delete(self) -> tuple[Action, ...]:
        return (LeaveNamespace(self.container),)


def place_words(stack: str, namespace: str) -> str:
    """``the host``, ``container web``, ``container other/web``, ``namespace blue``."""
    if not namespace:
        return "the host"
    if namespace.startswith(FOREIGN):
        return f"namespace {namespace.removeprefix(FOREIGN)}"
    owner, _, name = namespace.partition("/")
    return f"container {name if owner == stack else namespace}"
