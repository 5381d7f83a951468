"""Reach a running container: run a command beside its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reconciler.errors import NetapplyError
from reconciler.kernel import mounts
from reconciler.kernel.runtime_records import Records
from reconciler.kernel.runtime_tool import find_tool

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
