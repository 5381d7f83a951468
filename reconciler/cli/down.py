"""``netapply down``: remove everything of a stack and nothing else."""

from __future__ import annotations

import click

from reconciler.cli import options, session
from reconciler.cli.main import Settings
from reconciler.cli.up import apply
from reconciler.desired.build import Scope


@click.command("down")
@options.files
@options.merged
@options.stack_name
@options.profiles
@options.env_files
@click.pass_obj
def command(
    settings: Settings,
    files: tuple[str, ...],
    merged: tuple[str, ...],
    stack_name: str | None,
    profiles: tuple[str, ...],
    env_files: tuple[str, ...],
) -> int:
    """Remove everything of the stack. With -p the manifest is not needed."""
    if stack_name and not files and not merged:
        return apply(settings, Scope(frozenset({stack_name})))
    manifests = session.manifests_of(files, merged, stack_name, profiles, env_files)
    return apply(settings, Scope(frozenset(manifest.stack for manifest in manifests)))
