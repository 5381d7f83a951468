"""``netapply ps``: the containers."""

from __future__ import annotations

import click

from reconciler.cli import options
from reconciler.cli.arguments import Arguments
from reconciler.cli.look import look, print_json, stacks_named
from reconciler.cli.main import Settings
from reconciler.views import containers


@click.command("ps")
@options.manifests
@options.json_format
@click.pass_obj
def command(
    settings: Settings,
    arguments: Arguments,
    output_format: str,
) -> None:
    """Show the containers: state, addresses, published ports. Without FILE and -p: of all stacks."""
    wanted = stacks_named(arguments)
    seen = look(settings)
    views = containers.containers(seen.observation, seen, wanted)
    if output_format == "json":
        print_json([view.record() for view in views])
    else:
        click.echo(containers.render(views), nl=False)
