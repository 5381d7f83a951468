"""The three ways to do the same work: netapply, the C floor, and ip and nft in batches."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

REPOSITORY = Path(__file__).parents[1]
PORT_BASE = 20000
HOST = "bench"
STEPS = ("up", "no-op up", "no-op plan", "container", "port", "down")
"""In this order: from nothing; twice nothing to do; one container, then one port more; everything away."""


@dataclass(frozen=True)
class Sample:
    """One timed command: wall seconds, and the largest resident set of its main process in MB."""

    seconds: float
    megabytes: float


class Contestant(Protocol):
    """Does each of the timed steps on a fresh host, the network namespace HOST. ``step`` gives None: has none such."""

    name: str

    def prepare(self, count: int, bridges: int, folder: Path) -> None:
        """Write what the steps need; not timed."""
        ...

    def step(self, name: str) -> Sample | None:
        """Do one of STEPS and time it."""
        ...


class Netapply:
    """The command as a user runs it: a fresh process each time."""

    name = "netapply"

    def prepare(self, count: int, bridges: int, folder: Path) -> None:
        self._folder = folder
        (folder / "all.yaml").write_text(manifest(count, bridges))
        (folder / "container.yaml").write_text(manifest(count + 1, bridges))
        (folder / "port.yaml").write_text(manifest(count + 1, bridges, extra_port=True))

    def step(self, name: str) -> Sample | None:
        verb, file = {
            "up": ("up", "all"),
            "no-op up": ("up", "all"),
            "no-op plan": ("plan", "all"),
            "container": ("up", "container"),
            "port": ("up", "port"),
            "down": ("down", "port"),
        }[name]
        command = [sys.executable, "-m", "reconciler", "-n", HOST, verb, str(self._folder / f"{file}.yaml")]
        return timed(command, cwd=REPOSITORY)


class Floor:
    """The kernel alone, driven by benchmarks/floor.c."""

    name = "C floor"

    def __init__(self, program: Path) -> None:
        self._program = str(program)

    def prepare(self, count: int, bridges: int, folder: Path) -> None:
        del folder
        self._count, self._bridges = str(count), str(bridges)
        self._all = str(count + 1)

    def step(self, name: str) -> Sample | None:
        match name:
            case "up":
                return timed(inside_host([self._program, "up", "0", self._count, self._bridges]))
            case "container":
                return timed(inside_host([self._program, "up", self._count, "1", self._bridges]))
            case "port":
                element = f"{{ tcp . {PORT_BASE - 1} : 10.92.0.2 . 81 }}"
                return timed(inside_host(["nft", "add", "element", "inet", "floor", "ports", element]))
            case "down":
                return timed(inside_host([self._program, "down", self._all, self._bridges]))
        return None


class Batches:
    """What a careful script does: `ip -batch`, one `ip -n NAME -batch` for each namespace, `nft -f`."""

    name = "ip -batch + nft -f"

    def prepare(self, count: int, bridges: int, folder: Path) -> None:
        self._folder = folder
        self._write("up", range(count), bridges, first=True)
        self._write("container", range(count, count + 1), bridges, first=False)
        gone = [f"netns delete batch.{i}" for i in range(count + 1)]
        (folder / "down.ip").write_text("\n".join([*gone, *(f"link delete bb{b}" for b in range(bridges)), ""]))
        waiting = "while ip -o link show type veth | grep -q .; do sleep 0.002; done"
        script = f"nft delete table inet batch\nip -batch {folder}/down.ip\n{waiting}\n"
        (folder / "down.sh").write_text(script)

    def step(self, name: str) -> Sample | None:
        if name == "port":
            element = f"{{ tcp . {PORT_BASE - 1} : 10.92.0.2 . 81 }}"
            return timed(inside_host(["nft", "add", "element", "inet", "batch", "ports", element]))
        if name.startswith("no-op"):
            return None
        return timed(inside_host(["sh", "-e", str(self._folder / f"{name}.sh")]))

    def _write(self, name: str, numbers: range, bridges: int, *, first: bool) -> None:
        folder = self._folder
        host = [f"netns add batch.{i}" for i in numbers]
        script = [f"ip -batch {folder}/{name}.ip"]
        if first:
            for b in range(bridges):
                host += [f"link add bb{b} type bridge", f"address add 10.{92 + b}.0.1/16 dev bb{b}"]
                host += [f"link set bb{b} up"]
        for i in numbers:
            bridge, address = place(i, bridges)
            host.append(f"link add bv{i} master bb{bridge} up type veth peer name eth0 netns batch.{i}")
            inside = ["link set lo up", f"address add {address}/16 dev eth0", "link set eth0 up"]
            inside += [f"route add default via 10.{92 + bridge}.0.1"]
            (folder / f"{name}.{i}.ip").write_text("\n".join([*inside, ""]))
            script.append(f"ip -n batch.{i} -batch {folder}/{name}.{i}.ip")
        script.append(f"nft -f {folder}/{name}.nft")
        (folder / f"{name}.ip").write_text("\n".join([*host, ""]))
        (folder / f"{name}.nft").write_text(ruleset(numbers, bridges, first=first))
        (folder / f"{name}.sh").write_text("\n".join([*script, ""]))


def manifest(count: int, bridges: int, *, extra_port: bool = False) -> str:
    """That many sandboxes on that many bridges, with one published port each."""
    lines = ["name: bench", "networks:"]
    for b in range(bridges):
        lines += [f"  net{b}:", f"    ipam: {{config: [{{subnet: 10.{92 + b}.0.0/16}}]}}"]
    lines.append("containers:")
    for i in range(count):
        extra = f', "{PORT_BASE - 1}:81"' if extra_port and i == 0 else ""
        lines += [f"  c{i}:", f"    networks: [net{i % bridges}]", f'    ports: ["{PORT_BASE + i}:80"{extra}]']
    return "\n".join([*lines, ""])


def place(number: int, bridges: int) -> tuple[int, str]:
    """The bridge and the address of a container of the batches, which are those of floor.c."""
    bridge, host = number % bridges, number // bridges + 2
    return bridge, f"10.{92 + bridge}.{host >> 8}.{host & 255}"


def ruleset(numbers: range, bridges: int, *, first: bool) -> str:
    """One map of published ports."""
    nat = "fib daddr type local dnat ip to meta l4proto . th dport map @ports"
    table = f"""table inet batch {{
 map ports {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
 chain pre {{ type nat hook prerouting priority -101; {nat}; }}
 chain out {{ type nat hook output priority -101; {nat}; }}
 chain post {{ type nat hook postrouting priority 99; ip saddr 10.92.0.0/15 ip daddr != 10.92.0.0/15 masquerade; }}
}}
"""
    elements = ", ".join(f"tcp . {PORT_BASE + i} : {place(i, bridges)[1]} . 80" for i in numbers)
    return (table if first else "") + f"add element inet batch ports {{ {elements} }}\n"


def inside_host(command: Sequence[str]) -> list[str]:
    """The command, run in the throwaway host (1 ms more, for both that are measured so)."""
    return ["nsenter", f"--net=/run/netns/{HOST}", "--", *command]


def timed(command: Sequence[str], cwd: Path | None = None) -> Sample:
    """Run it to its end. Raises RuntimeError with what it printed, if it fails."""
    # Into a file, not a pipe: a daemon that the command leaves behind would keep a pipe open.
    with tempfile.TemporaryFile("w+") as printed:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            printed.seek(0)
            raise RuntimeError(f"{' '.join(command)}: exit {process.returncode}\n{printed.read()[-3000:]}")
    return Sample(seconds, usage.ru_maxrss / 1024)
