"""``ipc``, ``pid`` and ``uts``: the other namespaces that a container's process may share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.manifest.circles import circles
from reconciler.manifest.model import SharedNamespace

if TYPE_CHECKING:
    from reconciler.manifest.context import Context
    from reconciler.manifest.models import ContainerPart

KINDS = ("ipc", "pid", "uts")
_OWN = {
    "ipc": frozenset({"private", "shareable", "none"}),
    "pid": frozenset({"private"}),
    "uts": frozenset({"private"}),
}
"""The words that mean a namespace of the container's own (Docker: shareable, others may join; all of ours may be)."""


def convert_shared(name: str, part: ContainerPart, context: Context) -> tuple[SharedNamespace, ...]:
    """The namespaces that the process shares; with none named it has its own."""
    found = (_one(name, part, kind, getattr(part, kind), context) for kind in KINDS if getattr(part, kind))
    return tuple(each for each in found if each)


def _one(name: str, part: ContainerPart, kind: str, text: str, context: Context) -> SharedNamespace | None:
    source = context.at("containers", name, kind)
    word, _, owner = text.partition(":")
    if text in _OWN[kind]:
        return None
    if kind == "uts" and part.hostname:
        message = f"'hostname' does not fit uts {text}, whose host name is another's"
        context.faults.add(message, context.key_at("containers", name, "hostname"), "remove one of the two")
    if not (part.command or part.entrypoint):
        message = f"'{kind}' of container '{name}' has no effect: it has no command"
        context.faults.note(message, source, "give it a command, or remove the key")
    if text == "host":
        return SharedNamespace(kind, text, source)
    if word not in {"service", "container"} or not owner:
        words = ["host", *sorted(_OWN[kind]), "service:NAME", "container:NAME"]
        context.faults.add(
            f"unknown {kind} '{text}'", source, context.faults.nearest(text, words) or f"one of {', '.join(words)}"
        )
        return None
    context.check_target(word, owner, f"container '{name}' shares the {kind} namespace of", source)
    target = context.key_of(word, owner)
    if target:
        holder = context.parts[target]
        if not (holder.command or holder.entrypoint) and (part.command or part.entrypoint):
            message = f"container '{target}' has no command, and so no {kind} namespace; '{name}' gets its own"
            context.faults.warn(message, source, f"give '{target}' a command")
            return None
    return SharedNamespace(kind, context.reference(word, owner), source)


def check_shared(context: Context) -> None:
    """Note namespaces whose owner is sought in a circle."""
    for kind in KINDS:
        owners = ((name, _owner(str(getattr(part, kind) or ""), context)) for name, part in context.parts.items())
        for circle in circles({name: [owner] for name, owner in owners if owner}):
            message = f"{kind} goes in a circle: {' -> '.join([*circle, circle[0]])}"
            source = context.at("containers", circle[0], kind)
            context.faults.add(message, source, "one of them needs a namespace of its own")


def _owner(text: str, context: Context) -> str | None:
    word, colon, owner = text.partition(":")
    return context.key_of(word, owner) if colon else None
