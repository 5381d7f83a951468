"""``netapply status``: what the running watcher of this host says of itself."""

from __future__ import annotations

import os
from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.look import print_json
from reconciler.cli.main import Settings
from reconciler.errors import NetapplyError

_PATIENCE = 10.0
"""Seconds of waiting for the answer."""


@click.command("status")
@options.json_format
@click.pass_obj
def command(settings: Settings, output_format: str) -> int:
    """Ask the running `watch` of this host. Exit 0: all in sync, 2: not, 1: error, or nobody watches."""
    from reconciler.watch import report  # noqa: PLC0415  # usage errors must not pay for it

    status = _ask(settings)
    if output_format == "json":
        print_json(status)
    else:
        click.echo(report.render(status), nl=False)
    return 0 if report.is_well(status) else 2


def _ask(settings: Settings) -> dict[str, Any]:
    from reconciler.kernel import host  # noqa: PLC0415  # as above
    from reconciler.watch.asking import SilentError, ask  # noqa: PLC0415  # as above

    if os.geteuid() != 0:
        raise NetapplyError.of("only root may ask the watcher", hint="run with sudo")
    entered = host.enter(settings.host_name)
    try:
        return ask(entered.run, _PATIENCE, _note)
    except SilentError as error:
        raise _silent(f"{error} within {_PATIENCE:.0f} seconds", error.pid) from None
    except BlockingIOError:
        raise _silent("so many ask already that it has no room for another one") from None
    except (OSError, ValueError):
        raise NetapplyError.of("nobody watches this host", hint="start it with: netapply watch DIR") from None


def _note(pid: int) -> None:
    click.echo(f"note: waiting for the watcher, process {pid}, which is busy or stopped", err=True)


def _silent(why: str, pid: int | None = None) -> NetapplyError:
    resume = f"; if somebody stopped it: kill -CONT {pid}" if pid else ""
    return NetapplyError.of(f"the watcher does not answer: {why}", hint=f"its log says what it does{resume}")
