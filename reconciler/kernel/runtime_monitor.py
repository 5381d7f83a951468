"""The detached monitor of one command, and the processes that it started.

A monitor is a shell that waits for the OCI runtime in the foreground and writes down the exit
status. It lives in a private mount namespace that holds the container's root file system, so that
nothing is left mounted when the last process of the two is gone, however they went.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.kernel import mounts

CLEAN_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}

# 3: the exit status; 4: our process id to the starter; 5: the starter's word to go on, whose end
# without a word means that the starter died before it had written down who we are.
_SCRIPT = 'echo $$ >&4; exec 4>&-; read -r go <&5 || exit 0; exec 5<&-; "$@" 3>&-; echo $? >&3'

# What Python ignores would stay ignored in the container's command.
_DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM)
_LAYER_OPTIONS = "mode=755,size=512m"


@dataclass(frozen=True, slots=True)
class Identified:
    """A process that cannot be mistaken for a later one of the same id: ``started`` in clock ticks since boot."""

    pid: int
    started: int

    def alive(self) -> bool:
        """Whether it still runs; one that only waits to be reaped does not."""
        status = process_status(self.pid)
        return status is not None and status.started == self.started and status.state not in "ZX"


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """Fields of proc_pid_stat(5)."""

    state: str
    parent: int
    session: int
    started: int


def process_status(pid: int) -> ProcessStatus | None:
    """What /proc says of it; None where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - read for every container of a host
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may itself hold spaces and parentheses.
    fields = text[text.rindex(b")") + 2 :].split()
    return ProcessStatus(fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]))


def command_line(pid: int) -> bytes:
    """Its arguments, each ended by NUL; empty where there is no such process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@dataclass(slots=True)
class Launched:
    """A monitor that waits for the word to go on. ``close`` without ``release`` ends it."""

    bundle: Path
    _hello: int
    _go: int

    def identify(self, timeout: float) -> Identified | None:
        """The monitor's process, once it has said its number; None if it did not within ``timeout`` seconds."""
        poll = select.poll()
        poll.register(self._hello, select.POLLIN)
        word = os.read(self._hello, 32) if poll.poll(timeout * 1000) else b""
        status = process_status(int(word)) if word.strip().isdigit() else None
        return Identified(int(word), status.started) if status else None

    def release(self) -> None:
        """Let it run the command."""
        os.write(self._go, b"go\n")

    def close(self) -> None:
        os.close(self._hello)
        os.close(self._go)


def launch(bundle: Path, runtime: list[str], scratch: Iterable[str], log: str, exit_file: str) -> Launched:
    """Start the monitor of ``bundle`` from the calling thread's (private) mount namespace.

    ``runtime`` is the argument list that runs the container in the foreground; ``scratch`` are the
    host's mount points that its root shows copy-on-write. Raises OSError.
    """
    os.chdir(bundle)
    os.umask(0o077)
    _mount_root(bundle, scratch)
    with ExitStack() as kept, ExitStack() as handed:
        hello, hello_end = os.pipe()
        kept.callback(os.close, hello)
        handed.callback(os.close, hello_end)
        go_end, go = os.pipe()
        kept.callback(os.close, go)
        handed.callback(os.close, go_end)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        handed.callback(os.close, null)
        output = os.open(log, flags, 0o600)
        handed.callback(os.close, output)
        status = os.open(exit_file, flags, 0o600)
        handed.callback(os.close, status)
        _spawn([null, output, output, status, hello_end, go_end], runtime)
        kept.pop_all()
        return Launched(bundle, hello, go)


def _spawn(descriptors: list[int], runtime: list[str]) -> None:
    """Run the monitor with ``descriptors`` as its 0, 1, 2, …, in a session of its own, nobody's child."""
    # Out of the way of the numbers that they get: dup2 would close one that is still to be copied.
    high = [os.dup(descriptor) for descriptor in descriptors]
    high = [_above(descriptor, len(descriptors)) for descriptor in high]
    actions = [(os.POSIX_SPAWN_DUP2, descriptor, number) for number, descriptor in enumerate(high)]
    arguments = ["setsid", "--fork", "sh", "-c", _SCRIPT, "netapply-monitor", *runtime]
    try:
        pid = os.posix_spawnp(
            "setsid",
            arguments,
            CLEAN_ENVIRONMENT,
            file_actions=actions,
            setsigmask=[],
            setsigdef=_DEFAULT_SIGNALS,
        )
    finally:
        for descriptor in high:
            os.close(descriptor)
    os.waitpid(pid, 0)


def _above(descriptor: int, least: int) -> int:
    if descriptor >= least:
        return descriptor
    import fcntl  # noqa: PLC0415 - only where the starter runs with its standard streams closed

    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, least)
    os.close(descriptor)
    return moved


def _mount_root(bundle: Path, scratch: Iterable[str]) -> None:
    """Mount the copy-on-write view of / on ``rootfs`` of the current directory, where that stands."""
    if not (bundle / "rootfs").is_dir():
        return
    mounts.mount("netapply", "layer", "tmpfs", mounts.MS_NODEV | mounts.MS_NOSUID, _LAYER_OPTIONS)
    _overlay("/", "rootfs", "layer/root")
    for number, path in enumerate(scratch):
        _overlay(path, f"rootfs{path}", f"layer/scratch{number}")


def _overlay(lower: str, target: str, layer: str) -> None:
    upper, work = f"{layer}.upper", f"{layer}.work"
    os.mkdir(upper)  # noqa: PTH102 - relative to the thread's own directory
    os.mkdir(work)  # noqa: PTH102 - as above
    # The root directory of the view takes its mode and owner from the upper one.
    below = os.stat(lower)  # noqa: PTH116 - as above
    os.chown(upper, below.st_uid, below.st_gid)
    os.chmod(upper, below.st_mode & 0o7777)  # noqa: PTH101 - as above
    mounts.mount("netapply", target, "overlay", mounts.MS_NODEV, f"lowerdir={lower},upperdir={upper},workdir={work}")


@dataclass(slots=True)
class Found:
    """What runs of one bundle: monitor and runtime, and the children of these, the command among them."""

    runtimes: list[Identified] = field(default_factory=list)
    children: list[Identified] = field(default_factory=list)


def search(bundles: Path) -> dict[str, Found]:
    """Everything that runs of the bundles below that directory, by the bundle's path; one pass over /proc.

    A monitor and its runtime are known by their arguments, which nobody else's processes have.
    """
    statuses: dict[int, ProcessStatus] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - only the names are wanted
        if name.isdigit() and (status := process_status(int(name))) is not None:
            statuses[int(name)] = status
    mark = b"\0--bundle\0" + os.fsencode(bundles) + b"/"
    homes: dict[int, str] = {}
    for pid in statuses:
        _, found, rest = command_line(pid).partition(mark)
        if found:
            homes[pid] = f"{bundles}/{os.fsdecode(rest.partition(bytes(1))[0])}"
    result: dict[str, Found] = {}
    for pid, status in statuses.items():
        process = Identified(pid, status.started)
        if pid in homes:
            result.setdefault(homes[pid], Found()).runtimes.append(process)
        elif status.parent in homes:
            result.setdefault(homes[status.parent], Found()).children.append(process)
    return result


def signal_process(process: Identified, number: int) -> bool:
    """Send it a signal; False where it is gone."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        # The descriptor is of whoever has the id now; the start time says whether that is still ours.
        if not process.alive():
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def wait_for_end(processes: Iterable[Identified], timeout: float) -> list[Identified]:
    """Wait until all have ended, at most ``timeout`` seconds; those that have not."""
    deadline = time.monotonic() + timeout
    left = []
    for process in processes:
        try:
            descriptor = os.pidfd_open(process.pid)
        except ProcessLookupError:
            continue
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            if process.alive() and not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                left.append(process)
        finally:
            os.close(descriptor)
    return left
