"""``netapply down``: remove everything of a stack and nothing else."""

from __future__ import annotations

import click

from reconciler.cli import options
from reconciler.cli.arguments import Arguments
from reconciler.cli.main import Settings
from reconciler.cli.up import apply
from reconciler.desired.scope import Scope
from reconciler.errors import Problem


@click.command("down")
@options.manifests
@click.pass_obj
def command(
    settings: Settings,
    arguments: Arguments,
) -> int:
    """Remove everything of the stack. With -p the manifest is not needed."""
    name = arguments.stack_name
    if name and not arguments.names_files:
        return apply(settings, Scope(frozenset({name})), nothing=_absent(name))
    manifests = arguments.stacks()
    return apply(settings, Scope(frozenset(manifest.stack for manifest in manifests)))


def _absent(name: str) -> Problem:
    """What is said where -p names a stack that is not there, for it may be mistyped."""
    return Problem(f"no stack {name} stands on this host", hint="netapply ls lists those that do", severity="note")
