"""Text -> Manifest: what the user wrote, read, checked, and brought to one form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.manifest.discovery import discover

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from reconciler.manifest.model import Manifest

__all__ = ["discover", "load", "stacks"]


def load(
    paths: Sequence[Path | str],
    *,
    stack_name: str | None = None,
    environment: Mapping[str, str],
    stdin: str | bytes | None = None,
    profiles: Sequence[str] = (),
) -> Manifest:
    """Read one stack from a file, or from several that are merged as Compose does it.

    ``paths`` are files as the user named them, ``-`` for the text of ``stdin``.
    ``stack_name`` (``-p``) overrides the stack's name. ``environment`` is what variables
    are taken from. ``profiles`` are active besides those of ``COMPOSE_PROFILES``.

    Raises:
        NetapplyError: with all that is wrong, each fault with its place.
    """
    from reconciler.manifest import loading  # noqa: PLC0415  # pydantic and YAML take 100 ms to import

    return loading.load(paths, stack_name=stack_name, environment=environment, stdin=stdin, profiles=profiles)


def stacks(
    file_arguments: Sequence[Path | str],
    *,
    merged: Sequence[Path | str] = (),
    stack_name: str | None = None,
    environment: Mapping[str, str],
    directory: Path | str = ".",
    stdin: str | bytes | None = None,
    profiles: Sequence[str] = (),
) -> tuple[Manifest, ...]:
    """Read all stacks of a run.

    Each of ``file_arguments`` is one stack, a directory all that are in it (``*.yaml``,
    ``*.yml``); ``merged`` (``-f``) are files of one stack. With neither, `discover` looks in
    ``directory``. The warnings of the whole run stand in the first manifest. The rest is
    as for `load`.

    Raises:
        NetapplyError: with all that is wrong in all of them; two stacks of one name;
            ``stack_name`` for several stacks.
    """
    from reconciler.manifest import loading  # noqa: PLC0415  # pydantic and YAML take 100 ms to import

    return loading.stacks(
        file_arguments,
        merged=merged,
        stack_name=stack_name,
        environment=environment,
        directory=directory,
        stdin=stdin,
        profiles=profiles,
    )
