"""``netapply ls``: the stacks on this host."""

from __future__ import annotations

import click

from reconciler.cli import options
from reconciler.cli.look import look, print_json
from reconciler.cli.main import Settings
from reconciler.views import stacks


@click.command("ls")
@options.json_format
@click.pass_obj
def command(settings: Settings, output_format: str) -> None:
    """Show the stacks on this host."""
    views = stacks.stacks(look(settings).observation)
    if output_format == "json":
        print_json([view.record() for view in views])
    else:
        click.echo(stacks.render(views), nl=False)
