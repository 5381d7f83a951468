"""Run the commands of containers through an OCI runtime: start, stop, observe.

Whoever calls holds the host's lock. A crash between any two steps leaves what the next start, stop
or collect of that container clears away.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reconciler.actions import StartProcess
from reconciler.errors import NetapplyError
from reconciler.kernel import mounts, runtime_bundle
from reconciler.kernel.runtime_monitor import (
    CLEAN_ENVIRONMENT,
    Found,
    Identified,
    Launched,
    command_line,
    launch,
    process_status,
    search,
    signal_process,
    wait_for_end,
)
from reconciler.kernel.runtime_records import Records, all_records, bundles_directory, left_overs
from reconciler.kernel.runtime_tool import Tool, error_lines, find_tool
from reconciler.resources.process import Process

NamespacePath = Callable[[str], Path]
"""Where the sandbox of ``stack/container`` is pinned."""

START_SECONDS = 20.0
GRACE_SECONDS = 10.0
_AFTER_KILL_SECONDS = 5.0
_POLL_SECONDS = 0.002
_AT_ONCE = 32
"""Starts in flight together: more would only wait for each other."""

_LINES = 5
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
) -> dict[str, NetapplyError]:
    """Run these commands, each instead of what runs for its container; those that failed, by container.

    Returns when each has really begun, or has failed and left nothing. ``files`` gives, by
    container, files to show at a path inside. Raises NetapplyError where no runtime is installed.
    """
    tool = find_tool(run_directory)
    stop_many(run_directory, [definition.container for definition in definitions])
    failures: dict[str, NetapplyError] = {}
    ready: list[Records] = []
    shown = runtime_bundle.submounts(Path("/proc/thread-self/mountinfo").read_text(errors="surrogateescape"))
    for definition in definitions:
        try:
            of_container = (files or {}).get(definition.container, {})
            ready.append(_write_bundle(run_directory, definition, namespace_path, shown, of_container))
        except NetapplyError as failure:
            failures[definition.container] = failure
    scratch = [path for path in shown if path in runtime_bundle.SCRATCH]
    for first in range(0, len(ready), _AT_ONCE):
        failures |= _start_some(tool, ready[first : first + _AT_ONCE], scratch)
    if failures:
        stop_many(run_directory, list(failures))
    return failures


def _write_bundle(
    run_directory: Path,
    definition: StartProcess,
    namespace_path: NamespacePath,
    shown: Sequence[str],
    files: Mapping[str, Path],
) -> Records:
    records = Records.of(run_directory, definition.container)
    root = _checked_root(definition)
    who = runtime_bundle.identity(definition.user, root)
    configuration = runtime_bundle.configuration(
        definition,
        who,
        root=str(root) if definition.rootfs else "rootfs",
        cgroup=f"/netapply-{run_directory.name}-{records.container_id}",
        namespace_path=namespace_path(definition.namespace) if definition.namespace else None,
        host_mounts=[path for path in shown if path not in runtime_bundle.SCRATCH],
        files=files,
    )
    draft = records.aside("new")
    shutil.rmtree(draft, ignore_errors=True)
    for directory in (bundles_directory(run_directory), records.path.parent, draft):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not definition.rootfs:
        (draft / "rootfs").mkdir(mode=0o700)
        (draft / "layer").mkdir(mode=0o700)
    for name, content in (("config.json", configuration), ("definition.json", dataclasses.asdict(definition))):
        descriptor = os.open(draft / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(content, file)
    draft.rename(records.path)
    return records


def _checked_root(definition: StartProcess) -> Path:
    if not definition.rootfs:
        return Path("/")
    root = Path(definition.rootfs)
    if not root.is_absolute() or not root.is_dir():
        message = f"rootfs {definition.rootfs} of container {definition.container} is not a directory"
        raise NetapplyError.of(message, hint="give the full path of a directory that holds a root file system")
    return root.resolve()


def _start_some(tool: Tool, ready: Sequence[Records], scratch: Sequence[str]) -> dict[str, NetapplyError]:
    launched: list[tuple[Records, Launched]] = []
    failures: dict[str, NetapplyError] = {}

    def launch_all() -> None:
        if tool.needs_unified_cgroups and not mounts.unified_cgroups():
            mounts.cover_cgroups()
        home = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            for records in ready:
                mounts.enter_mounts(home)
                mounts.unshare_mounts()
                try:
                    monitor = launch(records.path, tool.run(records.path, records.container_id), scratch, "log", "exit")
                except OSError as error:
                    failures[records.container] = _failure(records, f"{error.filename}: {error.strerror}")
                else:
                    launched.append((records, monitor))
        finally:
            os.close(home)

    try:
        mounts.PrivateMounts(launch_all).finish()
        waiting = [records for records, monitor in launched if _release(records, monitor, failures)]
    except PermissionError as error:
        message = f"cannot make a mount namespace: {error.strerror}"
        raise NetapplyError.of(message, hint="run as root (CAP_SYS_ADMIN is needed)") from None
    finally:
        for _, monitor in launched:
            monitor.close()
    return failures | _await_starts(waiting)


def _release(records: Records, monitor: Launched, failures: dict[str, NetapplyError]) -> bool:
    """Write down who the monitor is, then let it go on."""
    identified = monitor.identify(START_SECONDS)
    if identified is None:
        failures[records.container] = _failure(records, "its monitor did not start")
        return False
    records.record("monitor", identified)
    monitor.release()
    return True


def _await_starts(waiting: list[Records]) -> dict[str, NetapplyError]:
    failures: dict[str, NetapplyError] = {}
    deadline = time.monotonic() + START_SECONDS
    while waiting:
        late = time.monotonic() > deadline
        still: list[Records] = []
        for records in waiting:
            outcome = "it did not start in time" if late else _progress(records)
            if outcome is None:
                still.append(records)
            elif outcome:
                failures[records.container] = _failure(records, outcome)
        waiting = still
        if waiting:
            time.sleep(_POLL_SECONDS)
    return failures


def _progress(records: Records) -> str | None:
    """None: not yet known; empty: the command began, and that is now written down; else what went wrong."""
    pid = records.runtime_pid()
    status = process_status(pid) if pid else None
    if pid and status and status.state not in "ZX" and _runs_the_command(pid, status.parent):
        records.record("process", Identified(pid, status.started))
        return ""
    monitor = records.monitor()
    ended = monitor is None or not monitor.alive()
    if records.exit_code() is None and not ended:
        return None
    errors = error_lines(records.runtime_log())
    if errors or records.exit_code() is None:
        return "; ".join(errors[-_LINES:]) or "its monitor was killed"
    records.record("process")
    return ""


def _runs_the_command(pid: int, parent: int) -> bool:
    """Whether the container's first process has left the runtime's code for the command's."""
    own = command_line(pid)
    return bool(own) and own != command_line(parent) and not own.endswith(b"\0init\0")


def _failure(records: Records, why: str) -> NetapplyError:
    with suppress(FileNotFoundError):
        written = records.log.read_text(errors="replace").splitlines()[-_LINES:]
        why = "\n  ".join([why, *(line for line in written if line not in why)])
    hint = "command, working_dir, user and rootfs must fit together: the command's file must stand in its root"
    return NetapplyError.of(f"cannot start the command of {records.container}: {why}", hint=hint)


def stop(run_directory: Path, container: str, grace: float = GRACE_SECONDS) -> None:
    """End the command of ``stack/name`` and remove everything of it; nothing to do is fine."""
    stop_many(run_directory, [container], grace)


def stop_many(run_directory: Path, containers: Sequence[str], grace: float = GRACE_SECONDS) -> None:
    """End these commands, those that handle SIGTERM with up to ``grace`` seconds for it, and remove their files.

    Raises NetapplyError where a process survives.
    """
    present = [records for name in containers if (records := Records.of(run_directory, name)).path.exists()]
    if any(not _ended(records) for records in present):
        found = search(bundles_directory(run_directory))
        _end_commands(present, found, grace)
        _end_runtimes(present, found)
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


def _end_commands(present: Iterable[Records], found: Mapping[str, Found], grace: float) -> None:
    commands = {command for records in present for command in _commands(records, found.get(str(records.path), Found()))}
    # The first process of a PID namespace does not even see a signal that it does not handle
    # (pid_namespaces(7)): waiting would be in vain.
    asked = [command for command in commands if _handles(command.pid, signal.SIGTERM)]
    for command in asked:
        signal_process(command, signal.SIGTERM)
    killed = commands.difference(asked)
    for command in killed:
        signal_process(command, signal.SIGKILL)
    for command in wait_for_end(asked, grace):
        signal_process(command, signal.SIGKILL)
    _insist(wait_for_end(commands, _AFTER_KILL_SECONDS))


def _commands(records: Records, found: Found) -> list[Identified]:
    """The first process of the container, as written down, or as found where the start was interrupted."""
    command = records.process()
    if command is not None:
        return [command] if command.alive() else []
    pid = records.runtime_pid()
    status = process_status(pid) if pid else None
    written = [Identified(pid, status.started)] if pid and status and _first_of_namespace(pid) else []
    return [*written, *found.children]


def _end_runtimes(present: Iterable[Records], found: Mapping[str, Found]) -> None:
    runtimes = [process for records in present for process in found.get(str(records.path), Found()).runtimes]
    for process in wait_for_end(runtimes, _AFTER_KILL_SECONDS):
        signal_process(process, signal.SIGKILL)
    _insist(wait_for_end(runtimes, _AFTER_KILL_SECONDS))


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
            subprocess.run(arguments, env=CLEAN_ENVIRONMENT, capture_output=True, timeout=10, check=False)  # noqa: S603 - our own argument list

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
