"""The loader under coverage-guided fuzzing: ``python -m tests.corpus.fuzz FOLDER [libFuzzer's options]``.

FOLDER gathers what reached new code; the corpus is put into it first. atheris is installed by hand, for it is built
for few versions of Python. What must hold is what the tests with random damage ask: a manifest, which its canonical
form gives again, or messages with places; nothing else.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import atheris  # type: ignore[import-untyped]  # it has no types

with atheris.instrument_imports(include=["reconciler.manifest"]):
    from reconciler.errors import NetapplyError, Problem
    from reconciler.manifest import load, loading  # noqa: F401  # imported late by load, too late to be instrumented
    from reconciler.manifest.canonical import render
from tests.corpus import outcomes

_LARGEST = 4096


def one_input(data: bytes) -> None:
    """Load one file; whatever is raised but the loader's own error is a find."""
    problems: tuple[Problem, ...] = ()
    try:
        manifest = load(["-"], stack_name="t", environment={"A": "1"}, stdin=data)
    except NetapplyError as error:
        problems = error.problems
    else:
        assert outcomes.is_same(manifest, load(["-"], environment={}, stdin=render(manifest)))
    assert all(problem.source and problem.message for problem in problems), problems


def main() -> None:
    """Fill the folder with the corpus, and run until told otherwise."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for file in outcomes.files():
        data = (outcomes.FILES / file).read_bytes()
        if len(data) <= _LARGEST and b"include" not in data:
            (folder / sha256(data).hexdigest()).write_bytes(data)
    atheris.Setup([sys.argv[0], str(folder), f"-max_len={_LARGEST}", "-timeout=5", *sys.argv[2:]], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
