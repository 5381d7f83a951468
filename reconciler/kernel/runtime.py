"""The commands of containers, run by an OCI runtime: start them, stop them, see what runs.

Whoever starts or stops holds the host's lock. A crash between any two steps leaves what the next
start, stop or collect of that container clears away.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

from reconciler.actions import StartProcess
from reconciler.kernel.runtime_records import Records, all_records
from reconciler.kernel.runtime_start import NamespacePath, start, start_many
from reconciler.kernel.runtime_stop import collect, stop, stop_many
from reconciler.resources.process import Process

__all__ = ["Workload", "collect", "start", "start_many", "stop", "stop_many", "workloads"]

_INTERRUPTED = "its start was interrupted"
_UNDEFINED = "its definition is gone"
_ELSEWHERE = "it runs in a namespace that was replaced"


@dataclass(frozen=True, slots=True)
class Workload:
    """A container's command as it is. ``pid`` is None when it does not run; ``exit_code`` as in Records."""

    process: Process
    pid: int | None
    exit_code: int | None
    log: Path


def workloads(run_directory: Path, namespace_path: NamespacePath) -> list[Workload]:
    """All commands of the host, by name, read back from their bundles and /proc."""
    return [_observe(records, namespace_path) for records in all_records(run_directory)]


def _observe(records: Records, namespace_path: NamespacePath) -> Workload:
    command = records.process()
    running = command is not None and command.alive()
    start = records.definition()
    stack_name = records.path.parent.name
    if start is None:
        process = Process(stack_name, records.container, (), fault=_UNDEFINED)
    else:
        fault = _INTERRUPTED if command is None else ""
        if running and command and not _in_namespace(command.pid, start.namespace, namespace_path):
            fault = _ELSEWHERE
        fields = {item.name: getattr(start, item.name) for item in dataclasses.fields(StartProcess)}
        process = Process(owner=stack_name, fault=fault, **fields)
    pid = command.pid if running and command else None
    return Workload(process, pid, None if running else records.exit_code(), records.log)


def _in_namespace(pid: int, namespace: str, namespace_path: NamespacePath) -> bool:
    place = namespace_path(namespace) if namespace else Path("/proc/thread-self/ns/net")
    try:
        theirs, wanted = os.stat(f"/proc/{pid}/ns/net"), os.stat(place)  # noqa: PTH116 - for every container of a host
    except FileNotFoundError:
        return False
    return (theirs.st_dev, theirs.st_ino) == (wanted.st_dev, wanted.st_ino)
