"""Read what a container's command wrote."""

from __future__ import annotations

import errno
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path

from reconciler.errors import NetapplyError
from reconciler.kernel.runtime_records import Records

_FOLLOW_SECONDS = 0.1
_BLOCK = 65536


def logs(run_directory: Path, container: str, *, follow: bool = False, tail: int | None = None) -> Iterator[bytes]:
    """What the command of ``stack/name`` wrote, in blocks; ``follow``: until the command has ended.

    ``tail``: only so many lines of what is there now; None: all. Of a long log the agent gives
    the oldest part back (agent/logs.py): it begins with the first whole line left.
    Raises NetapplyError where it has none, at once and not when the first block is asked for.
    """
    records = Records.of(run_directory, container)
    try:
        file = records.log.open("rb", buffering=0)
    except FileNotFoundError:
        message = f"container {container} has no command, so there is no log"
        raise NetapplyError.of(message, hint="give it a command: in the manifest") from None
    if tail is not None:
        file.seek(_start_of_last(file, tail))

    def blocks() -> Iterator[bytes]:
        with file:
            while True:
                # Asked before reading: what it wrote before its end is then read after it.
                process = records.process()
                more = follow and process is not None and process.alive()
                while block := _next_block(file):
                    yield block
                if not more:
                    return
                time.sleep(_FOLLOW_SECONDS)

    return blocks()


def _start_of_last(file: io.FileIO, lines: int) -> int:
    """Where the last ``lines`` lines begin; a last one without an end counts. 0 where there are no more than that."""
    end = position = file.seek(0, os.SEEK_END)
    # The end of the last line is no start of another one.
    wanted = lines + 1 if end and os.pread(file.fileno(), 1, end - 1) == b"\n" else lines
    if not wanted:
        return end
    while position:
        start = max(0, position - _BLOCK)
        block = os.pread(file.fileno(), position - start, start)
        if (found := block.count(b"\n")) >= wanted:
            at = len(block)
            for _ in range(wanted):
                at = block.rindex(b"\n", 0, at)
            return start + at + 1
        wanted -= found
        position = start
        if os.lseek(file.fileno(), start, os.SEEK_DATA) != start:
            break  # a hole: its zeros are no lines
    return 0


def _next_block(file: io.FileIO) -> bytes:
    """The next bytes that are left of the log; where some before them are gone, from the start of a line."""
    position = file.tell()
    try:
        left = os.lseek(file.fileno(), position, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:  # which says that no data follows
            raise
        return b""
    block = file.read(_BLOCK)
    if left > position:
        _, found, rest = block.partition(b"\n")
        return rest if found and rest else block
    return block
