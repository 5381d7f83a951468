"""``netapply ps``: the containers."""

from __future__ import annotations

import click

from reconciler.cli import options
from reconciler.cli.look import look, print_json, stacks_named
from reconciler.cli.main import Settings
from reconciler.views import containers


@click.command("ps")
@options.files
@options.merged
@options.stack_name
@options.profiles
@options.env_files
@options.json_format
@click.pass_obj
def command(
    settings: Settings,
    files: tuple[str, ...],
    merged: tuple[str, ...],
    stack_name: str | None,
    profiles: tuple[str, ...],
    env_files: tuple[str, ...],
    output_format: str,
) -> None:
    """Show the containers: state, addresses, published ports. Without FILE and -p: of all stacks."""
    wanted = stacks_named(files, merged, stack_name, profiles, env_files)
    seen = look(settings)
    views = containers.containers(seen.observation, seen, wanted)
    if output_format == "json":
        print_json([view.record() for view in views])
    else:
        click.echo(containers.render(views), nl=False)
