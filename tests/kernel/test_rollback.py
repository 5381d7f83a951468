"""What a rollback puts back stays, and what ends by itself meanwhile is no reason for one."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import termios
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


def test_ctrl_c_in_the_middle_takes_everything_back(host: Host) -> None:
    containers = "".join(f"  c{number}: {{ports: ['80']}}\n" for number in range(150))
    path = host.write("a.yaml", f"name: many\ncontainers:\n{containers}")
    before = host.snapshot()
    # A reader that is slow holds the run up in its middle: no more than a page of what it says finds room.
    process = subprocess.Popen(
        # A shell ignores SIGINT for what it starts in the background, and the tests may be just that.
        ["env", "--default-signal=INT", *host.command("up", str(path))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=host.environment(),
    )
    assert process.stdout is not None
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
    waiting = process.stdout.fileno()
    until(lambda: _readable(waiting) > 3000, "it waits for its reader")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"+ many/c0: eth0" in out
    assert b"undone: - many/c0: container with a network of its own" in out
    assert b"Done" not in out
    assert b"\ninterrupted: undoing what can be undone" in err
    assert err.endswith(
        b"error: interrupted, so what was not complete is undone\n  hint: the same command does it again\n"
    )
    host.lab.note_processes()
    assert host.snapshot() == before


def _readable(pipe: int) -> int:
    """How many bytes wait in the pipe, ioctl_pipe(2)."""
    return int(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0])
