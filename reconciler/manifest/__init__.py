"""Text -> Manifest: what the user wrote, read, checked, and brought to one form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.manifest.discovery import discover

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from reconciler.manifest.model import Manifest
    from reconciler.manifest.tree import Tree

__all__ = ["discover", "load", "stacks"]


def load(
    paths: Sequence[Path | str],
    *,
    stack_name: str | None = None,
    environment: Mapping[str, str],
    stdin: str | bytes | None = None,
    profiles: Sequence[str] = (),
    env_files: Sequence[Path | str] | None = None,
) -> Manifest:
    """Read one stack from a file, or from several that are merged as Compose does it.

    ``paths`` are files as the user named them, ``-`` for the text of ``stdin``.
    ``stack_name`` (``-p``) overrides the stack's name. ``environment`` is what variables
    are taken from; it goes before ``env_files`` (``--env-file``), which stand for the
    ``.env`` beside the first file. ``profiles`` are active besides ``COMPOSE_PROFILES``.

    Raises:
        NetapplyError: with all that is wrong, each fault with its place.
    """
    from reconciler.manifest import files, loading  # noqa: PLC0415  # pydantic and YAML take 100 ms to import

    run = files.Run(environment, stdin, tuple(profiles), None if env_files is None else _texts(env_files))
    return loading.load(_texts(paths), stack_name, run)


def stacks(
    file_arguments: Sequence[Path | str],
    *,
    merged: Sequence[Path | str] = (),
    stack_name: str | None = None,
    environment: Mapping[str, str],
    directory: Path | str = ".",
    stdin: str | bytes | None = None,
    profiles: Sequence[str] = (),
    env_files: Sequence[Path | str] | None = None,
    tree: Tree | None = None,
) -> tuple[Manifest, ...]:
    """Read all stacks of a run.

    Each of ``file_arguments`` is one stack, a directory all that are in it (``*.yaml``,
    ``*.yml``); ``merged`` (``-f``) are files of one stack. With neither, `discover` looks in
    ``directory``, whose ``.env`` then goes before that beside the first file. The warnings of the whole run stand in the first manifest. ``tree`` has the
    files, the disk if it is None. The rest is as for `load`.

    Raises:
        NetapplyError: with all that is wrong in all of them; two stacks of one name;
            ``stack_name`` for several stacks.
    """
    from reconciler.manifest import files, loading  # noqa: PLC0415  # pydantic and YAML take 100 ms to import

    run = files.Run(environment, stdin, tuple(profiles), None if env_files is None else _texts(env_files))
    if tree is not None:
        run.tree = tree
    return loading.stacks(_texts(file_arguments), _texts(merged), stack_name, str(directory), run)


def _texts(paths: Sequence[Path | str]) -> tuple[str, ...]:
    return tuple(str(path) for path in paths)
