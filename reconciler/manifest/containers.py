"""The containers of the document -> the model's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.manifest.addresses import parse_host_name
from reconciler.manifest.attached import convert_attach
from reconciler.manifest.attachments import convert_attachments
from reconciler.manifest.environment import convert_environment
from reconciler.manifest.faults import FormError
from reconciler.manifest.model import Container, PortMapping
from reconciler.manifest.models import ContainerPart, PortPart
from reconciler.manifest.modes import convert_mode, is_joiner
from reconciler.manifest.openings import convert_listen, convert_open, convert_sources
from reconciler.manifest.outward import convert_egress, convert_floating
from reconciler.manifest.ports import Published, parse_exposed, parse_long, parse_short
from reconciler.manifest.process import convert_command, convert_restart, convert_sysctls
from reconciler.manifest.relations import convert_dns, convert_extra_hosts, convert_links
from reconciler.manifest.shared import convert_shared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.manifest.context import Context


def convert_container(
    name: str,
    part: ContainerPart,
    context: Context,
    process_environment: Mapping[str, str],
) -> Container:
    """One container; what is wrong with it is noted."""
    source = context.key_at("containers", name)
    context.check_name("container", name, source)
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


def _ports(name: str, part: ContainerPart, mode: str | None, context: Context) -> tuple[PortMapping, ...]:
    """The published ports; equal entries count once, the later one's name wins (Compose's rule)."""
    found: dict[Published, PortMapping] = {}
    for index, entry in enumerate(part.ports or ()):
        source = context.at("containers", name, "ports", index)
        label = entry.name if isinstance(entry, PortPart) else None
        try:
            each = [_long(entry)] if isinstance(entry, PortPart) else parse_short(entry)
        except FormError as error:
            context.faults.add_form(error, source)
            continue
        sources = _sources(entry, ("containers", name, "ports", index, "sources"), context)
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
        for port in parse_short(entry):
            if (port.target, port.protocol) not in published:
                found[port] = PortMapping(port.target, protocol=port.protocol, source=source)


def _sources(entry: str | PortPart, path: tuple[str | int, ...], context: Context) -> tuple[str, ...]:
    """Who may use the port; subnets of the other family alone would let nobody in."""
    if isinstance(entry, str):
        return ()
    sources = convert_sources(entry.sources, path, context)
    host_ip = entry.host_ip or ""
    if sources and host_ip and all((":" in each) != (":" in host_ip) for each in sources):
        message = f"nobody can use the port: no source is of the family of {host_ip}"
        context.faults.add(message, context.key_at(*path), "add subnets of that family, or remove host_ip")
    return sources


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


def _long(entry: PortPart) -> Published:
    return parse_long(entry.target, entry.published or "", entry.host_ip or "", entry.protocol or "")
