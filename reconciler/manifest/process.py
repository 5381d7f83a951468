"""The process of a container: command and kernel settings."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from reconciler.manifest.faults import FormError
from reconciler.manifest.options import parse_sysctl_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.manifest.context import Context
    from reconciler.manifest.models import ContainerPart

RESTARTS = ("no", "always", "on-failure", "unless-stopped")
_TIMES = re.compile("[0-9]{1,9}")
_IPC_SYSCTLS = ("kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue.")


def convert_command(
    entrypoint: str | list[str] | None,
    command: str | list[str] | None,
    name: str,
    context: Context,
) -> tuple[str, ...] | None:
    """The argument list to run, None for a sandbox."""
    words = _words(entrypoint, context, name, "entrypoint") + _words(command, context, name, "command")
    if words and "\0" in "".join(words):
        context.faults.add("a command cannot hold the character of code 0", context.at("containers", name, "command"))
    return tuple(words) or None


def _words(value: str | list[str] | None, context: Context, name: str, key: str) -> list[str]:
    if isinstance(value, list) or value is None:
        return value or []
    try:
        return shlex.split(value)
    except ValueError as error:
        source = context.at("containers", name, key)
        context.faults.add(f"{key} cannot be split into words: {str(error).lower()}", source, "write it as a list")
        return []


def convert_sysctls(
    value: Mapping[str, str | None] | list[str] | None,
    name: str,
    network_mode: str | None,
    context: Context,
) -> tuple[tuple[str, str], ...]:
    """Kernel settings of the network namespace, names with dots; no value is empty text."""
    result: dict[str, str] = {}
    for setting, given, step in pairs(value):
        source = context.at("containers", name, "sysctls", step)
        try:
            canonical = parse_sysctl_name(setting)
            if canonical.startswith(_IPC_SYSCTLS):
                context.faults.warn(f"kernel setting {canonical} is not of networking, not used", source)
                continue
            if not canonical.startswith("net."):
                message = f"kernel setting {canonical} is the whole host's, not a container's"
                raise FormError(message, "only net.* can be set here")  # noqa: TRY301  # one way out for both faults
            if network_mode is not None and network_mode not in {"none", "bridge"}:
                message = f"{canonical} would change another's namespace: network_mode is {network_mode}"
                raise FormError(message, "set it where that namespace is made")  # noqa: TRY301  # as above
        except FormError as error:
            context.faults.add_form(error, source)
            continue
        result[canonical] = given or ""
    return tuple(result.items())


def convert_restart(name: str, part: ContainerPart, context: Context) -> tuple[str, int | None]:
    """When the process is started again, and, of ``on-failure:TIMES``, how often at most."""
    if not part.restart and not part.rm:
        return "no", None
    text = part.restart or "no"
    word, colon, times = text.partition(":")
    source = context.at("containers", name, "restart")
    if word not in RESTARTS or (colon and (word != "on-failure" or not _TIMES.fullmatch(times))):
        hint = (
            context.faults.nearest(word, RESTARTS) or "one of no, always, on-failure, on-failure:TIMES, unless-stopped"
        )
        context.faults.add(f"'{text}' does not say when to restart", source, hint)
    if part.rm and word != "no":
        message = f"container '{name}' is to be removed when it ends, and to be started again"
        context.faults.add(message, source, f"remove rm or restart; rm is at {context.at('containers', name, 'rm')}")
    elif part.rm and not (part.command or part.entrypoint):
        context.faults.warn(f"container '{name}' has no command that could end", context.at("containers", name, "rm"))
    return word, int(times) if _TIMES.fullmatch(times) and int(times) else None


def pairs(value: Mapping[str, str | None] | list[str] | None) -> list[tuple[str, str | None, str | int]]:
    """Name, value and last step of the path of each entry, in either form."""
    if isinstance(value, list):
        split = [(item.partition("="), index) for index, item in enumerate(value)]
        return [(parts[0], parts[2] if parts[1] else None, index) for parts, index in split]
    return [(key, content, key) for key, content in (value or {}).items()]
