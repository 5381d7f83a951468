"""Reach a container's command: run another one beside it, read what it wrote."""

from __future__ import annotations

import errno
import io
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from reconciler.errors import NetapplyError
from reconciler.kernel import mounts
from reconciler.kernel.runtime_records import Records
from reconciler.kernel.runtime_tool import find_tool

_FOLLOW_SECONDS = 0.1
_BLOCK = 65536
_UNDER_CGROUP2 = 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'


def exec_argv(run_directory: Path, container: str, command: Sequence[str], *, terminal: bool = False) -> list[str]:
    """The argument list that runs ``command`` inside the running ``stack/name`` and exits with its status.

    For os.execvp, so that signals and the terminal reach it. ``terminal``: give it a terminal.
    Raises NetapplyError where that container runs no command, or no runtime is installed.
    """
    records = Records.of(run_directory, container)
    process = records.process()
    if process is None or not process.alive():
        message = f"the command of container {container} is not running"
        raise NetapplyError.of(message, hint="netapply ps shows its state, netapply logs what it wrote")
    tool = find_tool(run_directory)
    arguments = tool.execute(records.container_id, command, terminal=terminal)
    if tool.needs_unified_cgroups and not mounts.unified_cgroups():
        return ["unshare", "--mount", "--propagation", "slave", "sh", "-c", _UNDER_CGROUP2, "netapply", *arguments]
    return arguments


def sandbox_exec_argv(namespace_path: Path, command: Sequence[str]) -> list[str]:
    """The same for a container without a command: in its network, with its files of /etc/netns, else the host's."""
    return ["ip", "netns", "exec", namespace_path.name, *command]


def logs(run_directory: Path, container: str, *, follow: bool = False) -> Iterator[bytes]:
    """What the command of ``stack/name`` wrote, in blocks; ``follow``: until the command has ended.

    Of a long log the agent gives the oldest part back (agent/logs.py): it begins with the first whole line left.
    Raises NetapplyError where it has none, at once and not when the first block is asked for.
    """
    records = Records.of(run_directory, container)
    try:
        file = records.log.open("rb", buffering=0)
    except FileNotFoundError:
        message = f"container {container} has no command, so there is no log"
        raise NetapplyError.of(message, hint="give it a command: in the manifest") from None

    def blocks() -> Iterator[bytes]:
        with file:
            while True:
                # Asked before reading: what it wrote before its end is then read after it.
                process = records.process()
                more = follow and process is not None and process.alive()
                while block := _next_block(file):
                    yield block
                if not more:
                    return
                time.sleep(_FOLLOW_SECONDS)

    return blocks()


def _next_block(file: io.FileIO) -> bytes:
    """The next bytes that are left of the log; where some before them are gone, from the start of a line."""
    position = file.tell()
    try:
        left = os.lseek(file.fileno(), position, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:  # which says that no data follows
            raise
        return b""
    block = file.read(_BLOCK)
    if left > position:
        _, found, rest = block.partition(b"\n")
        return rest if found and rest else block
    return block
