"""What resources have in common that are part of the same: of a container, of a sandbox, of a network, of the host.

Bases of frozen slotted dataclasses. Each says what most of its kind do; a resource that differs says so itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.state import HOST_OWNER, Key, subject_of


class Part:
    """Made in the host's own namespaces, and needs nothing."""

    __slots__ = ()

    @property
    def sandbox(self) -> str:
        return ""

    def needs(self) -> tuple[Key, ...]:
        return ()


class PartOfContainer(Part):
    """Part of ``container``, ``stack/name``."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def container(self) -> str: ...

    @property
    def subject(self) -> str:
        return subject_of("container", self.container)


class PartOfSandbox(PartOfContainer):
    """Stands in the sandbox of ``container``."""

    __slots__ = ()

    @property
    def sandbox(self) -> str:
        return self.container


class PartOfNetwork(Part):
    """Part of ``network``, ``stack/key``."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def network(self) -> str: ...

    @property
    def subject(self) -> str:
        return subject_of("network", self.network)


class PartOfHost(Part):
    """One for the whole host, which owns it; stacks share it."""

    __slots__ = ()

    @property
    def owner(self) -> str:
        return HOST_OWNER

    @property
    def subject(self) -> str:
        return HOST_OWNER
