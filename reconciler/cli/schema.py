"""``netapply schema``: the JSON Schema of manifests."""

from __future__ import annotations

import click


@click.command("schema")
def command() -> None:
    """Show the JSON Schema (2020-12) of manifests, for editors and validators."""
    from reconciler.manifest import schema  # noqa: PLC0415  # --help must not pay for pydantic

    click.echo(schema.text(), nl=False)
