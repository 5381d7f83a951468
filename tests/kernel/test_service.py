"""`netapply install-service` under a real systemd."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.service_files import RULE_PATHS, UNIT_PATHS, WATCH_UNIT
from reconciler.kernel.control_group import UNIT_NAME as PROCESSES_UNIT
from tests.kernel.booted import Booted
from tests.kernel.talk import Connection, Server
from tests.kernel.watching import until

SHOP = """
name: shop
networks: {front: {ipam: {config: [{subnet: 172.30.1.0/24}]}}}
containers:
  web: {networks: [front], ports: ["8080:80"], command: [sleep, infinity], restart: always}
"""
HASTY = "[Service]\nWatchdogSec=4\nRestartSec=0.1\n"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    """It has a directory of manifests with a stack, and no service yet."""
    booted = Booted(tmp_path_factory.mktemp("booted"))
    try:
        (booted.folder / "manifests").mkdir()
        (booted.folder / "manifests/shop.yaml").write_text(SHOP)
        yield booted
    finally:
        booted.close()


@pytest.fixture
def installed(machine: Booted) -> Iterator[Booted]:
    """The service runs there; after the test nothing does."""
    machine.netapply("install-service", str(machine.folder / "manifests"))
    yield machine
    machine.netapply("install-service", "--remove")
    machine.netapply("down", "-p", "shop")


@pytest.fixture
def talking(installed: Booted) -> Iterator[Connection]:
    """A connection through the published port."""
    server = Server(installed.outside("run/netns/shop.web"), "web", [80], ["tcp"], ["0.0.0.0"])
    connection = Connection(installed.network, "127.0.0.1", 8080)
    yield connection
    connection.close()
    server.close()


def watcher(machine: Booted) -> int:
    """Its process, as numbered there; 0: none."""
    return int(machine.unit(WATCH_UNIT, "MainPID"))


def wait_for_successor(machine: Booted, before: int) -> None:
    """Until there is a watcher other than that one, and it is ready."""
    until(lambda: watcher(machine) not in {0, before}, "a new watcher")
    until(lambda: machine.unit(WATCH_UNIT, "SubState") == "running", "it is ready")


def commands(machine: Booted) -> set[int]:
    """All that goes on without the watcher: the agent, a command, its monitor and its runtime; one keeps the group."""
    until(lambda: len(machine.processes(PROCESSES_UNIT)) == 5, "all of them")
    return machine.processes(PROCESSES_UNIT)


def test_it_is_installed_and_ready(installed: Booted) -> None:
    assert installed.unit(WATCH_UNIT, "SubState") == "running"
    assert "shop  in sync" in installed.netapply("status").stdout
    assert installed.run("systemctl", "is-enabled", WATCH_UNIT).stdout == "enabled\n"
    assert all(installed.outside(path).is_file() for path in (*UNIT_PATHS, *RULE_PATHS))
    assert {installed.outside(path).stat().st_mode & 0o777 for path in ("run/netns", "etc/netns")} == {0o755}
    assert installed.processes(WATCH_UNIT) == {watcher(installed)}
    assert commands(installed)


def test_what_runs_goes_on_whatever_becomes_of_the_watcher(installed: Booted, talking: Connection) -> None:
    before = commands(installed)
    installed.write_unit(f"{WATCH_UNIT}.d/hasty.conf", HASTY)
    installed.run("systemctl", "stop", WATCH_UNIT)
    assert commands(installed) == before
    assert talking.alive()
    installed.run("systemctl", "start", WATCH_UNIT)
    for signal in ("KILL", "STOP"):  # the latter is for systemd's watchdog
        process = watcher(installed)
        installed.run("kill", f"-{signal}", str(process))
        wait_for_successor(installed, process)
        assert commands(installed) == before
        assert talking.alive()
    process = watcher(installed)
    installed.run("systemctl", "kill", "--signal=KILL", WATCH_UNIT)
    wait_for_successor(installed, process)
    assert commands(installed) == before
    process = watcher(installed)
    installed.run("systemctl", "reload", WATCH_UNIT)
    # An idle watcher says that it lives, and that it has reloaded.
    time.sleep(4.5)
    assert watcher(installed) == process
    assert installed.unit(WATCH_UNIT, "SubState") == "running"
    assert "eft-over process" not in installed.console()


def test_the_commands_unit_ends_them_and_leaves_the_network(installed: Booted) -> None:
    installed.write_unit(f"{PROCESSES_UNIT}.d/hasty.conf", "[Service]\nTimeoutStopSec=0.2\n")
    before = commands(installed)
    links = installed.run("ip", "-brief", "link").stdout
    installed.run("systemctl", "stop", PROCESSES_UNIT)
    assert watcher(installed) == 0
    assert not any(Path(f"/proc/{installed.init}/root/proc/{each}").exists() for each in before)
    assert installed.run("ip", "-brief", "link").stdout == links
    installed.run("systemctl", "start", WATCH_UNIT)
    assert not commands(installed) & before


def test_removing_it_leaves_what_runs(installed: Booted, talking: Connection) -> None:
    before = commands(installed)
    installed.netapply("install-service", "--remove")
    assert not any(installed.outside(path).exists() for path in (*UNIT_PATHS, *RULE_PATHS))
    assert talking.alive()
    assert commands(installed) == before
    installed.netapply("install-service", str(installed.folder / "manifests"))
    assert commands(installed) == before
