"""``netapply snapshot``: what stands on the host, for plans elsewhere."""

from __future__ import annotations

import json

import click

from reconciler.cli import session
from reconciler.cli.main import Settings

_PORTS = range(1, 1 << 16)


@click.command("snapshot")
@click.pass_obj
def command(settings: Settings) -> None:
    """Write the observed state as JSON, for `plan --observed FILE` elsewhere. There are no secrets in it."""
    from reconciler.snapshot import observation_to_document  # noqa: PLC0415  # --help must not pay for it

    # Whoever holds a port is named: elsewhere nobody can look.
    everywhere = frozenset((protocol, port) for protocol in ("tcp", "udp") for port in _PORTS)
    with session.machine_of(settings, writing=False) as machine:
        observation = machine.observe(everywhere)
    click.echo(json.dumps(observation_to_document(observation), indent=1))
