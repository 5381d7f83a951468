"""``netapply graph``: the topology of manifests, or of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import options, session
from reconciler.cli.arguments import Arguments
from reconciler.cli.main import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.manifest.model import Manifest
    from reconciler.state import State


@click.command("graph")
@options.manifests
@click.option("--live", is_flag=True, help="What stands on the host: of all stacks, or of those that are named.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["mermaid", "dot", "svg", "html"]),
    default="mermaid",
    help="Mermaid for forges, DOT for Graphviz, a picture or a page.",
)
@click.pass_obj
def command(
    settings: Settings,
    arguments: Arguments,
    output_format: str,
    *,
    live: bool,
) -> None:
    """Draw networks, containers and ports: as the manifests have them, or with --live as the host has."""
    from reconciler.graph.topology import topology  # noqa: PLC0415  # --help must not pay for it

    if live:
        from reconciler.cli.look import look, stacks_named  # noqa: PLC0415  # a drawn manifest needs no host

        stacks = stacks_named(arguments)
        state, title = look(settings).observation.state, "netapply: the host"
    else:
        manifests = arguments.stacks()
        session.show_warnings([warning for manifest in manifests for warning in manifest.warnings])
        state, stacks = _made_by(manifests), None
        title = f"netapply: {', '.join(sorted(manifest.stack for manifest in manifests))}"
    found = topology(state, stacks=stacks)
    if output_format == "html":
        from reconciler.graph import page  # noqa: PLC0415  # only what this run draws is imported

        click.echo(page.render(found, title), nl=False)
    else:
        from reconciler.graph import dot, mermaid, svg  # noqa: PLC0415  # as above

        drawing = {"mermaid": mermaid, "dot": dot, "svg": svg}[output_format]
        click.echo(drawing.render(found), nl=False)


def _made_by(manifests: Sequence[Manifest]) -> State:
    """What they would make of a host on which nothing is, and which has the interfaces that they ask for."""
    from reconciler.desired.assumed import assumed_facts  # noqa: PLC0415  # --help must not pay for it
    from reconciler.desired.build import desired  # noqa: PLC0415  # as above
    from reconciler.observation import Observation  # noqa: PLC0415  # as above
    from reconciler.state import State  # noqa: PLC0415  # as above

    return desired(session.scope_of(manifests), Observation(State(), assumed_facts(manifests)))
