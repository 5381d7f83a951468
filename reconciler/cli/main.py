"""The command ``netapply``: global options, commands found by name, exit codes, errors for people."""

from __future__ import annotations

import difflib
import errno
import gc
import importlib
import io
import os
import sys
from dataclasses import dataclass

import click

from reconciler.cli import diagnostics
from reconciler.errors import NetapplyError, Problem

_COMMANDS = {
    "up": "up",
    "plan": "plan",
    "down": "down",
    "ps": "ps",
    "ls": "ls",
    "network": "network",
    "inspect": "inspect",
    "port": "port",
    "reach": "reach",
    "exec": "execute",
    "logs": "logs",
    "config": "config",
    "graph": "graph",
    "schema": "schema",
    "watch": "watch",
    "status": "status",
    "snapshot": "snapshot",
    "confirm": "confirm",
    "install-service": "install_service",
    "remove-ended": "remove_ended",
}


_ELSEWHERE = {
    "apply": "up",
    "build": "config",
    "create": "up",
    "destroy": "down",
    "delete": "down",
    "diff": "plan",
    "kill": "down",
    "list": "ls",
    "log": "logs",
    "restart": "up",
    "rm": "down",
    "run": "up",
    "start": "up",
    "stop": "down",
    "validate": "config",
}
"""What others call it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The global options."""

    host_name: str
    firewall: str
    log_format: str
    verbose: bool


class _Commands(click.Group):
    """Imports a command's module when it is asked for, so that the others cost nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx  # the same everywhere
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx  # the same everywhere
        module_name = _COMMANDS.get(cmd_name)
        if module_name is None:
            return None
        command = importlib.import_module(f"reconciler.cli.{module_name}").command
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and name not in _COMMANDS:
            near = _ELSEWHERE.get(name) or next(iter(difflib.get_close_matches(name, _COMMANDS, 1)), "")
            hint = f"did you mean netapply {near}?" if near else "netapply --help lists the commands"
            raise NetapplyError.of(f"there is no command {name!r}", hint=hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click does, with the whole first sentence of each instead of what fits into the line."""
        commands = [(name, self.get_command(ctx, name)) for name in _COMMANDS]
        rows = [(name, command.get_short_help_str(500)) for name, command in commands if command and not command.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="netapply", prog_name="netapply")
@click.option("-n", "--host", "host_name", metavar="HOST", default="", help="Run inside the network namespace HOST.")
@click.option(
    "--firewall", type=click.Choice(["auto", "nftables", "iptables"]), default="auto", help="The firewall backend."
)
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", help="How events are logged.")
@click.option("-v", "--verbose", is_flag=True, help="Say more.")
@click.pass_context
def netapply(ctx: click.Context, host_name: str, firewall: str, log_format: str, *, verbose: bool) -> None:
    """Make a Linux host's container networking look like a manifest, and nothing else."""
    ctx.obj = Settings(host_name, firewall, log_format, verbose)


def main(arguments: list[str] | None = None) -> None:
    """Run the command and end the process: 0 done, 1 error, 2 where a command defines it."""
    _complete_streams()
    sys.exit(_handed_over(run(arguments)))


def _complete_streams() -> None:
    """Have all three standard streams, and no text that they cannot take.

    One that the caller closed would get the number of the next file or socket that is opened, which
    would then be written to; and a name that the locale cannot encode would end a run half-way.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - a descriptor, for the process' whole life
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - as above
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115 - as above
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _handed_over(code: int) -> int:
    """The exit code, with what is still to be written handed over: Python itself would end with 120 if that fails."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if code != 1 and not isinstance(error, BrokenPipeError):
            diagnostics.show([Problem(f"standard output cannot be written: {error.strerror}")])
        return 1
    return code


def run(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    # A run makes some hundred thousand small objects, keeps nearly all of them, and ends: looking
    # for garbage among them takes a fifth of a plan for a thousand containers.
    gc.disable()
    try:
        result = netapply.main(args=arguments, prog_name="netapply", standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 1
    except click.ClickException as error:
        diagnostics.show([_usage_problem(error)])
        return 1
    except NetapplyError as error:
        diagnostics.show((*error.warnings, *error.problems))
        return 1
    except BrokenPipeError:
        # The reader went away; Python would complain again when it closes standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        # Whatever the system refuses where nobody expected it is still told in a sentence.
        place = f"{error.filename}: " if error.filename else ""
        hint = "root in a container may lack CAP_NET_ADMIN or CAP_SYS_ADMIN" if error.errno == errno.EPERM else ""
        diagnostics.show([Problem(f"{place}{error.strerror or error}", hint=hint)])
        return 1
    return result if isinstance(result, int) else 0


def _usage_problem(error: click.ClickException) -> Problem:
    """A fault of the command line in the form of all others; the hint is where the right usage stands."""
    message, near = error.format_message().rstrip("."), ""
    if isinstance(error, click.NoSuchOption):
        message = f"no such option '{error.option_name}'"
        near = f"did you mean {' or '.join(sorted(error.possibilities))}? " if error.possibilities else ""
    # Not the messages of ours that begin with an option, or with a word that is to be typed as it is.
    if message.startswith(("Missing", "Invalid", "Option", "Got unexpected")):
        message = message[0].lower() + message[1:]
    context = error.ctx if isinstance(error, click.UsageError) else None
    return Problem(message, hint=f"{near}see {context.command_path if context else 'netapply'} --help")
