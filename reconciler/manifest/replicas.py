"""``scale`` and ``deploy.replicas``: one entry of the file that is several containers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.manifest.forms import MOST_REPLICAS
from reconciler.manifest.model import Attachment, Container, PortMapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconciler.errors import Source
    from reconciler.manifest.context import Context
    from reconciler.manifest.models import ContainerPart


def replicas_of(name: str, part: ContainerPart, context: Context) -> int:
    """How many containers the entry stands for; 1 where it does not say."""
    deployed = part.deploy.replicas if part.deploy else None
    if part.scale is None and deployed is None:
        return 1
    path = ("containers", name, "scale") if part.scale is not None else ("containers", name, "deploy", "replicas")
    source = context.at(*path)
    if part.scale is not None and deployed is not None and part.scale != deployed:
        other = context.at("containers", name, "deploy", "replicas")
        message = f"scale {part.scale} of container '{name}' and deploy.replicas {deployed} at {other} do not agree"
        context.faults.add(message, source, "remove one of them")
    count = part.scale if part.scale is not None else deployed or 0
    if not 0 <= count <= MOST_REPLICAS:
        context.faults.add(f"{count} containers are not possible", source, f"a number from 0 to {MOST_REPLICAS}")
        return 1
    if count > 1 and part.container_name:
        message = f"container_name '{part.container_name}' is one name, but there are {count} containers"
        place = context.at("containers", name, "container_name")
        context.faults.add(message, place, f"remove it; they are {name}-1 to {name}-{count}")
    return count


def expand(container: Container, count: int, context: Context) -> tuple[Container, ...]:
    """The containers NAME-1 to NAME-COUNT, host ports dealt out in order; one alone keeps its name.

    The entry's own name is an alias of each, and so leads to all of them.
    """
    if count == 1:
        return (container,)
    container = _without_singles(container, count, context)
    name = container.name
    attachments = tuple(replace(each, aliases=_aliases(each.aliases, name)) for each in container.attachments)
    dealt = [ports for port in container.ports if (ports := _deal(port, count, context))]
    context.check_name("container", f"{name}-{count}", context.key_at("containers", name))
    for number in range(1, count + 1):
        if (other := f"{name}-{number}") in context.parts:
            message = f"container '{other}' is also the name of a replica of '{name}'"
            place = context.key_at("containers", name)
            context.faults.add(f"{message} at {place}", context.key_at("containers", other), "give it another name")
    return tuple(
        replace(
            container,
            name=f"{name}-{number + 1}",
            service=name,
            attachments=attachments,
            ports=tuple(ports[number] for ports in dealt),
        )
        for number in range(count)
    )


def collapse(replicas: Sequence[Container]) -> Container:
    """The entry that `expand` made these of."""
    first = replicas[0]
    name = first.service or first.name
    return replace(
        first,
        name=name,
        service=None,
        attachments=tuple(
            replace(each, aliases=tuple(alias for alias in each.aliases if alias != name)) for each in first.attachments
        ),
        ports=tuple(
            replace(port, published=port.published and last.published and (port.published[0], last.published[1]))
            for port, last in zip(first.ports, replicas[-1].ports, strict=True)
        ),
    )


def _aliases(given: Iterable[str], name: str) -> tuple[str, ...]:
    return (*(alias for alias in given if alias != name), name)


def _deal(port: PortMapping, count: int, context: Context) -> list[PortMapping]:
    """The port of each replica; none where there are too few, which is noted."""
    if port.published is None:
        return [port] * count
    first, last = port.published
    room = last - first + 1
    if room < count:
        what = f"host port {first}" if first == last else f"host ports {first}-{last}"
        message = f"{what} for {count} containers: each needs one of its own"
        hint = f"write {first}-{first + count - 1}:{port.target}, or let them be chosen: {port.target}"
        context.faults.add(message, port.source, hint)
        return []
    return [replace(port, published=(first + number, first + number)) for number in range(count)]


def _without_singles(container: Container, count: int, context: Context) -> Container:
    """The container without what only one can have, which is noted."""
    name = container.name
    for attachment in container.attachments:
        for key in ("ipv4_address", "ipv6_address", "mac_address", "link_local_ips"):
            if getattr(attachment, key):
                source = _place(name, attachment, key, context)
                message = f"'{key}' is one container's, but '{name}' is {count} containers"
                context.faults.add(message, source, "remove it; each gets its own")
    for each in container.floating_addresses:
        message = f"floating_ip {each.address} leads to one container, but '{name}' is {count} containers"
        context.faults.add(message, each.source, "put it on a container that is there once")
    if container.attach:
        message = f"'attach' is one namespace, but '{name}' is {count} containers"
        context.faults.add(message, container.attach.source, "put it on a container that is there once")
    attachments = tuple(
        replace(each, ipv4_address=None, ipv6_address=None, mac_address=None, link_local_ips=())
        for each in container.attachments
    )
    return replace(container, attachments=attachments, floating_addresses=(), attach=None)


def _place(name: str, attachment: Attachment, key: str, context: Context) -> Source:
    if key == "mac_address" and context.parts[name].mac_address:
        return context.at("containers", name, key)
    return context.at("containers", name, "networks", attachment.network, key)
