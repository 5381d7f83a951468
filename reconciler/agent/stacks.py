"""What the agent serves, by stack: one data file each, one section in it for each concern."""

from __future__ import annotations

import json
import os
from typing import Any, Protocol

from reconciler.kernel.agent_protocol import DATA_DIRECTORY

_ENDING = ".json"


class Concern(Protocol):
    """One of the things that the agent does: hold ports, answer names."""

    @property
    def name(self) -> str:
        """The name of its section in a stack's data, and of its part of the status."""
        ...

    def apply(self, stack_name: str, section: Any) -> list[dict[str, Any]]:
        """Serve exactly that for the stack, nothing where it is None; what could not be done. Raises ValueError."""
        ...

    def status(self) -> Any:
        """What it does now, for JSON."""
        ...

    def close(self) -> None:
        """Stop."""
        ...


class Stacks:
    """The stacks of one host, each at a generation."""

    def __init__(self, run_directory: str, concerns: list[Concern]) -> None:
        self._directory = os.path.join(run_directory, DATA_DIRECTORY)  # noqa: PTH118 - pathlib costs the agent 5 ms
        self._concerns = concerns
        self._generations: dict[str, str] = {}

    def load_all(self) -> list[dict[str, Any]]:
        """Serve what the files say, as after a restart; what could not be done."""
        failures: list[dict[str, Any]] = []
        for file_name in sorted(os.listdir(self._directory)):  # noqa: PTH208 - only the names are wanted
            if file_name.endswith(_ENDING) and not file_name.startswith("."):
                stack_name = file_name.removesuffix(_ENDING)
                try:
                    failures += self.load(stack_name)
                except (OSError, ValueError) as error:
                    failures.append({"stack": stack_name, "message": str(error)})
        return failures

    def load(self, stack_name: str, generation: str | None = None) -> list[dict[str, Any]]:
        """Serve what the stack's file says, nothing where there is none; what could not be done.

        Raises ValueError for a file that is of no use, or of another ``generation`` than the one asked for.
        """
        if not stack_name or "/" in stack_name or stack_name.startswith("."):
            message = f"not a stack's name: {stack_name!r}"
            raise ValueError(message)
        data = self._read(stack_name)
        found = str(data.get("generation", ""))
        if generation is not None and found != generation:
            message = f"the file of stack {stack_name} is of generation {found!r}, not {generation!r}"
            raise ValueError(message)
        failures = [item for concern in self._concerns for item in concern.apply(stack_name, data.get(concern.name))]
        if data:
            self._generations[stack_name] = found
        else:
            self._generations.pop(stack_name, None)
        return failures

    def status(self) -> dict[str, Any]:
        """Generations by stack, and what each concern says."""
        return {"generations": self._generations, **{concern.name: concern.status() for concern in self._concerns}}

    def _read(self, stack_name: str) -> dict[str, Any]:
        try:
            with open(os.path.join(self._directory, stack_name + _ENDING), "rb") as file:  # noqa: PTH118, PTH123 - as above
                data = json.load(file)
        except FileNotFoundError:
            return {}
        if not isinstance(data, dict):
            message = f"the file of stack {stack_name} holds no object"
            raise ValueError(message)  # noqa: TRY004 - malformed data, whatever its form
        return data
