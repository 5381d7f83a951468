"""The command ``netapply``: global options, commands found by name, exit codes, errors for people."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from dataclasses import dataclass

import click

from reconciler.cli import diagnostics
from reconciler.errors import NetapplyError

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
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    # A run makes some hundred thousand small objects, keeps nearly all of them, and ends: looking
    # for garbage among them takes a fifth of a plan for a thousand containers.
    gc.disable()
    try:
        result = netapply.main(args=arguments, prog_name="netapply", standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return 1
    except NetapplyError as error:
        diagnostics.show(error.problems)
        return 1
    except BrokenPipeError:
        # The reader went away; Python would complain again when it closes standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        # Whatever the system refuses where nobody expected it is still told in a sentence.
        place = f"{error.filename}: " if error.filename else ""
        click.echo(f"error: {place}{error.strerror or error}", err=True)
        return 1
    return result if isinstance(result, int) else 0
