"""Commands that should run and do not, for people."""

from __future__ import annotations

import math
from collections.abc import Mapping

from reconciler.manifest.model import Container, Manifest
from reconciler.observation import Runtime
from reconciler.watch.backoff import Restarts


def dead_commands(manifest: Manifest, runtimes: Mapping[str, Runtime], restarts: Restarts, now: float) -> list[str]:
    """What became of each command of the stack that ended although ``restart`` says that it shall run."""
    return [
        f"command of {container.name} ended with {_status(runtime)}{_outlook(manifest.stack, container, restarts, now)}"
        for container in manifest.containers
        if (runtime := runtimes.get(f"{manifest.stack}/{container.name}")) and _should_run(container, runtime)
    ]


def _should_run(container: Container, runtime: Runtime) -> bool:
    if runtime.pid is not None or container.restart == "no":
        return False
    return container.restart != "on-failure" or runtime.exit_code != 0


def _status(runtime: Runtime) -> str:
    return "an unknown status" if runtime.exit_code is None else str(runtime.exit_code)


def _outlook(stack_name: str, container: Container, restarts: Restarts, now: float) -> str:
    identity = f"{stack_name}/{container.name}"
    limit = container.restart_limit
    if limit is not None and restarts.count(identity) >= limit:
        return f", its {limit} restarts are used up" if limit > 1 else ", its restart is used up"
    return f", restarts in {max(1, math.ceil(restarts.due(identity, now) - now))} s"
