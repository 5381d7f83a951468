"""The binding of libnftables where the library is missing, and the errors that it gives."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest

from reconciler.errors import NetapplyError
from reconciler.kernel import libnftables


@pytest.fixture
def without_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(name: str) -> None:
        raise OSError(name)

    libnftables._library.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", refuse)
    yield
    libnftables._library.cache_clear()


@pytest.mark.usefixtures("without_library")
def test_a_missing_library_names_its_package() -> None:
    with pytest.raises(NetapplyError, match="libnftables1"):
        libnftables.Nftables()


def test_a_refusal_is_said_without_the_script() -> None:
    complaint = "<cmdline>:1:1-9: Error: Could not process rule: File exists\nadd element x { 1 }\n^^^^^^^^\n"
    assert str(libnftables._refusal(complaint)) == "error: nftables: Could not process rule: File exists"


def test_missing_rights_give_a_hint() -> None:
    (problem,) = libnftables._refusal("x: Error: Operation not permitted (you must be root)\n").problems
    assert "root" in problem.hint
