"""The commands of containers, run by an OCI runtime: start them, stop them, see what runs.

Whoever starts or stops holds the host's lock. A crash between any two steps leaves what the next
start, stop or collect of that container clears away. What starts and stops is imported when it is
used: to look, which every run does, takes a tenth of it.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.actions import StartProcess
from reconciler.errors import NetapplyError
from reconciler.kernel.runtime_records import NamespacePath, Records, all_records
from reconciler.resources.joined import FOREIGN
from reconciler.resources.process import Process

ELSEWHERE = "it runs in a namespace that was replaced"
ENDED = "it has ended"
"""How the fault of one begins that ended and shall run again."""

_INTERRUPTED = "its start was interrupted"
_UNDEFINED = "its definition is gone"
_OUTDATED = "a file that it sees in place of the host's was replaced"


@dataclass(frozen=True, slots=True)
class Workload:
    """A container's command as it is. ``pid`` is None when it does not run; ``exit_code`` as in Records."""

    process: Process
    pid: int | None
    exit_code: int | None
    log: Path


def workloads(run_directory: Path, namespace_path: NamespacePath) -> list[Workload]:
    """All commands of the host, by name, read back from their bundles and /proc."""
    return [_observe(run_directory, records, namespace_path) for records in all_records(run_directory)]


def _observe(run_directory: Path, records: Records, namespace_path: NamespacePath) -> Workload:
    command = records.process()
    running = command is not None and command.alive()
    start = records.definition()
    stack_name = records.path.parent.name
    if start is None:
        process = Process(stack_name, records.container, (), fault=_UNDEFINED)
    else:
        fault = _INTERRUPTED if command is None else ""
        if running and command:
            at_home = _in_namespace(command.pid, start.namespace, namespace_path)
            # One that ends between the two looks is in no namespace any more, and that is no fault.
            running = at_home is not None and (at_home or command.alive())
            fault = ELSEWHERE if running and not at_home else fault
        if running and command and not fault:
            fault = _shared_elsewhere(run_directory, command.pid, start) or _outdated(records, start)
        if command and not running:
            fault = _ended(start.restart, records.exit_code())
        fields = {item.name: getattr(start, item.name) for item in dataclasses.fields(StartProcess)}
        process = Process(owner=stack_name, fault=fault, **fields)
    pid = command.pid if running and command else None
    return Workload(process, pid, None if running else records.exit_code(), records.log)


def _in_namespace(pid: int, namespace: str, namespace_path: NamespacePath) -> bool | None:
    """Whether it is in that one; None: in none any more, which a process leaves a little before it has ended."""
    place = namespace_path(namespace) if namespace else Path("/proc/thread-self/ns/net")
    try:
        theirs = os.stat(f"/proc/{pid}/ns/net")  # noqa: PTH116 - for every container of a host
    except (FileNotFoundError, ProcessLookupError):
        return None
    try:
        wanted = os.stat(place)  # noqa: PTH116 - as above
    except FileNotFoundError:
        return False
    return (theirs.st_dev, theirs.st_ino) == (wanted.st_dev, wanted.st_ino)


def _shared_elsewhere(run_directory: Path, pid: int, start: StartProcess) -> str:
    """Why it does not share what it shall share any more: the other command was started anew, or has ended."""
    for kind, container in start.shared:
        other = Records.of(run_directory, container).process() if container else None
        try:
            mine = os.stat(f"/proc/{pid}/ns/{kind}").st_ino  # noqa: PTH116 - as above
            theirs = os.stat(f"/proc/{other.pid}/ns/{kind}").st_ino if other and other.alive() else mine  # noqa: PTH116 - as above
        except (FileNotFoundError, ProcessLookupError):
            continue
        if mine != theirs:
            return f"its {kind} namespace is not that of {container} any more"
    return ""


def _outdated(records: Records, start: StartProcess) -> str:
    """Whether what it sees through its mounts are still the files that netapply writes."""
    # What somebody else writes for a namespace of theirs may change as they like.
    ours = start.files and not start.files.startswith(FOREIGN)
    for path, number in records.files().items() if ours else ():
        try:
            if os.stat(path).st_ino != number:  # noqa: PTH116 - as above
                return _OUTDATED
        except (FileNotFoundError, ProcessLookupError):
            return _OUTDATED
    return ""


def _ended(restart: str, exit_code: int | None) -> str:
    """Why one that has ended is to run again; empty: it is not."""
    if restart in {"always", "unless-stopped"} or (restart == "on-failure" and exit_code != 0):
        status = "unknown" if exit_code is None else exit_code
        return f"{ENDED} with status {status}, and restart is {restart}"
    return ""


def start(
    run_directory: Path,
    definition: StartProcess,
    namespace_path: NamespacePath,
    files: Mapping[str, Path] | None = None,
) -> None:
    """Run one command; see ``start_many``. Raises NetapplyError where it could not be started."""
    failures = start_many(run_directory, [definition], namespace_path, {definition.container: files or {}})
    for failure in failures.values():
        raise failure


def start_many(
    run_directory: Path,
    definitions: Sequence[StartProcess],
    namespace_path: NamespacePath,
    files: Mapping[str, Mapping[str, Path]] | None = None,
    patience: float = math.inf,
) -> dict[str, NetapplyError]:
    """Run these commands, each instead of what runs for its container; those that failed, by container.

    Returns when each has really begun, or has failed and left nothing. ``files`` gives, by
    container, files to show at a path inside. When none of them gets any further within ``patience``
    seconds (20 at most), those that have not begun have failed. Raises NetapplyError where no runtime is installed.
    """
    from reconciler.kernel import runtime_start  # noqa: PLC0415 - 8 ms that a run without changes is spared

    return runtime_start.start_many(run_directory, definitions, namespace_path, files or {}, patience)


def stop(run_directory: Path, container: str) -> None:
    """End the command of ``stack/name`` and remove everything of it; nothing to do is fine."""
    stop_many(run_directory, [container])


def stop_many(run_directory: Path, containers: Sequence[str], grace: float | None = None) -> None:
    """End these commands and remove their files.

    Those that handle SIGTERM get ``grace`` seconds for it (None: 10). Raises NetapplyError where a
    process survives.
    """
    from reconciler.kernel import runtime_stop  # noqa: PLC0415 - as above

    runtime_stop.stop_many(run_directory, containers, runtime_stop.GRACE_SECONDS if grace is None else grace)


def collect(run_directory: Path) -> None:
    """Remove what a crash left half made or half removed, and directories that hold nothing."""
    from reconciler.kernel import runtime_stop  # noqa: PLC0415 - as above

    runtime_stop.collect(run_directory)
