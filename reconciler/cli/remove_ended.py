"""``netapply remove-ended``: what the agent runs for jobs (``rm: true``) whose command has ended."""

from __future__ import annotations

import click

from reconciler.cli import session
from reconciler.cli.main import Settings
from reconciler.desired.host import host_resources
from reconciler.desired.jobs import without_job
from reconciler.plan.diff import diff
from reconciler.plan.plan import Plan, order
from reconciler.resources.job import Job
from reconciler.state import State


@click.command("remove-ended", hidden=True)
@click.argument("containers", nargs=-1)
@click.pass_obj
def command(settings: Settings, containers: tuple[str, ...]) -> int:
    """Remove each container (stack/name) that is a job and does not run any more, with all that it had."""
    from reconciler import reconcile  # noqa: PLC0415  # plans without a host must not need Linux

    with session.machine_of(settings, writing=True) as machine:
        for container in containers:
            observation = machine.observe()
            runtime = observation.runtimes.get(container)
            job = any(isinstance(each, Job) and each.container == container for each in observation.state)
            # Meanwhile it may have been started anew, or taken out of the manifest.
            if not job or runtime is None or runtime.pid is not None:
                continue
            stacks = without_job(observation, container)
            wanted = stacks.merged(State(host_resources(stacks, observation)))
            steps = order(diff(observation.state, wanted), observation.state, wanted)
            outcome = reconcile.apply(machine, Plan(steps), wanted)
            if outcome.problems:
                session.show_warnings(outcome.problems)
                return 1
    return 0
