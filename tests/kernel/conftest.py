"""Kernel tests: real namespaces, real packets, never the machine's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.isolation import isolate
from tests.kernel.lab import Host, Lab, Machine


@pytest.fixture(scope="session", autouse=True)
def _isolated() -> None:
    """Once for each test process, before the first test here."""
    if os.geteuid() != 0:
        pytest.skip("kernel tests make network namespaces, which only root may (make test asks for it)")
    isolate()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab that is taken down after the test, failed or not."""
    made = Lab(tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def host(lab: Lab) -> Host:
    """The host that netapply manages: 192.0.2.1, 2001:db8::1."""
    return lab.host()


@pytest.fixture
def outside(host: Host, lab: Lab) -> Machine:
    """A neighbour of the host, which took the first address: 192.0.2.2, 2001:db8::2."""
    return lab.machine("outside")
