"""Loading manifests from text."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING, Protocol

import pytest

from reconciler.errors import NetapplyError, Problem
from reconciler.manifest import load

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.manifest.model import Manifest


class LoadText(Protocol):
    """Loads texts as the files a.yaml, b.yaml, … of one stack named ``test``."""

    def __call__(self, *texts: str, name: str | None = "test", **environment: str) -> Manifest: ...


class FaultsOf(Protocol):
    """The faults of texts that must not load."""

    def __call__(self, *texts: str, name: str | None = "test", **environment: str) -> tuple[Problem, ...]: ...


@pytest.fixture
def load_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoadText:
    monkeypatch.chdir(tmp_path)

    def loaded(*texts: str, name: str | None = "test", **environment: str) -> Manifest:
        files = [f"{letter}.yaml" for letter, _ in zip("abcdef", texts, strict=False)]
        for file, text in zip(files, texts, strict=True):
            (tmp_path / file).write_bytes(dedent(text).encode("utf-8", "surrogateescape"))
        return load(files, stack_name=name, environment=environment)

    return loaded


@pytest.fixture
def faults_of(load_text: LoadText) -> FaultsOf:
    def found(*texts: str, name: str | None = "test", **environment: str) -> tuple[Problem, ...]:
        with pytest.raises(NetapplyError) as caught:
            load_text(*texts, name=name, **environment)
        return caught.value.problems

    return found
