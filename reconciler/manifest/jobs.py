"""Containers that are removed when their command has ended (``rm``): nothing else may rely on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.errors import Source
    from reconciler.manifest.context import Context
    from reconciler.manifest.model import Container


def check_jobs(containers: Mapping[str, Container], context: Context) -> None:
    """Note each relation to a container that will not be there any more at the next run of the same manifest."""
    for container in containers.values():
        for name, what, source in _relations(container):
            target = containers.get(name)
            if target and target.remove and target is not container:
                place = context.key_at("containers", target.key, "rm")
                message = f"container '{name}' is removed when it ends (rm: true at {place}), and '{container.name}' "
                context.faults.add(f"{message}{what}", source, "leave rm out there, or remove what relies on it")


def _relations(container: Container) -> Iterator[tuple[str, str, Source | None]]:
    """The name that a container is related to, in which way, and where the file says so."""
    kind, _, name = (container.network_mode or "").partition(":")
    if kind in {"service", "container"}:
        yield name, "joins it", container.mode_source
    for shared in container.shared:
        yield shared.target.partition(":")[2], f"shares its {shared.kind} namespace", shared.source
    for link in container.links:
        yield link.container, "links to it", link.source
    for attachment in container.attachments:
        if attachment.gateway:
            yield attachment.gateway.partition(":")[2], "goes through it", attachment.gateway_source
