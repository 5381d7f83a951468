"""A command's log that has grown long: what is freed, what stays, and what readers and writers see of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.agent.logs import KEPT, LONGEST, shorten
from reconciler.kernel import command_log

LINE = b"a line of sixty-four bytes, of which the last ends it, %07d\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    made = tmp_path / "processes/shop/web/log"
    made.parent.mkdir(parents=True)
    return made


def lines(size: int) -> bytes:
    return b"".join(LINE % number for number in range(size // len(LINE % 0) + 1))


def read(log: Path) -> bytes:
    return b"".join(command_log.logs(log.parents[3], "shop/web"))


def taken(log: Path) -> int:
    return log.stat().st_blocks * 512


def test_a_log_of_usual_length_stays_whole(log: Path) -> None:
    log.write_bytes(lines(LONGEST - 4096 * 16))
    before = taken(log)
    shorten(str(log))
    assert taken(log) == before
    assert read(log) == log.read_bytes()


def test_of_a_long_one_the_last_lines_stay(log: Path) -> None:
    whole = lines(LONGEST + 1)
    log.write_bytes(whole)
    shorten(str(log))
    assert KEPT <= taken(log) < KEPT + 65536
    left = read(log)
    assert whole.endswith(left)
    assert KEPT - len(LINE) < len(left) < KEPT + 65536
    assert left.startswith(b"a line of")


def test_who_writes_and_who_reads_it_go_on(log: Path) -> None:
    begin = lines(LONGEST // 2)
    log.write_bytes(begin)
    reader = command_log.logs(log.parents[3], "shop/web")
    first = next(reader)
    assert begin.startswith(first)
    with log.open("ab") as writer:
        writer.write(lines(LONGEST))
        writer.flush()
        shorten(str(log))
        writer.write(b"the end\n")
    rest = b"".join(reader)
    assert rest.startswith(b"a line of")
    assert rest.endswith(b"the end\n")
    assert len(rest) < KEPT + 65536 + 8
    assert b"\0" not in rest


def test_one_long_line_is_kept_from_where_it_is_left(log: Path) -> None:
    log.write_bytes(b"x" * (LONGEST + 4096))
    shorten(str(log))
    assert set(read(log)) == set(b"x")


def test_what_a_command_makes_of_its_log_harms_nobody(log: Path, tmp_path: Path) -> None:
    """It holds its log open for writing: it may make it as large as it likes, without taking room."""
    log.write_bytes(b"first\n")
    os.truncate(log, 1 << 40)
    shorten(str(log))
    assert taken(log) < LONGEST
    other = tmp_path / "other"
    other.write_bytes(lines(LONGEST + 1))
    log.unlink()
    log.symlink_to(other)
    shorten(str(log))
    log.unlink()
    os.mkfifo(log)
    shorten(str(log))
    log.unlink()
    shorten(str(log))
    assert taken(other) > LONGEST


def last(log: Path, count: int) -> bytes:
    return b"".join(command_log.logs(log.parents[3], "shop/web", tail=count))


@pytest.mark.parametrize(
    "whole", [b"", b"\n", b"\n\n", b"a", b"a\n", b"a\nb", b"a\nb\n", b"\na\n\nb\n", b"x" * 70_000 + b"\n"]
)
def test_the_last_lines_of_a_short_log(log: Path, whole: bytes) -> None:
    log.write_bytes(whole)
    for count in range(5):
        assert last(log, count) == b"".join(whole.splitlines(keepends=True)[-count:] if count else []), count


def test_the_last_lines_of_a_long_log_and_of_a_shortened_one(log: Path) -> None:
    whole = lines(LONGEST + 1)
    log.write_bytes(whole)
    every = whole.splitlines(keepends=True)
    for count in (1, 1023, 1024, 1025, 5000):
        assert last(log, count) == b"".join(every[-count:])
    shorten(str(log))
    assert last(log, 5000) == b"".join(every[-5000:])
    assert last(log, len(every)) == read(log)
