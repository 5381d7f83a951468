"""``netapply up``: make the host like the manifest."""

from __future__ import annotations

import sys

import click

from reconciler.cli import options, session
from reconciler.cli.main import Settings
from reconciler.desired.build import Scope
from reconciler.errors import NetapplyError
from reconciler.plan import text
from reconciler.plan.plan import Step
from reconciler.plan.progress import Progress


@click.command("up")
@options.files
@options.merged
@options.stack_name
@options.profiles
@options.env_files
@options.adopt
@options.no_host_rule
@click.option("--dry-run", is_flag=True, help="The same as `plan`.")
@click.pass_obj
def command(
    settings: Settings,
    files: tuple[str, ...],
    merged: tuple[str, ...],
    stack_name: str | None,
    profiles: tuple[str, ...],
    env_files: tuple[str, ...],
    *,
    adopt: bool,
    no_host_rule: bool,
    dry_run: bool,
) -> int:
    """Make the host like the manifest: plan, execute, verify; roll back on failure."""
    manifests = session.manifests_of(files, merged, stack_name, profiles, env_files)
    scope = session.scope_of(manifests, adopt=adopt, host_rule=not no_host_rule)
    if dry_run:
        from reconciler.cli.plan import show  # noqa: PLC0415  # only this way needs it

        return show(settings, scope, "text")
    return apply(settings, scope)


def apply(settings: Settings, scope: Scope) -> int:
    """Plan, execute and verify for a scope, with a line for each change."""
    from reconciler import reconcile  # noqa: PLC0415  # usage errors must not pay for it

    with session.machine_of(settings, writing=True) as machine:
        plan, wanted = reconcile.make_plan(scope, machine.observe(scope.host_ports))
        session.show_warnings(session.warnings_of(scope, plan))
        if not plan.steps:
            click.echo("Nothing to do.")
            return 0
        progress = Progress(plan)
        outcome = reconcile.apply(machine, plan, wanted, lambda step: _show_done(step, progress))
    for step in outcome.undone:
        click.echo(f"undone: {text.done_line(step.change)}")
    if outcome.problems:
        raise NetapplyError(outcome.problems)
    click.echo(progress.summary())
    return 0


def _show_done(step: Step, progress: Progress) -> None:
    line = progress.done(step.change)
    if line is None:
        return
    # Not echo, which flushes each line: five thousand of them into a pipe would take a tenth of the time.
    sys.stdout.write(f"{line}\n")
