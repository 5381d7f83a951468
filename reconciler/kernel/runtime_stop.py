"""End the commands of containers, and remove everything of them."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from reconciler.errors import NetapplyError
from reconciler.kernel import mounts
from reconciler.kernel.processes import CLEAN_ENVIRONMENT, Identified, process_status, signal_process, wait_for_end
from reconciler.kernel.runtime_monitor import Found, search
from reconciler.kernel.runtime_records import Records, bundles_directory, left_overs
from reconciler.kernel.runtime_tool import find_tool

GRACE_SECONDS = 10.0
"""What a command that handles SIGTERM gets before SIGKILL, as everywhere in the field."""

_AFTER_KILL_SECONDS = 5.0
_POLL_SECONDS = 0.001


def stop_many(run_directory: Path, containers: Sequence[str], grace: float) -> None:
    """As ``runtime.stop_many`` says."""
    present = [records for name in containers if (records := Records.of(run_directory, name)).path.exists()]
    if any(not _ended(records) for records in present):
        _end_interrupted(run_directory, [records for records in present if records.process() is None])
        found = search(bundles_directory(run_directory))
        _end_commands([command for records in present if (command := records.process())], grace)
        _end_runtimes([process for records in present for process in _found(found, records).runtimes])
    for records in present:
        _forget(run_directory, records)
    collect(run_directory)


def _ended(records: Records) -> bool:
    monitor, command = records.monitor(), records.process()
    return (
        records.exit_code() is not None
        and monitor is not None
        and not monitor.alive()
        and command is not None
        and not command.alive()
    )


def _end_interrupted(run_directory: Path, interrupted: Sequence[Records]) -> None:
    """End what a start left that was cut off: the runtime may be about to begin the command at this moment."""
    frozen: set[Identified] = set()
    while interrupted:
        found = search(bundles_directory(run_directory))
        runtimes = {process for records in interrupted for process in _found(found, records).runtimes}
        if not runtimes - frozen:
            # Nobody is left who could start anything, so this is all there is.
            children = [process for records in interrupted for process in _found(found, records).children]
            written = [process for records in interrupted for process in _written_by_runtime(records)]
            _kill([*children, *written, *runtimes])
            return
        for process in runtimes - frozen:
            signal_process(process, signal.SIGSTOP)
        for process in runtimes - frozen:
            _wait_until_frozen(process)
        frozen |= runtimes


def _wait_until_frozen(process: Identified) -> None:
    # D: a parent in vfork(2), which cannot stop before its child, stopped itself, has gone on.
    deadline = time.monotonic() + _AFTER_KILL_SECONDS
    while process.alive() and (status := process_status(process.pid)) and status.state not in "TtD":
        if time.monotonic() > deadline:
            return
        time.sleep(_POLL_SECONDS)


def _written_by_runtime(records: Records) -> list[Identified]:
    """The container's first process by the runtime's file: that of a runtime that was itself killed."""
    pid = records.runtime_pid()
    status = process_status(pid) if pid else None
    return [Identified(pid, status.started)] if pid and status and _first_of_namespace(pid) else []


def _found(found: Mapping[str, Found], records: Records) -> Found:
    return found.get(str(records.path)) or Found()


def _end_commands(commands: Iterable[Identified], grace: float) -> None:
    alive = [command for command in commands if command.alive()]
    # The first process of a PID namespace does not even see a signal that it does not handle
    # (pid_namespaces(7)): waiting would be in vain.
    asked = [command for command in alive if _handles(command.pid, signal.SIGTERM)]
    for command in asked:
        signal_process(command, signal.SIGTERM)
    for command in alive:
        if command not in asked:
            signal_process(command, signal.SIGKILL)
    wait_for_end(asked, grace)
    _kill(alive)


def _end_runtimes(runtimes: Sequence[Identified]) -> None:
    """Wait for those that note their command's end by themselves."""
    wait_for_end(runtimes, _AFTER_KILL_SECONDS)
    _kill(runtimes)


def _kill(processes: Sequence[Identified]) -> None:
    for process in processes:
        signal_process(process, signal.SIGKILL)
    _insist(wait_for_end(processes, _AFTER_KILL_SECONDS))


def _insist(left: Sequence[Identified]) -> None:
    if left:
        pids = ", ".join(str(process.pid) for process in left)
        raise NetapplyError.of(f"processes survive SIGKILL: {pids}", hint="they wait for the kernel; see their stack")


def _handles(pid: int, number: int) -> bool:
    return bool(int(_status_field(pid, "SigCgt") or "0", 16) >> (number - 1) & 1)


def _first_of_namespace(pid: int) -> bool:
    numbers = _status_field(pid, "NSpid").split()
    return len(numbers) > 1 and numbers[-1] == "1"


def _status_field(pid: int, name: str) -> str:
    """One line of proc_pid_status(5); empty where the process is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            if line.startswith(f"{name}:"):
                return line.partition(":")[2].strip()
    return ""


def _forget(run_directory: Path, records: Records) -> None:
    """Remove the runtime's state, then the bundle."""
    state = run_directory / "oci" / records.container_id
    if state.exists():
        # The runtime itself does this when it sees the command end; here it was killed.
        tool = find_tool(run_directory)

        def delete() -> None:
            if tool.needs_unified_cgroups and not mounts.unified_cgroups():
                mounts.cover_cgroups()
            arguments = tool.delete(records.container_id)
            # Its files go below in any case, so one that hangs is not waited for.
            with suppress(subprocess.TimeoutExpired):
                subprocess.run(arguments, env=CLEAN_ENVIRONMENT, capture_output=True, timeout=2, check=False)

        mounts.PrivateMounts(delete).finish()
        shutil.rmtree(state, ignore_errors=True)
    gone = records.aside("gone")
    shutil.rmtree(gone, ignore_errors=True)
    records.path.rename(gone)
    shutil.rmtree(gone)


def collect(run_directory: Path) -> None:
    """Remove what a crash left half made or half removed, and directories that hold nothing."""
    for path in left_overs(run_directory):
        shutil.rmtree(path, ignore_errors=True)
    bundles = bundles_directory(run_directory)
    stacks = sorted(bundles.iterdir()) if bundles.is_dir() else []
    for directory in (*stacks, bundles, run_directory / "oci"):
        with suppress(OSError):  # not empty, or not there
            directory.rmdir()
