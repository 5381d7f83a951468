"""``netapply exec``: run a command inside a container."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import click

from reconciler.cli.look import look
from reconciler.cli.main import Settings
from reconciler.errors import NetapplyError


@click.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("-T", "--no-tty", is_flag=True, help="No terminal inside, even where there is one here.")
@click.option("-i", "-t", "asked", is_flag=True, hidden=True)
@click.argument("container")
@click.argument("words", metavar="COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def command(settings: Settings, container: str, words: tuple[str, ...], *, no_tty: bool, asked: bool) -> None:
    """Run COMMAND inside CONTAINER; the exit status is the command's.

    With a command of its own, the container shows its files, user and environment; without one,
    the host's files and the container's network.
    """
    del asked  # hands used to 'exec -it' type it; a terminal is passed on anyway
    from reconciler.kernel import runtime_access  # noqa: PLC0415  # --help must not pay for it
    from reconciler.kernel.processes import CLEAN_ENVIRONMENT  # noqa: PLC0415  # as above

    if words[0] == "--" and len(words) > 1:
        words = words[1:]
    seen = look(settings)
    view = seen.view(seen.container(container))
    if view.state == "sandbox":
        arguments = runtime_access.sandbox_exec_argv(Path(view.netns), words)
        environment = dict(os.environ)
    else:
        terminal = not no_tty and sys.stdin.isatty() and sys.stdout.isatty()
        arguments = runtime_access.exec_argv(seen.run, view.container, words, terminal=terminal)
        environment = CLEAN_ENVIRONMENT
    program = shutil.which(arguments[0], path=CLEAN_ENVIRONMENT["PATH"])
    if program is None:
        raise NetapplyError.of(f"{arguments[0]} is not installed", hint=_PACKAGES.get(arguments[0], ""))
    # The host's lock is free by now: the command may run for days.
    sys.stdout.flush()
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        # What Python ignores would stay ignored in the command.
        signal.signal(ignored, signal.SIG_DFL)
    os.execve(program, arguments, environment)  # noqa: S606  # a program and its arguments: what a shell would spoil


_PACKAGES = {"ip": "install the package iproute2", "unshare": "install the package util-linux"}
