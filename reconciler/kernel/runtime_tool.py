"""The OCI runtime of this machine, and its argument lists."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import NetapplyError
from reconciler.kernel.processes import CLEAN_ENVIRONMENT


@dataclass(frozen=True, slots=True)
class Tool:
    """A runtime: ``name`` is crun or runc, ``path`` where it stands, ``state`` its directory for one host."""

    name: str
    path: str
    state: Path

    def _global(self) -> list[str]:
        # The command's namespaces hold all that it starts, so crun can do without a control group;
        # runc cannot.
        own = ["--cgroup-manager=disabled"] if self.name == "crun" else []
        return [self.path, "--root", str(self.state), *own]

    @property
    def needs_unified_cgroups(self) -> bool:
        """Whether it refuses to work where /sys/fs/cgroup mixes versions."""
        return self.name == "crun"

    def run(self, bundle: Path, container_id: str) -> list[str]:
        """Run the container of ``bundle`` in the foreground."""
        log = ["--log", str(bundle / "runtime.log"), "--log-format", "json"]
        place = ["--bundle", str(bundle), "--pid-file", str(bundle / "pid")]
        return [*self._global(), *log, "run", *place, container_id]

    def execute(self, container_id: str, command: Sequence[str], *, terminal: bool) -> list[str]:
        """Run a command in a running container."""
        tty = ["--tty"] if terminal else []
        return [*self._global(), "exec", *tty, container_id, *command]

    def delete(self, container_id: str) -> list[str]:
        """Forget a container, whatever its state."""
        return [*self._global(), "delete", "--force", container_id]


def find_tool(run_directory: Path) -> Tool:
    """crun, else runc. Raises NetapplyError where neither is installed."""
    for name in ("crun", "runc"):
        path = shutil.which(name, path=CLEAN_ENVIRONMENT["PATH"])
        if path:
            return Tool(name, path, run_directory / "oci")
    message = "a container's command needs an OCI runtime, and neither crun nor runc is installed"
    raise NetapplyError.of(message, hint="install the package crun (apt install crun)")


def error_lines(log: str) -> list[str]:
    """The messages of level error in a runtime's JSON log."""
    messages = []
    for line in log.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            messages.append(line)
            continue
        if isinstance(entry, dict) and entry.get("level", "error") == "error":
            messages.append(str(entry.get("msg", "")))
    return [message for message in messages if message]
