"""Options and arguments that several commands share."""

from __future__ import annotations

import click

files = click.argument("files", nargs=-1, metavar="[FILE]...")
merged = click.option("-f", "--file", "merged", multiple=True, metavar="FILE", help="Merge these files into one stack.")
stack_name = click.option("-p", "--project-name", "stack_name", metavar="NAME", help="The stack's name.")
profiles = click.option("--profile", "profiles", multiple=True, metavar="NAME", help="Containers of this profile, too.")
env_files = click.option(
    "--env-file", "env_files", multiple=True, metavar="FILE", help="Take variables from this file instead of .env."
)
adopt = click.option("--adopt", is_flag=True, help="Take over a stack of the same name from another manifest.")
no_host_rule = click.option(
    "--no-host-rule",
    is_flag=True,
    help="Where the host's own firewall drops our traffic, warn instead of adding a rule.",
)
json_format = click.option(
    "--format", "output_format", type=click.Choice(["text", "json"]), default="text", help="For people or programs."
)
