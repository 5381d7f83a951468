"""A thousand containers load within a quarter of a second of processor time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import LoadText


def thousand_containers() -> str:
    """A manifest of 10 000 lines."""
    lines = ["containers:"]
    for number in range(1000):
        lines += [f"  c{number}:", "    command: [sleep, '9']", "    environment:", "      MODE: test"]
        lines += ["    ports:", f"      - {20000 + number}:80", "    networks:", f"      n{number % 20}:"]
        lines += [
            f"        aliases: [a{number}]",
            f"        ipv4_address: 10.{number % 20}.{number // 250}.{number % 250 + 2}",
        ]
    lines.append("networks:")
    for number in range(20):
        lines += [f"  n{number}:", "    ipam:", "      config:", f"        - subnet: 10.{number}.0.0/16"]
    return "\n".join(lines)


def test_a_thousand_containers(load_text: LoadText) -> None:
    text = thousand_containers()
    assert text.count("\n") > 10_000
    spent = []
    for _ in range(3):
        begin = time.process_time()
        assert len(load_text(text).containers) == 1000
        spent.append(time.process_time() - begin)
    # A tenth of that on the machine that this was written on; a quadratic reader takes minutes.
    assert min(spent) < 1.0
