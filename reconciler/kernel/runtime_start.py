"""Begin the commands of containers: write the bundle, launch the monitor, wait until the command runs."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from reconciler.actions import StartProcess
from reconciler.errors import NetapplyError, Problem
from reconciler.kernel import control_group, mounts, runtime_bundle
from reconciler.kernel.processes import Identified, command_line, process_status
from reconciler.kernel.runtime_monitor import Launched, launch
from reconciler.kernel.runtime_records import NamespacePath, Records, bundles_directory
from reconciler.kernel.runtime_stop import GRACE_SECONDS, stop_many
from reconciler.kernel.runtime_tool import Tool, error_lines, find_tool

START_SECONDS = 20.0
_POLL_SECONDS = 0.002
_AT_ONCE = 32
"""Starts in flight together: more would only wait for each other."""

_LINES = 5
_LONGEST_END = 8192


def start_many(
    run_directory: Path,
    definitions: Sequence[StartProcess],
    namespace_path: NamespacePath,
    files: Mapping[str, Mapping[str, Path]],
    patience: float,
) -> dict[str, NetapplyError]:
    """As ``runtime.start_many`` says."""
    tool = find_tool(run_directory)
    stop_many(run_directory, [definition.container for definition in definitions], GRACE_SECONDS)
    failures: dict[str, NetapplyError] = {}
    shown = runtime_bundle.submounts(Path("/proc/thread-self/mountinfo").read_text(errors="surrogateescape"))
    scratch = [path for path in shown if path in runtime_bundle.SCRATCH]
    for wave in _waves(definitions):
        ready: list[Records] = []
        for definition in wave:
            try:
                of_container = files.get(definition.container, {})
                ready.append(_write_bundle(run_directory, definition, namespace_path, shown, of_container))
            except NetapplyError as failure:
                failures[definition.container] = failure
        for first in range(0, len(ready), _AT_ONCE):
            failures |= _start_some(tool, ready[first : first + _AT_ONCE], scratch, min(patience, START_SECONDS))
    if failures:
        stop_many(run_directory, list(failures), 0.0)
    return failures


def _waves(definitions: Sequence[StartProcess]) -> Iterator[list[StartProcess]]:
    """Those that need no other one of them, then those that share a namespace of one that runs by then."""
    waiting = list(definitions)
    while waiting:
        names = {definition.container for definition in waiting}
        ready = [each for each in waiting if not names & {container for _, container in each.shared}]
        # Two that need each other cannot start; the first to be tried says so.
        yield ready or waiting
        waiting = [each for each in waiting if each not in ready] if ready else []


def _shared_namespaces(run_directory: Path, definition: StartProcess) -> dict[str, Path | None]:
    """By kind, the namespace of the running command that it shares; None: the host's. Raises NetapplyError."""
    found: dict[str, Path | None] = {}
    for kind, container in definition.shared:
        process = Records.of(run_directory, container).process() if container else None
        if container and (process is None or not process.alive()):
            message = f"{kind} of {definition.container} is that of {container}, whose command does not run"
            raise NetapplyError.of(message, hint=f"its end is in: netapply logs {container}")
        found[kind] = Path(f"/proc/{process.pid}/ns/{kind}") if process else None
    return found


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
        shared=_shared_namespaces(run_directory, definition),
    )
    draft = records.aside("new")
    shutil.rmtree(draft, ignore_errors=True)
    for directory in (bundles_directory(run_directory), records.path.parent, draft):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not definition.rootfs:
        (draft / "rootfs").mkdir(mode=0o700)
        (draft / "layer").mkdir(mode=0o700)
    contents = {
        "config.json": configuration,
        "definition.json": dataclasses.asdict(definition),
        "files.json": {str(path): path.stat().st_ino for path in files.values()},
    }
    for name, content in contents.items():
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


def _start_some(
    tool: Tool, ready: Sequence[Records], scratch: Sequence[str], patience: float
) -> dict[str, NetapplyError]:
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
    return failures | _await_starts(waiting, patience)


def _release(records: Records, monitor: Launched, failures: dict[str, NetapplyError]) -> bool:
    """Write down who the monitor is, then let it go on."""
    identified = monitor.identify(START_SECONDS)
    if identified is None:
        failures[records.container] = _failure(records, "its monitor did not start")
        return False
    records.record("monitor", identified)
    # Now, for what it starts is born where it is.
    control_group.settle(identified.pid)
    monitor.release()
    return True


def _await_starts(waiting: list[Records], patience: float) -> dict[str, NetapplyError]:
    """``patience``: seconds in which at least one of them must get further."""
    failures: dict[str, NetapplyError] = {}
    deadline = time.monotonic() + patience
    while waiting:
        late = time.monotonic() > deadline
        still: list[Records] = []
        for records in waiting:
            outcome = "it did not start in time" if late else _progress(records)
            if outcome is None:
                still.append(records)
            elif outcome:
                failures[records.container] = _failure(records, outcome)
        if len(still) < len(waiting):
            deadline = time.monotonic() + patience
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
    written: list[str] = []
    with suppress(FileNotFoundError):
        written = _end_of(records.log).splitlines()[-_LINES:]
    hint = "command, working_dir, user and rootfs must fit together: the command's file must stand in its root"
    message = f"cannot start the command of {records.container}: {why}"
    return NetapplyError([Problem(message, hint=hint, details=tuple(line for line in written if line not in why))])


def _end_of(log: Path) -> str:
    """Its last lines: a command may have made it as large as it likes."""
    with log.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _LONGEST_END))
        return file.read(_LONGEST_END).decode(errors="replace")
