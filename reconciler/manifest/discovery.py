"""Which files a run is about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import NetapplyError
from reconciler.manifest.tree import DISK, Tree

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = (
    "netapply.yaml",
    "stack.yaml",
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
)
"""The names looked for, first one found; the last four are Compose's, in its order."""

OVERRIDES = (
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
_COMPOSE_NAMES = frozenset(NAMES[2:])


def discover(directory: Path | str, environment: Mapping[str, str], tree: Tree = DISK) -> list[str]:
    """The files of the one stack that a run without file arguments is about.

    ``COMPOSE_FILE`` names them, separated by ``COMPOSE_PATH_SEPARATOR`` (a colon unless
    set) and relative to ``directory``; else the first of `NAMES` that is there, a Compose
    name together with its override file. Names come back relative to ``directory``.

    Raises:
        NetapplyError: there is none.
    """
    named = environment.get("COMPOSE_FILE")
    if named:
        return [part for part in named.split(environment.get("COMPOSE_PATH_SEPARATOR") or ":") if part]
    here = Path(directory)
    for name in NAMES:
        if tree.is_file(str(here / name)):
            overrides = OVERRIDES if name in _COMPOSE_NAMES else ()
            return [name, *[each for each in overrides if tree.is_file(str(here / each))][:1]]
    message = f"no manifest in {here.resolve()}"
    raise NetapplyError.of(message, hint=f"name a file, or create one of {', '.join(NAMES)}")


def members(directory: Path, tree: Tree = DISK) -> list[Path]:
    """The manifests in a directory, in the order of their names; hidden files are none."""
    return sorted(
        path
        for path in (directory / name for name in tree.names(str(directory)))
        if path.suffix in {".yaml", ".yml"} and not path.name.startswith(".") and tree.is_file(str(path))
    )
