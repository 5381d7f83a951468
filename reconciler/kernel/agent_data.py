"""What the agent serves for a stack, as a file: one section for each concern, and a generation that names it all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from reconciler.kernel.agent_protocol import DATA_DIRECTORY
from reconciler.kernel.files import write_private

PINS, NAMES, JOBS = "pins", "names", "jobs"
"""Sections: pins as [protocol, address, port]; names by ``stack/container``, see kernel/resolver.py; jobs by name."""


def read(run_directory: Path, stack_name: str) -> dict[str, Any]:
    """The sections and the generation; empty for a file that is not there or of no use."""
    try:
        data = json.loads(_file(run_directory, stack_name).read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def read_all(run_directory: Path) -> dict[str, dict[str, Any]]:
    """``read`` of every stack that has a file."""
    return {stack_name: read(run_directory, stack_name) for stack_name in stacks(run_directory)}


def write(run_directory: Path, stack_name: str, sections: Mapping[str, Any]) -> str:
    """Replace the file by these sections; empty ones are left out, and a file of none goes. The generation."""
    kept = {name: section for name, section in sections.items() if name in {PINS, NAMES, JOBS} and section}
    file = _file(run_directory, stack_name)
    if not kept:
        file.unlink(missing_ok=True)
        return ""
    content = json.dumps(kept, separators=(",", ":"))
    generation = hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
    file.parent.mkdir(mode=0o700, exist_ok=True)
    write_private(file, f'{{"generation":"{generation}",{content[1:]}\n')
    return generation


def stacks(run_directory: Path) -> list[str]:
    """The stacks that have a file."""
    try:
        names = os.listdir(run_directory / DATA_DIRECTORY)  # noqa: PTH208 - only the names are wanted
    except FileNotFoundError:
        return []
    return sorted(name.removesuffix(".json") for name in names if name.endswith(".json") and not name.startswith("."))


def remove_empty(run_directory: Path) -> None:
    """Remove the folder, unless a stack's data still stand there."""
    with suppress(OSError):
        (run_directory / DATA_DIRECTORY).rmdir()


def _file(run_directory: Path, stack_name: str) -> Path:
    return run_directory / DATA_DIRECTORY / f"{stack_name}.json"
