"""``netapply inspect``: one container, network or stack, whatever the name is."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli.look import Look, look, print_json
from reconciler.cli.main import Settings
from reconciler.views import containers, homes, networks, stacks
from reconciler.views.names import KINDS, Named, choose, named_containers, named_networks


@click.command("inspect")
@click.argument("name")
@click.option("--type", "kind", type=click.Choice(KINDS), help="Where several things have this name: which one.")
@click.option("--format", "output_format", type=click.Choice(["json"]), default="json", help="JSON is the only one.")
@click.pass_obj
def command(settings: Settings, name: str, kind: str | None, output_format: str) -> None:
    """Show all about NAME, a container, network or stack, as JSON; STACK/NAME where several have the name."""
    del output_format  # there is but one
    seen = look(settings)
    candidates = [each for each in _all(seen) if kind in {None, each.kind}]
    print_json(_details(seen, choose(name, candidates, kind or "container, network or stack")))


def _all(seen: Look) -> list[Named]:
    return [
        *named_containers(homes.names(seen.observation.state)),
        *named_networks((view.id, view.name, view.key) for view in networks.networks(seen.observation.state)),
        *(Named("stack", view.name) for view in stacks.stacks(seen.observation)),
    ]


def _details(seen: Look, found: Named) -> dict[str, Any]:
    if found.kind == "container":
        return containers.details(seen.observation, seen.view(found.identity))
    if found.kind == "stack":
        return stacks.details(seen.observation, found.identity, seen)
    state = seen.observation.state
    view = next(view for view in networks.networks(state) if view.id == found.identity)
    return {"kind": "network", **networks.details(state, view)}
