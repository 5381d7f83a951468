"""How fast names are answered inside a container, next to dnsmasq that has the same names."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.contestants import HOST, REPOSITORY, timed

CONTAINERS = 1000
ROUNDS = 5
MANY, ONE = (100_000, 32), (20_000, 1)
"""How many questions, and how many of them at a time."""

_DNSMASQ_PORT = 5300
_AIM, _AIM_MEDIAN = 0.8, 100
_NETAPPLY = [sys.executable, "-m", "reconciler", "-n", HOST]


class Load(NamedTuple):
    """What the loader prints: answers a second, microseconds for one, and how many were right and lost."""

    per_second: float
    median: float
    slowest: float
    right: int
    lost: int


def report(folder: Path, containers: int = CONTAINERS) -> str:
    """Medians of alternating runs, in the throwaway host HOST with that many containers up.

    Raises RuntimeError where an answer is wrong or missing.
    """
    if not shutil.which("dnsmasq"):
        return "names: dnsmasq is missing (make setup installs it)\n"
    loader = compile_loader(folder)
    manifest = folder / "names.yaml"
    manifest.write_text(_manifest(containers))
    (folder / "names").write_text("".join(f"c{number}\n" for number in range(containers)))
    (folder / "names.hosts").write_text(
        "".join(f"10.92.{number >> 8}.{number & 255} c{number}\n" for number in range(containers))
    )
    timed([*_NETAPPLY, "up", str(manifest)], cwd=REPOSITORY)
    own: dict[tuple[int, int], list[Load]] = {MANY: [], ONE: []}
    theirs: dict[tuple[int, int], list[Load]] = {MANY: [], ONE: []}
    try:
        with _dnsmasq(_inside("c1"), folder):
            for number in range(ROUNDS):
                print(f"names, round {number + 1} of {ROUNDS}", file=sys.stderr)
                for size in (MANY, ONE):
                    own[size].append(_load([*_inside("c0"), loader, "127.0.0.11", "53"], folder, size))
                    theirs[size].append(_load([*_inside("c1"), loader, "127.0.0.1", str(_DNSMASQ_PORT)], folder, size))
    finally:
        timed([*_NETAPPLY, "down", str(manifest)], cwd=REPOSITORY)
    return "\n".join(_table(containers, own, theirs))


def compile_loader(folder: Path) -> str:
    """The loader's program."""
    program = folder / "dnsload"
    source = Path(__file__).with_name("dnsload.c")
    subprocess.run(["cc", "-O2", "-Wall", "-o", str(program), str(source)], check=True, timeout=60)
    return str(program)


def _manifest(containers: int) -> str:
    lines = ["name: bench", "networks:", "  net: {ipam: {config: [{subnet: 10.92.0.0/16}]}}", "containers:"]
    lines += [f"  c{number}: {{networks: [net]}}" for number in range(containers)]
    return "\n".join([*lines, ""])


def _inside(container: str) -> list[str]:
    (path,) = Path("/run/netns").glob(f"na.*.bench.{container}")
    return ["nsenter", f"--net={path}", "--"]


@contextmanager
def _dnsmasq(inside: list[str], folder: Path) -> Iterator[None]:
    """One that knows the names and nothing else, in a container as our answers are."""
    options = [
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--user=root",
        "--no-resolv",
        "--no-hosts",
    ]
    where = ["--listen-address=127.0.0.1", "--bind-interfaces", f"--port={_DNSMASQ_PORT}"]
    hosts = f"--addn-hosts={folder / 'names.hosts'}"
    process = subprocess.Popen([*inside, "dnsmasq", *options, *where, hosts], stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)  # until it has read the names
        yield
    finally:
        process.kill()
        process.wait(10)


def _load(command: list[str], folder: Path, size: tuple[int, int]) -> Load:
    count, window = size
    arguments = [str(folder / "names"), str(count), str(window)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True, timeout=120)
    words = done.stdout.split()
    load = Load(float(words[0]), float(words[1]), float(words[2]), int(words[3]), int(words[4]))
    if load.right != count:
        raise RuntimeError(f"of {count} answers {load.right} were right and {load.lost} lost: {' '.join(command)}")
    return load


def _table(
    containers: int, own: dict[tuple[int, int], list[Load]], theirs: dict[tuple[int, int], list[Load]]
) -> Iterator[str]:
    yield f"names, asked inside one of {containers} containers (benchmarks/dnsload.c), medians of {ROUNDS}:\n"
    yield f"| | answers a second, {MANY[1]} at a time | median, one at a time | 99 % within |"
    yield "| --- | ---: | ---: | ---: |"
    for name, loads in (("netapply", own), ("dnsmasq", theirs)):
        rate, one, slow = _rate(loads), _median(loads), statistics.median(load.slowest for load in loads[ONE])
        yield f"| {name} | {rate:.0f} | {one:.1f} µs | {slow:.1f} µs |"
    ratio = _rate(own) / _rate(theirs)
    yield "\n| aim | wanted | measured | |\n| --- | ---: | ---: | --- |"
    yield f"| answers a second : dnsmasq | {_AIM} | {ratio:.2f} | {'met' if ratio >= _AIM else 'missed'} |"
    median = _median(own)
    yield f"| µs for one answer | {_AIM_MEDIAN} | {median:.1f} | {'met' if median < _AIM_MEDIAN else 'missed'} |\n"


def _rate(loads: dict[tuple[int, int], list[Load]]) -> float:
    return statistics.median(load.per_second for load in loads[MANY])


def _median(loads: dict[tuple[int, int], list[Load]]) -> float:
    return statistics.median(load.median for load in loads[ONE])
