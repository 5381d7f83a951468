"""What is written down of a namespace that somebody else made and a container is wired in."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from reconciler.kernel.host import Host, cookie

DIRECTORY = "attached"


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of an attached namespace: where it was found, its cookie, and when its process started, if one's.

    ``raised``: ``lo`` was down before us.
    """

    path: str = ""
    cookie: str = ""
    started: str = ""
    origin: str = ""
    raised: bool = False


def records(host: Host) -> dict[str, Record]:
    """All records, by ``stack/container``."""
    try:
        names = sorted(os.listdir(host.run / DIRECTORY))  # noqa: PTH208  # only the names are wanted
    except FileNotFoundError:
        return {}
    parts = ((name, name.partition(".")) for name in names)
    return {
        f"{stack}/{rest}": read(host.run / DIRECTORY / name) for name, (stack, dot, rest) in parts if stack and rest
    }


def read(path: Path) -> Record:
    """One record; an empty one where it is lost or spoilt."""
    try:
        found = json.loads(path.read_bytes())
        return Record(**found) if isinstance(found, dict) else Record()
    except (OSError, ValueError, TypeError):
        return Record()


def path_of(host: Host, container: str) -> Path:
    """Where the record of ``stack/container`` stands."""
    return host.run / DIRECTORY / container.replace("/", ".", 1)


def is_here(host_id: str, container: str) -> bool:
    """Whether this thread is in the namespace that is attached to the container."""
    record = read(path_of(Host("", host_id), container))
    return bool(record.cookie) and record.cookie == str(cookie())
