"""``netapply logs``: what a container's command wrote."""

from __future__ import annotations

import sys

import click

from reconciler.cli.look import look
from reconciler.cli.main import Settings


@click.command("logs")
@click.option("-f", "--follow", is_flag=True, help="Go on until the command ends.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines of what is there.")
@click.argument("container")
@click.pass_obj
def command(settings: Settings, container: str, *, follow: bool, tail: int | None) -> None:
    """Show what the command of CONTAINER wrote, to standard output and standard error alike."""
    from reconciler.kernel import command_log  # noqa: PLC0415  # --help must not pay for it

    seen = look(settings)
    for block in command_log.logs(seen.run, seen.container(container), follow=follow, tail=tail):
        sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()
