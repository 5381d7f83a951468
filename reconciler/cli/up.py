"""``netapply up``: make the host like the manifest."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from reconciler.cli import interruption, options, session
from reconciler.cli.arguments import Arguments, is_saved_plan
from reconciler.cli.main import Settings
from reconciler.cli.report import Report
from reconciler.desired.scope import Scope
from reconciler.errors import NetapplyError, Problem

if TYPE_CHECKING:
    from reconciler.cli.saved_plan import Reviewed
    from reconciler.kernel.machine import Machine
    from reconciler.plan.plan import Plan, Step
    from reconciler.reconcile import Outcome
    from reconciler.state import State


@click.command("up")
@options.manifests
@options.adopt
@options.no_host_rule
@click.option("-d", "--detach", "asked", is_flag=True, hidden=True)
@click.option("--dry-run", is_flag=True, help="The same as `plan`.")
@click.option(
    "--confirm",
    "seconds",
    type=click.IntRange(1, 86_400),
    metavar="SECONDS",
    help="Undo everything unless `netapply confirm` follows within that time.",
)
@click.pass_obj
def command(
    settings: Settings,
    arguments: Arguments,
    seconds: int | None,
    *,
    adopt: bool,
    no_host_rule: bool,
    dry_run: bool,
    asked: bool,
) -> int:
    """Make the host like the manifest: plan, execute, verify; roll back on failure."""
    del asked  # hands used to 'up -d' type it; commands always go on by themselves
    path, *files = arguments.files or ("",)
    if path and is_saved_plan(path):
        if arguments.stack_name or arguments.profiles or adopt or no_host_rule or dry_run:
            raise click.UsageError(f"{path} is a saved plan: it says all but where the manifests are")
        return _apply_saved(settings, path, replace(arguments, files=tuple(files)), seconds)
    manifests = arguments.stacks()
    scope = session.scope_of(manifests, adopt=adopt, host_rule=not no_host_rule)
    if dry_run:
        from reconciler.cli.plan import show  # noqa: PLC0415  # only this way needs it

        return show(settings, scope, "text")
    return apply(settings, scope, seconds=seconds)


def _apply_saved(settings: Settings, path: str, given: Arguments, seconds: int | None) -> int:
    """Do what was reviewed, and nothing if that is not what would be done."""
    from reconciler.cli import saved_plan  # noqa: PLC0415  # most runs have none

    reviewed = saved_plan.load(path)
    plan = reviewed.plan
    scope = session.scope_of(saved_plan.manifests_of(reviewed, given), adopt=plan.adopt, host_rule=plan.host_rule)
    firewall = plan.firewall if settings.firewall == "auto" else settings.firewall
    return apply(replace(settings, firewall=firewall), scope, reviewed, seconds)


def apply(
    settings: Settings,
    scope: Scope,
    reviewed: Reviewed | None = None,
    seconds: int | None = None,
    nothing: Problem | None = None,
) -> int:
    """Plan, execute and verify for a scope, with a line for each change.

    With ``seconds`` it is undone unless it is confirmed within them. ``nothing`` is said where there is
    nothing to do. Raises NetapplyError where
    that is not the plan that was ``reviewed``, or where another run waits to be confirmed, with nothing done.
    """
    from reconciler import reconcile  # noqa: PLC0415  # usage errors must not pay for it
    from reconciler.cli import watched  # noqa: PLC0415  # as above
    from reconciler.kernel import unconfirmed  # noqa: PLC0415  # as above

    with session.machine_of(settings, writing=True) as machine:
        unconfirmed.refuse(machine.host)
        observation = machine.observe(scope.host_ports, attachable=scope.attachable)
        plan, wanted = reconcile.make_plan(scope, observation)
        if reviewed:
            reviewed.check(observation, wanted, plan)
        session.show_warnings(session.warnings_of(scope, plan))
        if not plan.steps:
            session.show_warnings([nothing] if nothing else [])
            click.echo("Nothing to do.")
            return 0
        session.show_warnings([*watched.undone_by_watcher(machine.host.run, scope, plan)])
        report = Report(plan)
        until = 0.0
        if seconds is None:
            outcome = _carried_out(machine, plan, wanted, report)
        else:
            from reconciler.cli import guard  # noqa: PLC0415  # most runs have none

            with guard.guarded(machine.host, scope, plan, observation, seconds) as guarded:
                outcome = _carried_out(machine, plan, wanted, report)
                until = guarded.finished(outcome)
    report.ended(outcome)
    if until:
        report.write(_confirmation(settings, until))
    if outcome.problems:
        report.flush()
        # Stacks that were interrupted one after another say so once.
        raise NetapplyError(dict.fromkeys(outcome.problems))
    report.close()
    return 0


def _carried_out(machine: Machine, plan: Plan, wanted: State, report: Report) -> Outcome:
    from reconciler import reconcile  # noqa: PLC0415  # as in apply

    with interruption.deferred(plan) as interrupted:

        def progress(step: Step) -> None:
            report.done(step)
            interrupted.check(step)

        return reconcile.apply(machine, plan, wanted, progress)


def _confirmation(settings: Settings, until: float) -> str:
    host = f"-n {settings.host_name} " if settings.host_name else ""
    clock = time.strftime("%H:%M:%S", time.localtime(until))
    return f"Keep it with `netapply {host}confirm` until {clock}, or everything is undone."
