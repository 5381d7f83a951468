"""Jobs as the run folder has them: which the agent looks after, and which have ended."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from reconciler.kernel import agent_control, agent_data, files
from reconciler.kernel.agent_control import AgentStatus
from reconciler.kernel.agent_data import JOBS
from reconciler.resources.job import EndedJob, Job
from reconciler.state import Resource

DIRECTORY = "ended"


def observe(run_directory: Path, agent: AgentStatus | None) -> Iterator[Resource]:
    """Those that a running agent looks after, and the records of those that have ended."""
    if agent:
        for stack_name in agent_data.stacks(run_directory):
            for container in agent_data.read(run_directory, stack_name).get(JOBS, ()):
                if str(container) in agent.jobs:
                    yield Job(stack_name, str(container))
    try:
        names = sorted(os.listdir(run_directory / DIRECTORY))  # noqa: PTH208  # only the names are wanted
    except FileNotFoundError:
        return
    for name in names:
        stack, dot, container_name = name.partition(".")
        record = _read(run_directory / DIRECTORY / name)
        if stack and dot and container_name:
            code = record.get("exit_code")
            exit_code = code if isinstance(code, int) else None
            yield EndedJob(stack, f"{stack}/{container_name}", str(record.get("definition", "")), exit_code)


def await_end(run_directory: Path, container: str, *, wanted: bool) -> None:
    """Have the agent look after a job, or no longer. Raises NetapplyError."""
    stack_name = container.partition("/")[0]
    data = agent_data.read(run_directory, stack_name)
    others = {str(each) for each in data.get(JOBS, ())} - {container}
    jobs = sorted(others | ({container} if wanted else set()))
    agent_control.give(run_directory, stack_name, {**data, JOBS: jobs}, less=not wanted)


def record(run_directory: Path, container: str, definition: str, exit_code: int | None) -> None:
    """Write down that a job has ended."""
    folder = run_directory / DIRECTORY
    folder.mkdir(mode=0o700, exist_ok=True)
    content = json.dumps({"definition": definition, "exit_code": exit_code})
    files.write_private(folder / container.replace("/", ".", 1), content)


def forget(run_directory: Path, container: str) -> None:
    """Remove that record."""
    (run_directory / DIRECTORY / container.replace("/", ".", 1)).unlink(missing_ok=True)


def _read(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
