"""What still runs of a host whose run folder was taken away: agents and commands without their records.

They are known by their arguments, which hold the run folder's path. Looking takes a walk
over /proc, so it is done only where something of the host stands that should have records.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

from reconciler.errors import NetapplyError
from reconciler.kernel.agent_protocol import LOCK_FILE
from reconciler.kernel.processes import (
    Identified,
    command_line,
    is_like_us,
    process_status,
    signal_process,
    wait_for_end,
)
from reconciler.kernel.runtime_monitor import Found, search
from reconciler.kernel.runtime_records import bundles_directory
from reconciler.resources.agent import Agent
from reconciler.resources.process import Process

_AFTER_KILL_SECONDS = 5.0


def commands(run_folder: Path) -> list[Process]:
    """The commands without records; each has a fault, so that it is made anew or removed."""
    return [
        Process(container.partition("/")[0], container, (), fault="its records are gone")
        for container in sorted(_found(run_folder))
    ]


def agents(run_folder: Path) -> list[Agent]:
    """An agent without its files, as one of a version that nobody speaks, so that it is replaced or removed."""
    return [Agent(version=0)] if _stray_agents(run_folder) else []


def end_commands(run_folder: Path, containers: Iterable[str]) -> None:
    """Kill these commands, their runtimes and monitors. Raises NetapplyError where one survives."""
    wanted = set(containers)
    ending = [found for container, found in _found(run_folder).items() if container in wanted]
    # The command first: a runtime that is killed leaves it behind.
    _kill([process for found in ending for process in found.children])
    _kill([process for found in ending for process in found.runtimes])


def end_agents(run_folder: Path) -> None:
    """Kill every agent of the host whose lock file is gone; a second one could not hold the same ports."""
    _kill(_stray_agents(run_folder))


def _stray_agents(run_folder: Path) -> list[Identified]:
    if (run_folder / LOCK_FILE).exists():
        return []
    mark = b"\0reconciler.agent\0" + os.fsencode(run_folder) + b"\0"
    return [process for process in _all() if mark in command_line(process.pid) and is_like_us(process.pid)]


def _found(run_folder: Path) -> dict[str, Found]:
    bundles = bundles_directory(run_folder)
    return {
        str(Path(bundle).relative_to(bundles)): found
        for bundle, found in search(bundles).items()
        if not Path(bundle).exists()
    }


def _all() -> list[Identified]:
    return [
        Identified(int(path.name), status.started)
        for path in Path("/proc").iterdir()
        if path.name.isdigit() and (status := process_status(int(path.name))) is not None
    ]


def _kill(processes: list[Identified]) -> None:
    for process in processes:
        signal_process(process, signal.SIGKILL)
    left = wait_for_end(processes, _AFTER_KILL_SECONDS)
    if left:
        numbers = ", ".join(str(process.pid) for process in left)
        raise NetapplyError.of(f"these processes survive SIGKILL: {numbers}")
