"""``netapply confirm``: keep what ``up --confirm`` did."""

from __future__ import annotations

import click

from reconciler.cli import session
from reconciler.cli.main import Settings
from reconciler.errors import NetapplyError


@click.command("confirm")
@click.pass_obj
def command(settings: Settings) -> None:
    """Keep what `up --confirm SECONDS` did; without this it is undone when the time is over."""
    from reconciler.kernel import unconfirmed  # noqa: PLC0415  # --help must not pay for it

    with session.machine_of(settings, writing=True) as machine:
        run = machine.host.run
        waiting = unconfirmed.read(run)
        if waiting is None:
            hint = "what was not confirmed in time has been undone"
            raise NetapplyError.of("no up waits to be confirmed on this host", hint=hint)
        names = ", ".join(waiting.stacks)
        if not waiting.until and not waiting.failed and waiting.is_watched:
            raise NetapplyError.of(f"the up of {names} ended half-way; it is being undone")
        unconfirmed.forget(run)
    click.echo(f"Kept: {names}")
    for problem in waiting.failed:
        click.echo(f"warning: this could not be undone before: {problem}", err=True)
