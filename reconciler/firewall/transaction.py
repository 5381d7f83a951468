"""What all firewall policies have in common: the backend turns changes of them into one transaction."""

from __future__ import annotations

from typing import Any

from reconciler.actions import Action, Firewall


class ByTransaction:
    """The backend turns changes of these into one transaction; there is no single step."""

    __slots__ = ()

    def create(self) -> tuple[Action, ...]:
        return (Firewall(),)

    def update(self, before: Any) -> tuple[Action, ...]:  # noqa: ARG002  # the protocol's argument
        return (Firewall(),)

    def delete(self) -> tuple[Action, ...]:
        return (Firewall(),)
