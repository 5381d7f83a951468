"""A container that is removed as soon as its command has ended (``rm: true``), and the record that it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from reconciler.actions import Action, AwaitEnd, ForgetEnd, ForgetEndedJob, RecordEndedJob
from reconciler.errors import Source
from reconciler.resources.agent import AGENT_KEY
from reconciler.resources.parts import PartOfContainer
from reconciler.state import Key, Kind


def job_key(container: str) -> Key:
    """The key of the charge to remove ``stack/container``."""
    return Key(Kind.AGENT, f"{container}:removal")


@dataclass(frozen=True, slots=True)
class Job(PartOfContainer):
    """The agent's charge to remove ``container`` (``stack/name``) when its command has ended."""

    owner: str
    container: str
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> Key:
        return job_key(self.container)

    def needs(self) -> tuple[Key, ...]:
        return (AGENT_KEY,)

    def describe(self) -> str:
        return "removed when its command has ended"

    def record(self) -> Mapping[str, Any]:
        return {"container": self.container}

    def create(self) -> tuple[Action, ...]:
        return (AwaitEnd(self.container),)

    def update(self, before: Job) -> tuple[Action, ...]:
        del before
        return self.create()

    def delete(self) -> tuple[Action, ...]:
        return (ForgetEnd(self.container),)


@dataclass(frozen=True, slots=True)
class EndedJob(PartOfContainer):
    """The record that the job of ``container`` has run as it is defined, so that it does not run again.

    ``definition`` is a digest of its command's definition: a changed one runs.
    """

    owner: str
    container: str
    definition: str
    exit_code: int | None = field(default=None, compare=False)
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset({"definition"})

    @property
    def key(self) -> Key:
        return Key(Kind.FILE, f"{self.container}:ended")

    def describe(self) -> str:
        return f"job ended ({'unknown' if self.exit_code is None else self.exit_code})"

    def record(self) -> Mapping[str, Any]:
        # The digest covers the environment's values, which a guess could be tried against.
        return {"container": self.container, "exit_code": self.exit_code}

    def create(self) -> tuple[Action, ...]:
        return (RecordEndedJob(self.container, self.definition, self.exit_code),)

    def update(self, before: EndedJob) -> tuple[Action, ...]:
        del before
        return self.create()

    def delete(self) -> tuple[Action, ...]:
        return (ForgetEndedJob(self.container),)
