"""The detached monitor of one command, and the processes that it started.

A monitor is a shell that waits for the OCI runtime in the foreground and writes down the exit
status. It lives in a private mount namespace that holds the container's root file system, so that
nothing is left mounted when the last process of the two is gone, however they went.
"""

from __future__ import annotations

import os
import select
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.kernel import mounts
from reconciler.kernel.processes import (
    Identified,
    ProcessStatus,
    command_line,
    is_like_us,
    process_status,
    spawn_detached,
)

# 3: the exit status; 4: our process id to the starter; 5: the starter's word to go on, whose end
# without a word means that the starter died before it had written down who we are.
_SCRIPT = 'echo $$ >&4; exec 4>&-; read -r go <&5 || exit 0; exec 5<&-; "$@" 3>&-; echo $? >&3'

_LAYER_OPTIONS = "mode=755,size=512m"


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
        """Let go of the pipes; one that was not released ends."""
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
        arguments = ["sh", "-c", _SCRIPT, "netapply-monitor", *runtime]
        spawn_detached(arguments, [null, output, output, status, hello_end, go_end])
        kept.pop_all()
        return Launched(bundle, hello, go)


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

    A monitor and its runtime are known by their arguments, which no other process of ours has.
    """
    statuses: dict[int, ProcessStatus] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - only the names are wanted
        if name.isdigit() and (status := process_status(int(name))) is not None:
            statuses[int(name)] = status
    mark = b"\0--bundle\0" + os.fsencode(bundles) + b"/"
    homes: dict[int, str] = {}
    for pid in statuses:
        _, found, rest = command_line(pid).partition(mark)
        if found and is_like_us(pid):
            homes[pid] = f"{bundles}/{os.fsdecode(rest.partition(bytes(1))[0])}"
    result: dict[str, Found] = {}
    for pid, status in statuses.items():
        process = Identified(pid, status.started)
        if pid in homes:
            result.setdefault(homes[pid], Found()).runtimes.append(process)
        elif status.parent in homes:
            result.setdefault(homes[status.parent], Found()).children.append(process)
    return result
