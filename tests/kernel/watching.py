"""A watcher at work on a throwaway host."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kernel import prepared
from tests.kernel.lab import Host

PATIENCE = 60.0


def until(condition: Callable[[], object], what: str | Callable[[], str] = "", patience: float = PATIENCE) -> float:
    """Wait until it holds; how long that took, in seconds."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > patience:
            pytest.fail(f"still not after {patience} s: {what() if callable(what) else what or condition}")
        time.sleep(0.005)
    return time.monotonic() - began


class Watcher:
    """``netapply watch`` over ``directory`` of the host's folder; killed at the end of the test."""

    def __init__(
        self,
        host: Host,
        *options: str,
        directory: str = "manifests",
        environment: dict[str, str] | None = None,
        beforehand: str = "",
        firewall: str = "auto",
    ) -> None:
        """``beforehand`` is Python code that runs in the watcher's process before it begins."""
        self.host = host
        self.folder = host.folder / directory
        self.folder.mkdir(exist_ok=True)
        self.log_path = host.folder / f"watch-{time.monotonic_ns()}.log"
        words = ["-n", host.name, "--log-format", "json", "-v", "--firewall", firewall, "watch", directory, *options]
        given = host.environment() | (environment or {})
        with self.log_path.open("w") as log, Path(os.devnull).open() as nothing:
            files = [nothing.fileno(), log.fileno(), log.fileno()]
            self.process = prepared.process().start(words, host.folder, given, files, beforehand)
        host.lab.at_end(self._end)

    def wait_ready(self) -> Watcher:
        """Until the first reconcile is done."""
        until(
            lambda: self.process.poll() is not None or self.lines("nothing to do", "reconciled", "failed"), "the start"
        )
        assert self.process.poll() is None, self.log_path.read_text()
        return self

    def wait_quiet(self, seconds: float = 0.6) -> Watcher:
        """Until it has done nothing for so long."""
        last, since = self.rounds(), time.monotonic()
        deadline = since + PATIENCE
        while time.monotonic() - since < seconds:
            assert time.monotonic() < deadline, f"it never comes to rest:\n{self.log_path.read_text()[-3000:]}"
            time.sleep(0.05)
            if self.rounds() != last:
                last, since = self.rounds(), time.monotonic()
        return self

    def lines(self, *events: str) -> list[dict[str, Any]]:
        """What it logged, of these events or all."""
        # A line that is being written is seen in parts, where a page of the file ends.
        whole = self.log_path.read_text().rpartition("\n")[0]
        found = [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
        return [line for line in found if not events or line["event"] in events]

    def rounds(self) -> int:
        """How many reconciles it logged."""
        return len(self.lines("nothing to do", "reconciled", "failed"))

    def status(self) -> dict[str, Any]:
        """What it says of itself."""
        found: dict[str, Any] = json.loads(self.host.netapply("status", "--format", "json", check=False).stdout)
        return found

    def stack(self, name: str) -> dict[str, Any]:
        """What it says of one stack."""
        return next(each for each in self.status()["stacks"] if each["name"] == name)

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def _end(self) -> None:
        self.process.kill()
        self.process.wait(10)


def pins(host: Host) -> set[str]:
    """``STACK.CONTAINER`` of every sandbox on the host."""
    return {path.name.split(".", 2)[2] for path in Path("/run/netns").iterdir() if path.name.startswith("na.")}
