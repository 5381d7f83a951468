"""``netapply down``: remove everything of a stack and nothing else."""

from __future__ import annotations

import click

from reconciler.cli import options
from reconciler.cli.arguments import Arguments
from reconciler.cli.main import Settings
from reconciler.cli.up import apply
from reconciler.desired.scope import Scope


@click.command("down")
@options.manifests
@click.pass_obj
def command(
    settings: Settings,
    arguments: Arguments,
) -> int:
    """Remove everything of the stack. With -p the manifest is not needed."""
    if arguments.stack_name and not arguments.names_files:
        return apply(settings, Scope(frozenset({arguments.stack_name})))
    manifests = arguments.stacks()
    return apply(settings, Scope(frozenset(manifest.stack for manifest in manifests)))
