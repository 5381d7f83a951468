"""The containers of the document -> the model's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.manifest.addresses import parse_address, parse_host_name
from reconciler.manifest.attached import convert_attach
from reconciler.manifest.attachments import convert_attachments
from reconciler.manifest.environment import convert_environment
from reconciler.manifest.faults import FormError, typographic_hint
from reconciler.manifest.model import Container, PortMapping
from reconciler.manifest.models import ContainerPart, PortPart
from reconciler.manifest.modes import convert_mode, is_joiner
from reconciler.manifest.openings import convert_listen, convert_open, convert_sources
from reconciler.manifest.outward import convert_egress, convert_floating
from reconciler.manifest.ports import (
    Published,
    parse_exposed,
    parse_protocol,
    parse_published,
    parse_short,
    parse_target,
)
from reconciler.manifest.process import convert_command, convert_restart, convert_sysctls
from reconciler.manifest.relations import convert_dns, convert_extra_hosts, convert_links
from reconciler.manifest.shared import convert_shared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.errors import Source
    from reconciler.manifest.context import Context


_PROFILE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")


def convert_container(
    name: str,
    part: ContainerPart,
    context: Context,
    process_environment: Mapping[str, str],
) -> Container:
    """One container; what is wrong with it is noted."""
    source = context.key_at("containers", name)
    mode = convert_mode(name, part, context)
    restart, restart_limit = convert_restart(name, part, context)
    return Container(
        name=name,
        hostname=context.take(parse_host_name, part.hostname, "containers", name, "hostname"),
        domainname=context.take(parse_host_name, part.domainname, "containers", name, "domainname"),
        network_mode=mode,
        attachments=() if mode else convert_attachments(name, part, context),
        ports=_ports(name, part, mode, context),
        expose=_exposed(name, part, context),
        command=convert_command(part.entrypoint, part.command, name, context),
        environment=convert_environment(part, name, context, process_environment),
        working_dir=part.working_dir or None,
        user=part.user or None,
        rootfs=part.rootfs or None,
        sysctls=convert_sysctls(part.sysctls, name, mode, context),
        source=source,
        links=convert_links(part.links, name, "links", context),
        external_links=convert_links(part.external_links, name, "external_links", context),
        extra_hosts=convert_extra_hosts(part.extra_hosts, name, context),
        dns=convert_dns(name, part, context),
        mode_source=context.at("containers", name, "network_mode") if mode else None,
        open=convert_open(name, part, context) if part.open else (),
        listen=convert_listen(name, part, context) if part.listen else (),
        floating_addresses=convert_floating(name, part, context) if part.floating_ip else (),
        egress_addresses=convert_egress(name, part, context) if part.egress_ip else (),
        shared=convert_shared(name, part, context) if part.ipc or part.pid or part.uts else (),
        remove=bool(part.rm),
        restart=restart,
        restart_limit=restart_limit,
        attach=convert_attach(name, part, context),
    )


def check_profiles(name: str, part: ContainerPart | None, context: Context) -> None:
    """Note names that no profile can have (Compose specification, 15), also of a container that is not active."""
    for index, profile in enumerate((part.profiles if part else None) or ()):
        if profile and not _PROFILE.fullmatch(profile):
            hint = typographic_hint(profile) or "letters, digits, '_', '.' and '-', a letter or digit first"
            message = f"'{profile}' cannot be the name of a profile"
            context.faults.add(message, context.at("containers", name, "profiles", index), hint)


def _ports(name: str, part: ContainerPart, mode: str | None, context: Context) -> tuple[PortMapping, ...]:
    """The published ports; equal entries count once, the later one's name wins (Compose's rule)."""
    found: dict[Published, PortMapping] = {}
    for index, entry in enumerate(part.ports or ()):
        path = ("containers", name, "ports", index)
        source = context.at(*path)
        label: str | None = None
        sources: tuple[str, ...] = ()
        if isinstance(entry, PortPart):
            label, each = entry.name, _long(entry, path, context)
            sources = convert_sources(entry.sources, (*path, "sources"), context)
            _check_families(sources, each, (*path, "sources"), context)
        else:
            each = _short(entry, source, context)
        if context.has_too_many_ports(len(each), name, source):
            break
        for port in each:
            found[port] = PortMapping(
                port.target, port.published, port.host_address, port.protocol, label, source, sources
            )
    if part.publish_all:
        _add_exposed(name, part, found, context)
    if found and mode in {"host", "none"}:
        message, hint = _without_mapping(name, mode, list(found))
        context.faults.add(message, context.key_at("containers", name, "ports"), hint)
    return () if mode in {"host", "none"} or is_joiner(mode) else tuple(found.values())


def _add_exposed(name: str, part: ContainerPart, found: dict[Published, PortMapping], context: Context) -> None:
    """Every exposed port that is not published yet, each on a host port of netapply's choice (docker run -P)."""
    source = context.key_at("containers", name, "publish_all")
    published = {(port.target, port.protocol) for port in found}
    for entry in _exposed(name, part, context):
        ports = parse_short(entry)
        if context.has_too_many_ports(len(ports), name, source):
            break
        for port in ports:
            if (port.target, port.protocol) not in published:
                found[port] = PortMapping(port.target, protocol=port.protocol, source=source)


def _check_families(
    sources: tuple[str, ...], ports: list[Published], path: tuple[str | int, ...], context: Context
) -> None:
    """Subnets of the other family alone would let nobody in."""
    address = ports[0].host_address if ports else None
    if sources and address and all((":" in each) != (":" in address) for each in sources):
        message = f"nobody can use the port: no source is of the family of {address}"
        context.faults.add(message, context.key_at(*path), "add subnets of that family, or remove host_ip")


def _without_mapping(name: str, mode: str, ports: list[Published]) -> tuple[str, str]:
    """Why ports cannot be published in this mode, and what to write instead."""
    if mode == "none":
        message = f"ports need a network: container '{name}' has none with network_mode none"
        return message, "remove network_mode, or the ports"
    message = (
        f"published ports of container '{name}' have no meaning: with network_mode host its ports are the host's own"
    )
    moved = [port for port in ports if port.published and not port.published[0] <= port.target <= port.published[1]]
    openings = ", ".join(f"{port.target}/{port.protocol}" for port in ports)
    if not moved:
        return message, f"remove them; to let others in through the host's firewall write open: [{openings}]"
    example = next(f"{port.published[0]}:{port.target}" for port in moved if port.published)
    hint = f"a mapping such as {example} needs a network namespace of its own: remove network_mode; "
    return message, f"{hint}or let the process listen on {example.partition(':')[0]} itself, and write open: for it"


def _exposed(name: str, part: ContainerPart, context: Context) -> tuple[str, ...]:
    found = (
        context.take(parse_exposed, entry, "containers", name, "expose", index)
        for index, entry in enumerate(part.expose or ())
    )
    return tuple(dict.fromkeys(entry for entry in found if entry))


def _short(text: str, source: Source, context: Context) -> list[Published]:
    try:
        return parse_short(text)
    except FormError as error:
        context.faults.add_form(error, source)
        return []


def _long(entry: PortPart, path: tuple[str | int, ...], context: Context) -> list[Published]:
    """The mapping of a long form; none where a key is at fault, each of which is noted."""
    before = context.faults.count
    if not entry.target:
        context.faults.add("the entry names no port of the container", context.at(*path, "target"), "write target: 80")
    target = context.take(parse_target, entry.target, *path, "target")
    published = context.take(parse_published, entry.published, *path, "published")
    address = context.take(parse_address, entry.host_ip, *path, "host_ip")
    protocol = context.take(parse_protocol, entry.protocol, *path, "protocol")
    if target is None or context.faults.count > before:
        return []
    return [Published(target, published, str(address) if address else None, protocol or "tcp")]
