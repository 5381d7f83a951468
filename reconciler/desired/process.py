"""The command of a container, where it has one."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.manifest.model import Container
from reconciler.resources.process import Process
from reconciler.state import Resource


def process_of(stack: str, identity: str, container: Container) -> Iterable[Resource]:
    """The command's definition; a container without one is a sandbox that anything can join."""
    if container.command is None:
        return
    yield Process(
        owner=stack,
        container=identity,
        command=container.command,
        namespace=identity,
        environment=tuple(sorted(dict(container.environment).items())),
        working_dir=container.working_dir or "",
        user=container.user or "",
        rootfs=container.rootfs or "",
        hostname=hostname_of(container),
        source=container.source,
    )


def hostname_of(container: Container) -> str:
    """The host name, with its domain where one is given; the container's name by default."""
    name = container.hostname or container.name
    return f"{name}.{container.domainname}" if container.domainname else name
