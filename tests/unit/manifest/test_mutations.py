"""Files of the corpus with random damage: a manifest or messages, soon, and in little memory; never a traceback."""

from __future__ import annotations

import gc
import resource
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import NetapplyError, Problem
from reconciler.manifest import load
from reconciler.manifest.canonical import canonical, render
from reconciler.manifest.secrets import without_secrets
from tests.corpus import outcomes

SEEDS = [
    text
    for path in sorted(outcomes.FILES.rglob("*.y*ml"))
    # Inclusions would only be told that there is no such file.
    if b"include" not in (text := path.read_bytes()) and len(text) < 6000
]
PIECES = [
    *(
        bytes([code])
        for code in (0, 9, 10, 13, 32, 34, 35, 36, 37, 38, 39, 42, 45, 58, 63, 64, 91, 93, 123, 124, 125, 255)
    ),
    *(
        b"${",
        b"}",
        b":-",
        b"::",
        b"- ",
        b"<<: *a",
        b"&a ",
        b"*a",
        b"!reset ",
        b"!override ",
        b"!!int ",
        b"---\n",
        b"[" * 70,
    ),
    *(
        b"\xe2\x80\x93",
        b"x-netapply:",
        b"ports: [80-90:80]",
        b"networks: {a: }",
        b"0o17",
        b"1e999",
        b".inf",
        b"null",
        b"~",
    ),
]
SECONDS = 6.0
MEBIBYTES = 64


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A file of the corpus with up to six cuts, each with something else in its place."""
    data = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(data)))
        length = draw(st.sampled_from([0, 0, 1, 3, 20, 200]))
        piece = draw(st.sampled_from(PIECES) | st.binary(max_size=4) | st.just(data[place : place + 60]))
        data = data[:place] + piece + data[place + length :]
    return data


@given(damaged())
def test_damaged_files(data: bytes) -> None:
    begin = time.process_time()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    problems: tuple[Problem, ...] = ()
    try:
        manifest = load(["-"], stack_name="t", environment={"A": "1"}, stdin=data)
    except NetapplyError as error:
        problems = error.problems
    else:
        again = load(["-"], environment={}, stdin=render(manifest))
        assert outcomes.is_same(manifest, again)
        assert canonical(again) == canonical(manifest)
    assert all(problem.source and problem.message for problem in problems)
    without_secrets(data, "-")
    assert time.process_time() - begin < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < MEBIBYTES * 1024


@pytest.mark.long
def test_memory_does_not_grow() -> None:
    def run(rounds: int) -> None:
        for number in range(rounds):
            data = SEEDS[number % len(SEEDS)]
            broken = (
                data[: number * 7919 % len(data)] + PIECES[number % len(PIECES)] + data[number * 104729 % len(data) :]
            )
            try:
                load(["-"], stack_name="t", environment={}, stdin=broken)
            except NetapplyError:
                continue

    def resident() -> int:
        # What is held now, in pages; a single file's peak is what test_damaged_files bounds.
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    run(2000)
    before = resident()
    run(20_000)
    assert resident() - before < 8 << 20
