"""``netapply network``: the networks."""

from __future__ import annotations

import click

from reconciler.cli import options
from reconciler.cli.look import look, print_json
from reconciler.cli.main import Settings
from reconciler.errors import NetapplyError
from reconciler.views import networks
from reconciler.views.names import choose, named_networks


class _Networks(click.Group):
    """Who looks for `create` or `connect` is told where that is done."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-") and args[0] not in self.commands:
            hint = f"there are {' and '.join(sorted(self.commands))}; what a network is, and who joins it, says the manifest"
            raise NetapplyError.of(f"there is no command 'network {args[0]}'", hint=hint)
        return super().resolve_command(ctx, args)


@click.group("network", cls=_Networks)
def command() -> None:
    """Show the networks: their driver, subnets, bridge and members."""


@command.command("ls")
@options.json_format
@click.pass_obj
def ls(settings: Settings, output_format: str) -> None:
    """Show all networks."""
    views = networks.networks(look(settings).observation.state)
    if output_format == "json":
        print_json([view.record() for view in views])
    else:
        click.echo(networks.render(views), nl=False)


@command.command("inspect")
@click.argument("name")
@options.json_format
@click.pass_obj
def inspect(settings: Settings, name: str, output_format: str) -> None:
    """Show one network: NAME is its name, its name in the stack's file, or STACK/NAME."""
    state = look(settings).observation.state
    views = networks.networks(state)
    found = choose(name, named_networks((view.id, view.name, view.key) for view in views), "network")
    view = next(view for view in views if view.id == found.identity)
    if output_format == "json":
        print_json(networks.details(state, view))
    else:
        click.echo(networks.render_details(state, view), nl=False)
