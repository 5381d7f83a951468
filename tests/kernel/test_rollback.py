"""What a rollback puts back stays, and what ends by itself meanwhile is no reason for one."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from reconciler.kernel.host import Host as NetapplyHost
from reconciler.kernel.machine import Machine
from reconciler.plan.change import Create, Delete
from reconciler.plan.plan import Stage, Step
from reconciler.resources.endpoint import Endpoint
from tests.kernel.watching import until

if TYPE_CHECKING:
    from tests.kernel.lab import Host

BEFORE = "containers: {one: {network_mode: none, command: [sleep, '300'], restart: always}}\n"
AFTER = "containers: {two: {network_mode: none}}\n"


def test_a_command_that_ended_can_be_taken_out(host: Host) -> None:
    host.write("a.yaml", BEFORE)
    host.netapply("up", "a.yaml")
    os.kill(host.ps()[0]["pid"], signal.SIGKILL)
    until(lambda: host.ps()[0]["pid"] is None, "it ended")
    host.write("a.yaml", AFTER)
    host.netapply("up", "a.yaml")
    assert [each["name"] for each in host.ps()] == ["two"]


def test_a_link_that_is_put_back_is_not_waited_for_to_vanish(host: Host) -> None:
    def replaced() -> float:
        machine = Machine(NetapplyHost("", "1"))
        link = Endpoint("s", "s/c", "eth0", "lo", "n", "b", "02:00:00:00:00:01", "")
        began = time.monotonic()
        machine._wait_for_links((Step(Stage.CLEAR, Delete(link)), Step(Stage.BUILD, Create(link))))
        return time.monotonic() - began

    # The loopback stands for the link, for it is there.
    assert host.inside(replaced) < 1
