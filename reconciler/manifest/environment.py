"""The environment of a container's process: ``environment``, and the files of ``env_file`` under it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.errors import NetapplyError
from reconciler.manifest.characters import is_possible
from reconciler.manifest.dotenv import parse_dotenv
from reconciler.manifest.models import ContainerPart, EnvFilePart
from reconciler.manifest.process import pairs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.manifest.context import Context

_RAW = "raw"


def convert_environment(
    part: ContainerPart, name: str, context: Context, process_environment: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """Names and values; a name without value takes that of netapply's own environment, or goes.

    A file that is missing is an error only where there is a process to miss it.
    """
    result = _from_files(part, name, context, process_environment) if part.env_file else {}
    for variable, given, step in pairs(part.environment):
        if not variable or "=" in variable or "\0" in variable:
            source = context.at("containers", name, "environment", step)
            context.faults.add("an environment variable without a name", source, "write NAME=VALUE")
            continue
        content = given if given is not None else process_environment.get(variable)
        if content and not is_possible(content):
            source = context.at("containers", name, "environment", step)
            context.faults.add(f"the value of variable {variable} is no UTF-8 text", source, "set it anew")
            continue
        if content is not None:
            result[variable] = content
    return tuple(result.items())


def _from_files(
    part: ContainerPart, name: str, context: Context, process_environment: Mapping[str, str]
) -> dict[str, str]:
    found: dict[str, str] = {}
    given = part.env_file
    several = isinstance(given, list)
    for index, entry in enumerate(given if isinstance(given, list) else [given]):
        file = entry if isinstance(entry, EnvFilePart) else EnvFilePart(path=entry or "")
        path = ("containers", name, "env_file", *((index,) if several else ()))
        if file.format not in {None, "", _RAW}:
            hint = context.faults.nearest(file.format or "", [_RAW]) or "leave it out, or write raw"
            context.faults.add(f"unknown format '{file.format}'", context.at(*path, "format"), hint)
        if not file.path:
            continue
        try:
            text = context.read_file(file.path)
        except NetapplyError as error:
            if file.required is not False:
                note = context.faults.add if part.command or part.entrypoint else context.faults.warn
                note(error.problems[0].message, context.at(*path, *(("path",) if entry is file else ())))
            continue
        if not is_possible(text):
            context.faults.add(f"{file.path} is no text: it holds the character U+0000", context.at(*path))
            continue
        raw = file.format == _RAW
        parse_dotenv(text, file.path, process_environment, context.faults, found=found, room=context.room, raw=raw)
    return found
