"""Killed at any moment, or refused anything: `up` converges, and `down` leaves the host as it was."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernel.changes import assert_unchanged
from tests.kernel.lab import Host, Lab, Snapshot

OTHER = "name: other\nnetworks: {shared: {name: shared}}\ncontainers: {other: {networks: [shared]}}\n"
"""A stack that stands all the time and must not notice anything."""
EVERYTHING = """
name: shop
networks:
  front:
    enable_ipv6: true
    ipam: {config: [{subnet: 172.30.1.0/24}, {subnet: "fd30:1::/64"}]}
  back: {internal: true}
  apart:
    driver_opts: {com.docker.network.bridge.enable_icc: "false"}
  shared: {external: true}
containers:
  web:
    networks: {front: {ipv4_address: 172.30.1.10}, back: {interface_name: inner}}
    ports: ["8080:80", "8081:81/udp", "82"]
    sysctls: {net.ipv4.ip_unprivileged_port_start: "70"}
    command: [sleep, "600"]
    environment: {SECRET: canary}
  app:
    networks: [back, apart, shared]
    command: [sleep, "600"]
  sandbox:
    networks: [apart]
"""
CHANGED = (
    EVERYTHING.replace("172.30.1.", "172.30.7.")
    .replace('"8080:80", ', '"9080:80", "9090:90", ')
    .replace("networks: [back, apart, shared]", "networks: [front, apart]")
    .replace("  sandbox:", "  newcomer:")
    .replace("{SECRET: canary}", "{SECRET: another}")
)


@dataclass
class World:
    """A host with another stack up, as it shall be again after each ``down``."""

    host: Host
    tally: Path
    before: Snapshot

    def netapply(self, mode: str, number: int, command: str, file: str) -> subprocess.CompletedProcess[str]:
        """Run a command with a fault."""
        arguments = [mode, str(number), str(self.tally), "-n", self.host.name, command, file]
        self.tally.unlink(missing_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "tests.kernel.faulty", *arguments],
            check=False,
            cwd=self.host.folder,
            env=self.host.environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.host.lab.note_processes()
        return done

    def prepare(self, scenario: str) -> tuple[str, str]:
        """Bring the host to where the scenario begins; the command and the file that it is about."""
        if scenario == "up":
            return "up", "shop.yaml"
        self.host.netapply("up", "shop.yaml")
        return ("up", "changed.yaml") if scenario == "change" else ("down", "shop.yaml")

    def finish(self) -> None:
        """Down, and nothing is left."""
        self.host.netapply("down", "-p", "shop")
        assert_unchanged(self.before, self.host.snapshot())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("faults")
    lab = Lab(folder)
    try:
        host = lab.host()
        for program in ("iptables", "ip6tables"):
            host.run([program, "-w", "-P", "FORWARD", "DROP"])
        for name, text in (("other", OTHER), ("shop", EVERYTHING), ("changed", CHANGED)):
            host.write(f"{name}.yaml", text)
        host.netapply("up", "other.yaml")
        yield World(host, folder / "tally", host.snapshot())
    finally:
        lab.close()


def count(world: World, mode: str, scenario: str) -> int:
    """How many places for a fault there are."""
    command, file = world.prepare(scenario)
    done = world.netapply(mode, 0, command, file)
    assert done.returncode == 0, done.stdout + done.stderr
    number = int(world.tally.read_text())
    world.finish()
    return number


def strike(world: World, mode: str, scenario: str, number: int) -> None:
    """One fault, and what must be true afterwards."""
    host = world.host
    command, file = world.prepare(scenario)
    standing = host.snapshot()
    done = world.netapply(mode, number, command, file)
    where = f"{mode} {scenario} {number}:\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr, where
    if mode == "kill":
        # A run that had to wait less for others, its agent for instance, has a few places less.
        missed = done.returncode == 0 and int(world.tally.read_text()) < number
        assert missed or done.returncode == -9, where
    elif done.returncode == 0:
        # What was refused did no harm, such as a second look at something.
        assert command == "down" or host.plan(file) == [], where
    elif scenario == "up":
        # Everything in it can be undone, so nothing of it is left.
        difference = standing.difference(host.snapshot())
        assert not difference, "\n".join([where, *difference[:20]])
    # What the host shares may be half done, and was reported so; the other stack is whole.
    assert not [change for change in host.plan("other.yaml") if change["stack"] != "host"], where
    if command == "up" and number % 2:
        again = host.netapply("up", file, check=False)
        assert again.returncode == 0, f"{where}{again.stdout}{again.stderr}"
        assert host.plan(file) == [], where
    try:
        world.finish()
    except AssertionError as error:
        raise AssertionError(f"{where}\n{error}") from None


def sample(total: int, wanted: int) -> list[int]:
    """Numbers from 1 to ``total``, evenly spread, odd and even ones."""
    return sorted({1 + place * (total - 1) // (wanted - 1) for place in range(wanted)})


SCENARIOS = ["up", "change", "down"]
MODES = ["kill", "fail"]


@pytest.mark.founding("S2-32")
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("mode", MODES)
def test_some_faults(world: World, mode: str, scenario: str) -> None:
    total = count(world, mode, scenario)
    assert total > 20
    for number in sample(total, 3):
        strike(world, mode, scenario, number)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("mode", MODES)
def test_every_fault(world: World, mode: str, scenario: str) -> None:
    faults = []
    for number in range(1, count(world, mode, scenario) + 1):
        try:
            strike(world, mode, scenario, number)
        except AssertionError as error:
            faults.append(str(error))
            world.host.netapply("up", "other.yaml", check=False)
            world.host.netapply("down", "-p", "shop", check=False)
            world.before = world.host.snapshot()
    assert not faults, f"{len(faults)} faults\n" + "\n\n".join(faults)
