"""``netapply config``: the manifest as netapply understands it."""

from __future__ import annotations

import click

from reconciler.cli import options, session
from reconciler.cli.arguments import Arguments
from reconciler.cli.look import print_json


@click.command("config")
@options.manifests
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "yaml", "json"]),
    default="text",
    help="For people (which is YAML) or programs.",
)
def command(
    arguments: Arguments,
    output_format: str,
) -> None:
    """Show the manifest interpolated, merged, in long forms, with defaults. Environment values stay hidden."""
    manifests = arguments.stacks()
    from reconciler.manifest import canonical  # noqa: PLC0415  # --help must not pay for it

    session.show_warnings([warning for manifest in manifests for warning in manifest.warnings])
    if output_format != "json":
        click.echo("---\n".join(canonical.render(manifest) for manifest in manifests), nl=False)
        return
    documents = [canonical.canonical(manifest) for manifest in manifests]
    # One stack, the usual case, is an object; several are a list of them.
    print_json(documents[0] if len(documents) == 1 else documents)
