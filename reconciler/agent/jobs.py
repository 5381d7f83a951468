"""Jobs: containers that are to go as soon as their command has ended.

The agent only notices the end. Removing is a run of netapply like any other, under the host's lock.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from reconciler.agent.log import log
from reconciler.agent.loop import Loop

_LOOK_SECONDS = 0.2
_AGAIN_SECONDS = 30.0
"""After a removal that may have failed."""

Command = list[str]


class Jobs:
    """Looks after the commands of jobs by the files that their monitors write; costs nothing where there are none."""

    name = "jobs"

    def __init__(self, loop: Loop, run_directory: str) -> None:
        self._loop = loop
        self._run_directory = run_directory
        self._waiting: dict[str, float] = {}
        self._by_stack: dict[str, set[str]] = {}
        self._looking = False

    def apply(self, stack_name: str, section: Any) -> list[dict[str, Any]]:
        """Look after exactly these containers of the stack. Raises ValueError for a section of another form."""
        wanted = {str(item) for item in section or []}
        if any(not each.startswith(f"{stack_name}/") for each in wanted):
            message = f"not all containers of stack {stack_name}: {sorted(wanted)}"
            raise ValueError(message)
        for container in self._by_stack.pop(stack_name, set()) - wanted:
            self._waiting.pop(container, None)
        for container in wanted:
            self._waiting.setdefault(container, 0.0)
        if wanted:
            self._by_stack[stack_name] = wanted
            self._look_later(_LOOK_SECONDS)
        return []

    def status(self) -> list[str]:
        """The containers whose end is waited for, sorted."""
        return sorted(self._waiting)

    def close(self) -> None:
        """Look after none."""
        self._waiting.clear()

    def _look_later(self, seconds: float) -> None:
        if not self._looking:
            self._looking = True
            self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._looking = False
        ended = []
        for container, patience in list(self._waiting.items()):
            if patience > 0:
                self._waiting[container] = patience - _LOOK_SECONDS
            elif self._has_ended(container):
                ended.append(container)
                self._waiting[container] = _AGAIN_SECONDS
        if ended:
            self._remove(ended)
        if self._waiting:
            self._look_later(_LOOK_SECONDS)

    def _has_ended(self, container: str) -> bool:
        stack_name, _, name = container.partition("/")
        bundle = os.path.join(self._run_directory, "processes", stack_name, name)  # noqa: PTH118 - pathlib costs the agent 5 ms
        try:
            return os.stat(os.path.join(bundle, "exit")).st_size > 0  # noqa: PTH116, PTH118 - as above
        except FileNotFoundError:
            return False

    def _remove(self, containers: list[str]) -> None:
        from reconciler.kernel.processes import CLEAN_ENVIRONMENT, spawn_detached  # noqa: PLC0415 - few agents need it

        package_home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120 - as above
        host = ["-n", self._host_name()] if self._host_name() else []
        command = [sys.executable, "-P", "-s", "-m", "reconciler", *host, "remove-ended", *containers]
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            # The agent's own log takes what it has to complain of.
            spawn_detached(command, [null, null, 2], {**CLEAN_ENVIRONMENT, "PYTHONPATH": package_home})
        except OSError as error:
            log("error", "ended jobs could not be removed", containers=containers, message=str(error))
        finally:
            os.close(null)

    def _host_name(self) -> str:
        try:
            with open(os.path.join(self._run_directory, "name")) as file:  # noqa: PTH118, PTH123 - as above
                return file.read().strip()
        except FileNotFoundError:
            return ""
