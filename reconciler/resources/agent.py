"""The agent of a host, and the published ports that it holds for a stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from reconciler.actions import Action, HoldPorts, StartAgent, StopAgent
from reconciler.errors import Source
from reconciler.resources.parts import Part, PartOfHost
from reconciler.state import HOST_OWNER, Key, Kind

AGENT_VERSION = 2
"""Counts up whenever an older agent could not serve a newer client: such an agent is replaced."""

HELD_PROTOCOLS = frozenset({"tcp", "udp"})
"""What the agent can hold with a socket; not every kernel has SCTP's."""

AGENT_KEY = Key(Kind.AGENT, f"{HOST_OWNER}:agent")


@dataclass(frozen=True, slots=True)
class Agent(PartOfHost):
    """The one background process of a host. ``version`` is that of the protocol it speaks."""

    version: int = AGENT_VERSION
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> Key:
        return AGENT_KEY

    def describe(self) -> str:
        return "agent of the host"

    def record(self) -> Mapping[str, Any]:
        return {"version": self.version}

    def create(self) -> tuple[Action, ...]:
        return (StartAgent(),)

    def update(self, before: Agent) -> tuple[Action, ...]:
        return (*before.delete(), *self.create())

    def delete(self) -> tuple[Action, ...]:
        return (StopAgent(),)


@dataclass(frozen=True, slots=True)
class HeldPorts(Part):
    """The host ports of one stack that the agent holds, so that no other program takes them unnoticed.

    ``pins`` is sorted; each is (protocol, address, port), an address of all being ``0.0.0.0`` or ``::``.
    """

    owner: str
    pins: tuple[tuple[str, str, int], ...]
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset({"pins"})

    @property
    def key(self) -> Key:
        return Key(Kind.AGENT, f"{self.owner}:held ports")

    @property
    def subject(self) -> str:
        return "ports of the host"

    def needs(self) -> tuple[Key, ...]:
        return (AGENT_KEY,)

    def describe(self) -> str:
        ports = ", ".join(pin_text(*pin) for pin in self.pins)
        return f"host ports held: {ports or 'none'}"

    def record(self) -> Mapping[str, Any]:
        return {"pins": [pin_text(*pin) for pin in self.pins]}

    def create(self) -> tuple[Action, ...]:
        return (HoldPorts(self.owner, self.pins),)

    def update(self, before: HeldPorts) -> tuple[Action, ...]:
        del before  # the agent itself finds what it holds already
        return self.create()

    def delete(self) -> tuple[Action, ...]:
        return (HoldPorts(self.owner, ()),)


def pin_text(protocol: str, address: str, port: int) -> str:
    """``0.0.0.0:8080/tcp``, ``[::]:8080/tcp``."""
    host = f"[{address}]" if ":" in address else address
    return f"{host}:{port}/{protocol}"
