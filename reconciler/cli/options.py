"""Options and arguments that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from reconciler.cli.arguments import Arguments

Result = TypeVar("Result")


def _one_name(_context: click.Context, _option: click.Parameter, names: tuple[str, ...]) -> str | None:
    if len(names) > 1:
        raise click.UsageError(f"-p takes one name: {', '.join(names)} are for one run each")
    return names[0] if names else None


_FILES = click.argument("files", nargs=-1, metavar="[FILE]...")
_OTHERS = (
    click.option("-f", "--file", "merged", multiple=True, metavar="FILE", help="Merge these files into one stack."),
    click.option(
        *("-p", "--project-name", "stack_name"),
        multiple=True,
        callback=_one_name,
        metavar="NAME",
        help="The stack's name.",
    ),
    click.option("--profile", "profiles", multiple=True, metavar="NAME", help="Containers of this profile, too."),
    click.option(
        "--env-file", "env_files", multiple=True, metavar="FILE", help="Take variables from this file instead of .env."
    ),
)


def manifests(command: Callable[..., Result]) -> Callable[..., Result]:
    """What says which manifests are meant, given to the command as its keyword ``arguments``, an ``Arguments``."""
    return _FILES(merged_manifests(command))


def merged_manifests(command: Callable[..., Result]) -> Callable[..., Result]:
    """The same for a command that has other positional arguments: of files only those after ``-f``."""

    @functools.wraps(command)
    def gathered(
        *context: Any,
        merged: tuple[str, ...],
        stack_name: str | None,
        profiles: tuple[str, ...],
        env_files: tuple[str, ...],
        files: tuple[str, ...] = (),
        **others: Any,
    ) -> Result:
        arguments = Arguments(files, merged, stack_name, profiles, env_files)
        return command(*context, arguments=arguments, **others)

    return functools.reduce(lambda made, option: option(made), reversed(_OTHERS), gathered)


adopt = click.option("--adopt", is_flag=True, help="Take over a stack of the same name from another manifest.")
no_host_rule = click.option(
    "--no-host-rule",
    is_flag=True,
    help="Where the host's own firewall drops our traffic, warn instead of adding a rule.",
)
json_format = click.option(
    "--format", "output_format", type=click.Choice(["text", "json"]), default="text", help="For people or programs."
)
