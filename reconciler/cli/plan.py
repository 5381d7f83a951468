"""``netapply plan``: what ``up`` would do."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from reconciler.cli import options, rendering, session
from reconciler.cli.arguments import Arguments
from reconciler.cli.main import Settings
from reconciler.desired.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.cli.without_host import Instead
    from reconciler.kernel.host import Host
    from reconciler.observation import Observation
    from reconciler.plan.plan import Plan
    from reconciler.state import State

    Keep = Callable[[Observation, State, Plan], None]


@click.command("plan")
@options.manifests
@options.adopt
@options.no_host_rule
@click.option(
    "--commands", "as_commands", is_flag=True, help="As the command lines of ip, nft or iptables and sysctl that do it."
)
@click.option("--observed", metavar="FILE", default="", help="Against a snapshot instead of this host.")
@click.option(
    "--base",
    metavar="OLD",
    default="",
    help="Against what other manifests would have made: a file, a directory, or git:REF.",
)
@click.option("--out", metavar="FILE", default="", help="Save the plan, so that `up FILE` does exactly that.")
@rendering.detail
@rendering.with_matrix
@rendering.plan_format
@click.pass_obj
def command(
    settings: Settings,
    arguments: Arguments,
    output_format: str,
    observed: str,
    base: str,
    out: str,
    *,
    adopt: bool,
    no_host_rule: bool,
    as_commands: bool,
    detail: bool,
    with_matrix: bool,
) -> int:
    """Show what `up` would change, and change nothing. Exit 0: nothing to do, 2: changes, 1: error."""
    if as_commands and output_format != "text":
        raise click.UsageError(f"--commands are lines for a shell; leave --format {output_format} away")
    if with_matrix and as_commands:
        raise click.UsageError("--commands are lines for a shell; leave --matrix away")
    manifests = arguments.stacks()
    scope = session.scope_of(manifests, adopt=adopt, host_rule=not no_host_rule)
    keep = partial(_save, out, arguments, settings.firewall, scope) if out else None
    if observed or base:
        if as_commands:
            raise click.UsageError("--commands are those of this host; leave --observed and --base away")
        if out and base:
            raise click.UsageError("--out saves what `up` can do on a host; --base speaks of none")
        from reconciler.cli.without_host import Instead  # noqa: PLC0415  # most runs are about this host

        instead = Instead(observed, base)
        return show_without_host(
            settings, scope, instead, arguments, output_format, detail=detail, with_matrix=with_matrix, keep=keep
        )
    form = "commands" if as_commands else output_format
    return show(settings, scope, form, detail=detail, with_matrix=with_matrix, keep=keep)


def _save(
    out: str,
    arguments: Arguments,
    firewall: str,
    scope: Scope,
    observation: Observation,
    wanted: State,
    plan: Plan,
) -> None:
    from reconciler.cli import saved_plan  # noqa: PLC0415  # most plans are only shown

    saved_plan.save(out, arguments, firewall, scope, observation, wanted, plan)
    click.echo(f"Saved as {out}; to do exactly this: netapply up {out}", err=True)


def show_without_host(
    settings: Settings,
    scope: Scope,
    instead: Instead,
    arguments: Arguments,
    output_format: str,
    *,
    detail: bool,
    with_matrix: bool = False,
    keep: Keep | None = None,
) -> int:
    """The same against a snapshot or other manifests: nothing of this machine is looked at."""
    from reconciler.cli.without_host import planned  # noqa: PLC0415  # most runs are about this host

    found = planned(instead, scope, arguments, settings.firewall)
    session.show_warnings((*session.warnings_of(scope, found.plan), *found.warnings))
    before, after = found.before.state, found.after
    facts = found.before.facts if with_matrix else None
    shown = rendering.rendered(found.plan, before, after, scope.stacks, output_format, facts, detail=detail)
    click.echo(shown, nl=False, color=rendering.has_colour())
    if keep:
        keep(found.before, after, found.plan)
    return 2 if found.plan.steps else 0


def show(
    settings: Settings,
    scope: Scope,
    output_format: str,
    *,
    detail: bool = False,
    with_matrix: bool = False,
    keep: Keep | None = None,
) -> int:
    """Plan for a scope, print it, and have it kept where that is asked for; the exit code of ``plan``."""
    from reconciler.reconcile import make_plan  # noqa: PLC0415  # --help must not pay for it

    with session.machine_of(settings, writing=False) as machine:
        observation = machine.observe(scope.host_ports, attachable=scope.attachable)
        plan, wanted = make_plan(scope, observation)
    session.show_warnings(session.warnings_of(scope, plan))
    if output_format == "commands":
        click.echo(_commands(plan, observation, machine.host), nl=False)
    else:
        before, after = observation.state, wanted
        facts = observation.facts if with_matrix else None
        shown = rendering.rendered(plan, before, after, scope.stacks, output_format, facts, detail=detail)
        click.echo(shown, nl=False, color=rendering.has_colour())
    if keep:
        keep(observation, wanted, plan)
    return 2 if plan.steps else 0


def _commands(plan: Plan, observation: Observation, host: Host) -> str:
    from reconciler.kernel import sysctl  # noqa: PLC0415  # only what this run prints is imported
    from reconciler.plan.commands import script  # noqa: PLC0415  # as above
    from reconciler.plan.commands.place import Place  # noqa: PLC0415  # as above

    settings = sysctl.load_record(host.run)
    place = Place(host.host_id, str(host.run), lambda namespace: str(host.namespace_path(namespace)), settings)
    return script.render(plan, observation.state, place)
