"""Options of the tests without privilege."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write the expected plans of tests/cases anew")


@pytest.fixture(autouse=True)
def _garbage_is_collected() -> Iterator[None]:
    """The command line switches the collector off, for a process of its own: the tests after it need it."""
    yield
    gc.enable()
