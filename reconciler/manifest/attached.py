"""``attach``: a network namespace that another program made, which is wired as the container's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.manifest.model import AttachedNamespace
from reconciler.manifest.models import AttachPart, ContainerPart

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.manifest.context import Context
    from reconciler.manifest.model import Container

NAMED = "/run/netns"
"""Where ``ip netns`` keeps its namespaces (ip-netns(8))."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,200}")
_PROCESS_KEYS = (
    *("command", "entrypoint", "environment", "env_file", "working_dir", "user", "rootfs", "restart", "rm"),
    *("ipc", "pid", "uts"),
)
_LARGEST_PID = 1 << 22
"""The kernel's own bound (linux/threads.h, PID_MAX_LIMIT)."""


def convert_attach(name: str, part: ContainerPart, context: Context) -> AttachedNamespace | None:
    """The namespace that is attached, None for none; Compose's ``attach: false`` is about logs."""
    if not isinstance(part.attach, AttachPart):
        return None
    _refuse_others(name, part, context)
    path, source = _path(name, part.attach, context), context.key_at("containers", name, "attach")
    return AttachedNamespace(path, source) if path else None


def _path(name: str, attach: AttachPart, context: Context) -> str | None:
    pid, netns = attach.pid, attach.netns
    if pid is None and not netns and context.faults.errors:
        return None  # what stood there may be at fault, which is noted then
    if (pid is None) == (not netns):
        source = context.key_at("containers", name, "attach")
        message = f"'attach' of container '{name}' names {'no namespace' if pid is None else 'two namespaces'}"
        context.faults.add(message, source, "write pid: NUMBER, or netns: PATH")
        return None
    if pid is not None:
        if 0 < pid <= _LARGEST_PID:
            return f"/proc/{pid}/ns/net"
        context.faults.add(f"{pid} is not the number of a process", context.at("containers", name, "attach", "pid"))
        return None
    text = netns or ""
    if _NAME.fullmatch(text):
        return f"{NAMED}/{text}"
    if text.startswith("/") and ".." not in text.split("/") and "\0" not in text:
        return text
    place = context.at("containers", name, "attach", "netns")
    context.faults.add(
        f"'{text}' is neither an absolute path nor the name of a network namespace",
        place,
        "write netns: /run/netns/NAME, or a name as ip netns list shows it",
    )
    return None


def _refuse_others(name: str, part: ContainerPart, context: Context) -> None:
    """What belongs to a process, which somebody else starts, or to another mode."""
    place = context.key_at("containers", name, "attach")
    if part.network_mode:
        message = f"'attach' does not fit network_mode {part.network_mode}; attach stands at {place}"
        hint = "attach brings its own namespace, which joins networks: remove one of the two"
        context.faults.add(message, context.key_at("containers", name, "network_mode"), hint)
    for key in _PROCESS_KEYS:
        if getattr(part, key):
            message = f"'{key}' does not fit attach: whoever made the namespace runs what is in it"
            hint = f"remove it, or put it on a container of its own with network_mode: service:{name}"
            context.faults.add(message, context.key_at("containers", name, key), hint)


def check_attached(containers: Iterable[Container], context: Context) -> None:
    """Note two containers that attach one namespace."""
    seen: dict[str, Container] = {}
    for container in containers:
        if container.attach is None:
            continue
        first = seen.setdefault(container.attach.path, container)
        if first is not container and first.attach:
            message = f"container '{container.name}' attaches {container.attach.path}, as does '{first.name}' at "
            message += f"{first.attach.source}"
            hint = f"write network_mode: service:{first.name}, or join all networks from one of them"
            context.faults.add(message, container.attach.source, hint)
