"""``netapply port``: what a container publishes, and which container has a port of the host."""

from __future__ import annotations

from dataclasses import asdict

import click

from reconciler.cli import diagnostics, options
from reconciler.cli.look import Look, look, print_json
from reconciler.cli.main import Settings
from reconciler.errors import NetapplyError, Problem
from reconciler.views.containers import ContainerView
from reconciler.views.entrances import Entrances
from reconciler.views.ports import Holder, PublishedView, WantedPort, holders, ports_by_container, wanted_port


@click.command("port")
@click.argument("container", required=False)
@click.argument("port", metavar="[PORT[/PROTOCOL]]", required=False)
@click.option("--reverse", metavar="PORT[/PROTOCOL]", help="Which container has this port of the host.")
@options.json_format
@click.pass_obj
def command(
    settings: Settings, container: str | None, port: str | None, reverse: str | None, output_format: str
) -> None:
    """Show the published ports of CONTAINER: `80/tcp -> 0.0.0.0:32768`."""
    if (container is None) == (reverse is None):
        raise click.UsageError("name a container, or ask for a port of the host with --reverse")
    wanted = wanted_port(text) if (text := port or reverse) else None
    seen = look(settings)
    if container is None:
        assert wanted is not None  # noqa: S101  # for the type checker: --reverse was given
        _show_holders(_holders(seen, wanted), output_format)
    else:
        identity = seen.container(container)
        ports = _ports(seen, identity, wanted)
        if not ports:
            diagnostics.show([_none_published(seen.view(identity))])
        _show_ports(ports, output_format)


def _none_published(view: ContainerView) -> Problem:
    """What is said instead of nothing; of a container in another's network, whose ports are meant."""
    _, joined, owner = view.network_mode.partition("container:")
    hint = f"it uses the network of {owner}, to which the ports belong: netapply port {owner}" if joined else ""
    others = "; ".join(Entrances(view.floating, view.open).words())
    return Problem(
        f"container {view.container} publishes no port{f', but: {others}' if others else ''}",
        hint=hint,
        severity="note",
    )


def _ports(seen: Look, container: str, wanted: WantedPort | None) -> tuple[PublishedView, ...]:
    every = ports_by_container(seen.observation.state).get(container, ())
    if wanted is None:
        return every
    found = tuple(port for port in every if wanted.is_met_by(port.target, port.protocol))
    if not found:
        published = ", ".join(dict.fromkeys(port.inside for port in every)) or "nothing"
        raise NetapplyError.of(f"container {container} does not publish {wanted}", hint=f"it publishes {published}")
    return found


def _holders(seen: Look, wanted: WantedPort) -> tuple[Holder, ...]:
    found = holders(seen.observation.state, wanted)
    if not found:
        raise NetapplyError.of(f"no container has port {wanted} of the host", hint="netapply ps shows all ports")
    return found


def _show_ports(ports: tuple[PublishedView, ...], output_format: str) -> None:
    if output_format == "json":
        print_json([asdict(port) for port in ports])
        return
    for port in ports:
        click.echo(f"{port.inside} -> {port.outside}")


def _show_holders(found: tuple[Holder, ...], output_format: str) -> None:
    if output_format == "json":
        print_json([{**_names(holder), **asdict(holder.port)} for holder in found])
        return
    for line in dict.fromkeys(holder.inside for holder in found):
        click.echo(line)


def _names(holder: Holder) -> dict[str, str]:
    stack, _, name = holder.container.partition("/")
    return {"stack": stack, "name": name}
