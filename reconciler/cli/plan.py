"""``netapply plan``: what ``up`` would do."""

from __future__ import annotations

import json

import click

from reconciler.cli import options, session
from reconciler.cli.main import Settings
from reconciler.desired.build import Scope


@click.command("plan")
@options.files
@options.merged
@options.stack_name
@options.profiles
@options.env_files
@options.adopt
@options.no_host_rule
@options.json_format
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
) -> int:
    """Show what `up` would change, and change nothing. Exit 0: nothing to do, 2: changes, 1: error."""
    manifests = session.manifests_of(files, merged, stack_name, profiles, env_files)
    scope = session.scope_of(manifests, adopt=adopt, host_rule=not no_host_rule)
    return show(settings, scope, output_format)


def show(settings: Settings, scope: Scope, output_format: str) -> int:
    """Plan for a scope and print it; the exit code of ``plan``."""
    from reconciler.plan import document, text  # noqa: PLC0415  # only what this run prints is imported
    from reconciler.reconcile import make_plan  # noqa: PLC0415  # as above

    with session.machine_of(settings, writing=False) as machine:
        plan, _ = make_plan(scope, machine.observe(scope.host_ports))
    session.show_warnings(session.warnings_of(scope, plan))
    if output_format == "json":
        click.echo(json.dumps(document.document(plan, sorted(scope.stacks)), indent=2))
    else:
        click.echo(text.render(plan), nl=False)
    return 2 if plan.steps else 0
