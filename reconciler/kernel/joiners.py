"""Containers that use a network namespace not their own: a second name for it below /run/netns, and a record.

The record says what the name cannot: that a container in host mode, which gets no name, is there at all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from reconciler.errors import NetapplyError
from reconciler.kernel import files, namespaces
from reconciler.kernel.host import PINNED, Host
from reconciler.resources.joined import Joined

DIRECTORY = "joined"


def join(host: Host, container: str, namespace: str, origin: str) -> None:
    """Give ``namespace`` (as in `Joined`) the container's name too, and write it down.

    Raises NetapplyError where something that is not ours bears that name, OSError where the namespace is not there.
    """
    path = host.namespace_path(container)
    if namespace:
        target = host.namespace_path(namespace)
        if path.exists() and not _same(path, target):
            # What is ours there was seen, and removed by an earlier step.
            raise NetapplyError.of(f"{path} is there already and is not ours", hint=f"ip netns delete {path.name}")
        if not path.exists():
            with namespaces.elsewhere():
                namespaces.enter_path(target)
                namespaces.pin_own(path)
    folder = host.run / DIRECTORY
    folder.mkdir(mode=0o700, exist_ok=True)
    files.write_private(_record(host, container), json.dumps({"namespace": namespace, "origin": origin}))


def leave(host: Host, container: str) -> None:
    """Take the name and the record away; the namespace stays as long as its owner's name does."""
    record = _record(host, container)
    if namespaces.is_pinned(host.namespace_path(container)) or _read(record).get("namespace"):
        namespaces.unpin(host.namespace_path(container))
    record.unlink(missing_ok=True)


def named(host: Host, container: str, namespace: str) -> Joined:
    """The one whose name leads to the sandbox ``namespace`` of another container."""
    record = _read(_record(host, container))
    target = host.namespace_path(namespace)
    # The owner's own name may lead to a new one, made in the place of that which this name still holds.
    pinned = not namespaces.is_pinned(target) or _same(host.namespace_path(container), target)
    return Joined(container.partition("/")[0], container, namespace, str(record.get("origin", "")), pinned=pinned)


def from_records(host: Host, seen: frozenset[str], only: frozenset[str] | None) -> Iterator[Joined]:
    """Those that have a record and no name of that sort: in the host's namespace, in a stranger's, or with a lost name."""
    try:
        names = sorted(os.listdir(host.run / DIRECTORY))  # noqa: PTH208  # only the names are wanted
    except FileNotFoundError:
        return
    for name in names:
        stack, dot, container_name = name.partition(".")
        container = f"{stack}/{container_name}"
        if not (stack and dot and container_name) or container in seen or (only is not None and container not in only):
            continue
        record = _read(host.run / DIRECTORY / name)
        namespace = str(record.get("namespace", ""))
        pinned = not namespace or _leads_to(host, container, namespace)
        yield Joined(stack, container, namespace, str(record.get("origin", "")), pinned=pinned)


def names_of_others(host: Host, ours: frozenset[str]) -> frozenset[str]:
    """The names below /run/netns that lead to no sandbox of ours."""
    try:
        names = os.listdir(PINNED)  # noqa: PTH208  # only the names are wanted
    except FileNotFoundError:
        return frozenset()
    return frozenset(name for name in names if (host.namespace_of(name) or "") not in ours)


def _leads_to(host: Host, container: str, namespace: str) -> bool:
    # A name that leads to a sandbox of ours was seen before; one that somebody else made has no label to see.
    try:
        return _same(host.namespace_path(container), host.namespace_path(namespace))
    except FileNotFoundError:
        return False


def _same(first: Path, second: Path) -> bool:
    return first.exists() and first.samefile(second)


def _record(host: Host, container: str) -> Path:
    return host.run / DIRECTORY / container.replace("/", ".", 1)


def _read(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
