"""How long a manifest takes to load, next to what the YAML library alone needs for it."""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable

from ruamel.yaml import YAML

from reconciler.manifest import load

CONTAINERS = 1000
ROUNDS = 3


def text(count: int) -> str:
    """A manifest of ten lines a container: a command, a port, a fixed address and an alias each."""
    lines = ["name: bench", "networks:"]
    for number in range(20):
        lines += [f"  n{number}:", "    ipam:", "      config:", f"        - subnet: 10.{number}.0.0/16"]
    lines.append("containers:")
    for number in range(count):
        lines += [f"  c{number}:", "    command: [sleep, '9']", "    environment:", "      MODE: test", "    ports:"]
        lines += [f"      - {20000 + number}:80", "    networks:", f"      n{number % 20}:"]
        lines.append(f"        aliases: [a{number}]")
        lines.append(f"        ipv4_address: 10.{number % 20}.{number // 250}.{number % 250 + 2}")
    return "\n".join(lines) + "\n"


def report() -> str:
    """Milliseconds of processor time for both, medians."""
    manifest = text(CONTAINERS)
    own = _median(lambda: load(["-"], environment={}, stdin=manifest))
    plain = _median(lambda: YAML(typ="rt").load(io.StringIO(manifest)))
    lines = manifest.count("\n")
    return (
        f"loading a manifest of {CONTAINERS} containers ({lines} lines), ms of processor time:\n"
        f"  netapply, read, checked and normalised  {own:6.0f}\n"
        f"  ruamel.yaml alone, round-trip load      {plain:6.0f}\n"
    )


def _median(run: Callable[[], object]) -> float:
    run()  # the first pays for imports
    spent = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        run()
        spent.append((time.process_time() - begin) * 1000)
    return statistics.median(spent)


if __name__ == "__main__":
    print(report(), end="")
