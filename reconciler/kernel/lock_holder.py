"""Who holds a lock, for whoever has to wait for it."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from reconciler.errors import printable
from reconciler.kernel import processes

_LONGEST = 100
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


def holder(descriptor: int) -> str:
    """In words, who holds the lock (flock(2)) of that open file."""
    status = os.fstat(descriptor)
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/locks").read_text(encoding="ascii", errors="replace").splitlines():
            # "1: FLOCK  ADVISORY  WRITE 4242 00:1a:77 0 EOF" (proc_locks(5)); one that waits has "->" before FLOCK.
            words = line.split()
            if words[1] == "FLOCK" and words[5] == place:
                return f"process {words[4]}{_command(int(words[4]))}"
    return "another process"


def _command(pid: int) -> str:
    words = processes.command_line(pid).decode(errors="replace").rstrip("\0").split("\0")
    ours = [number for number, word in enumerate(words) if word.rpartition("/")[2] in {"netapply", "reconciler"}]
    text = _CREDENTIALS.sub("", " ".join(["netapply", *words[ours[0] + 1 :]] if ours else words))
    return f" ({printable(text[:_LONGEST])})" if text else ""
