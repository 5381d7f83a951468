"""Prints how long netapply takes, next to what the kernel alone needs: ``make bench``.

Medians of interleaved runs, all in namespaces of its own; the machine's network is never touched.
``make bench BENCH='--sizes 10 100 --rounds 3'`` makes it shorter.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import loading, names, report
from benchmarks.contestants import HOST, STEPS, Batches, Contestant, Floor, Netapply, Sample
from tests.kernel.isolation import isolate, private_folders
from tests.kernel.snapshot import identity, processes_in

ROUNDS = {10: 7, 100: 7, 1000: 5}
TWO_BRIDGES_FROM = 1000  # the kernel allows 1023 ports on one bridge


def main() -> int:
    """Run and print; 1 if there is no compiler or no right to do so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 1000], help="numbers of containers")
    parser.add_argument("--rounds", type=int, help="runs of each; the default depends on the size")
    parser.add_argument("--skip-batches", action="store_true", help="leave out the slow ip -batch")
    parser.add_argument("--skip-names", action="store_true", help="leave out how fast names are answered")
    options = parser.parse_args()
    if os.geteuid() != 0 or not shutil.which("cc"):
        print("bench: needs root and a C compiler (make setup installs it)", file=sys.stderr)
        return 1
    # The C floor keeps a descriptor for each namespace.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    isolate()
    with tempfile.TemporaryDirectory(prefix="netapply-bench-") as folder:
        contestants: list[Contestant] = [Netapply(), Floor(compile_floor(Path(folder)))]
        if not options.skip_batches:
            contestants.append(Batches())
        results = {
            size: measure(contestants, size, options.rounds or ROUNDS.get(size, 5), Path(folder))
            for size in options.sizes
        }
        names_report = "" if options.skip_names else measure_names(Path(folder))
    print(report.render(results))
    print(names_report)
    print(loading.report())
    return 0


def measure_names(folder: Path) -> str:
    """The table of how fast names are answered."""
    with throwaway_host():
        return names.report(folder)


def compile_floor(folder: Path) -> Path:
    """The C floor's program."""
    program = folder / "floor"
    source = Path(__file__).with_name("floor.c")
    subprocess.run(["cc", "-O2", "-Wall", "-o", str(program), str(source)], check=True, timeout=60)
    return program


def measure(contestants: list[Contestant], size: int, rounds: int, folder: Path) -> report.Results:
    """The median sample of each contestant's steps; the contestants take turns, so that all meet the same machine."""
    samples: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    bridges = 2 if size >= TWO_BRIDGES_FROM else 1
    for number in range(rounds):
        for contestant in contestants:
            print(f"{size} containers, round {number + 1} of {rounds}: {contestant.name}", file=sys.stderr)
            contestant.prepare(size, bridges, folder)
            with throwaway_host():
                for step in STEPS:
                    if sample := contestant.step(step):
                        samples[contestant.name, step].append(sample)
    return {key: median(taken) for key, taken in samples.items()}


def median(samples: list[Sample]) -> Sample:
    """Of the times, the median; of the sizes, the largest."""
    return Sample(statistics.median(each.seconds for each in samples), max(each.megabytes for each in samples))


@contextmanager
def throwaway_host() -> Iterator[None]:
    """The namespace HOST with nothing in it, on a kernel that has finished earlier removals."""
    settle()
    with private_folders():
        subprocess.run(["ip", "netns", "add", HOST], check=True, timeout=10)
        subprocess.run(["ip", "-n", HOST, "link", "set", "lo", "up"], check=True, timeout=10)
        # The first use of nft loads the module's part for this namespace; that is nobody's work.
        subprocess.run(["ip", "netns", "exec", HOST, "nft", "list", "ruleset"], check=True, timeout=10)
        settle()
        host = {identity(Path("/run/netns") / HOST)}
        try:
            yield
        finally:
            for pid, _ in processes_in(host):  # only after a failure is there still one, such as the agent
                os.kill(pid, signal.SIGKILL)


def settle() -> None:
    """Wait for the kernel's worker that takes namespaces apart: making one meanwhile takes twice as long."""
    quiet = 0
    for _ in range(500):
        quiet = 0 if taking_apart() else quiet + 1
        if quiet >= 10:  # noqa: PLR2004 - a tenth of a second; between two removals the worker rests for less
            return
        time.sleep(0.01)


def taking_apart() -> bool:
    """Whether a kernel worker is at it now: then its name carries ``+netns``."""
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if "+netns" in path.read_text():
                return True
        except OSError:  # it ended while we looked
            continue
    return False


if __name__ == "__main__":
    sys.exit(main())
