"""``netapply plan``: what ``up`` would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import options, rendering, session
from reconciler.cli.main import Settings
from reconciler.desired.build import Scope

if TYPE_CHECKING:
    from reconciler.kernel.host import Host
    from reconciler.observation import Observation
    from reconciler.plan.plan import Plan


@click.command("plan")
@options.files
@options.merged
@options.stack_name
@options.profiles
@options.env_files
@options.adopt
@options.no_host_rule
@click.option(
    "--commands", "as_commands", is_flag=True, help="As the command lines of ip, nft or iptables and sysctl that do it."
)
@rendering.detail
@rendering.plan_format
@click.pass_obj
def command(
    settings: Settings,
    files: tuple[str, ...],
    merged: tuple[str, ...],
    stack_name: str | None,
    profiles: tuple[str, ...],
    env_files: tuple[str, ...],
    output_format: str,
    *,
    adopt: bool,
    no_host_rule: bool,
    as_commands: bool,
    detail: bool,
) -> int:
    """Show what `up` would change, and change nothing. Exit 0: nothing to do, 2: changes, 1: error."""
    if as_commands and output_format != "text":
        raise click.UsageError(f"--commands are lines for a shell; leave --format {output_format} away")
    manifests = session.manifests_of(files, merged, stack_name, profiles, env_files)
    scope = session.scope_of(manifests, adopt=adopt, host_rule=not no_host_rule)
    return show(settings, scope, "commands" if as_commands else output_format, detail=detail)


def show(settings: Settings, scope: Scope, output_format: str, *, detail: bool = False) -> int:
    """Plan for a scope and print it; the exit code of ``plan``."""
    from reconciler.reconcile import make_plan  # noqa: PLC0415  # --help must not pay for it

    with session.machine_of(settings, writing=False) as machine:
        observation = machine.observe(scope.host_ports)
        plan, wanted = make_plan(scope, observation)
    session.show_warnings(session.warnings_of(scope, plan))
    if output_format == "commands":
        click.echo(_commands(plan, observation, machine.host), nl=False)
    else:
        before, after = observation.state, wanted
        shown = rendering.rendered(plan, before, after, scope.stacks, output_format, detail=detail)
        click.echo(shown, nl=False, color=rendering.has_colour())
    return 2 if plan.steps else 0


def _commands(plan: Plan, observation: Observation, host: Host) -> str:
    from reconciler.kernel import sysctl  # noqa: PLC0415  # only what this run prints is imported
    from reconciler.plan.commands import script  # noqa: PLC0415  # as above
    from reconciler.plan.commands.place import Place  # noqa: PLC0415  # as above

    settings = sysctl.load_record(host.run)
    place = Place(host.host_id, str(host.run), lambda namespace: str(host.namespace_path(namespace)), settings)
    return script.render(plan, observation.state, place)
