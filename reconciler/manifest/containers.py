"""The containers of the document -> the model's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.manifest.addresses import parse_host_name
from reconciler.manifest.attachments import convert_attachments
from reconciler.manifest.environment import convert_environment
from reconciler.manifest.faults import FormError, suggestion
from reconciler.manifest.model import Container, PortMapping
from reconciler.manifest.models import ContainerPart, PortPart
from reconciler.manifest.ports import Published, parse_exposed, parse_long, parse_short
from reconciler.manifest.process import convert_command, convert_sysctls
from reconciler.manifest.relations import convert_dns, convert_extra_hosts, convert_links

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.manifest.context import Context

_MODES = ("none", "host", "bridge", "service:NAME", "container:NAME")
_OF_OWNER = (
    "ports",
    "hostname",
    "domainname",
    "mac_address",
    "links",
    "external_links",
    "extra_hosts",
    "dns",
    "dns_search",
    "dns_opt",
)
"""Keys that belong to the container whose namespace is shared."""


def convert_container(
    name: str,
    part: ContainerPart,
    context: Context,
    process_environment: Mapping[str, str],
) -> Container:
    """One container; what is wrong with it is noted."""
    source = context.key_at("containers", name)
    context.check_name("container", name, source)
    mode = _network_mode(name, part, context)
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
    )


def _network_mode(name: str, part: ContainerPart, context: Context) -> str | None:
    mode = part.network_mode
    if not mode:
        return None
    source = context.at("containers", name, "network_mode")
    kind, colon, owner = mode.partition(":")
    if part.networks:
        message = f"container '{name}' declares mutually exclusive 'network_mode' and 'networks'"
        context.faults.add(f"{message}; networks at {context.key_at('containers', name, 'networks')}", source)
    if kind in {"service", "container"} and colon:
        if not owner:
            context.faults.add(f"network_mode '{mode}' names no {kind}", source, f"write {kind}:NAME")
        why = f"network_mode {mode}, whose namespace is another container's"
        _refuse(_OF_OWNER, part, name, why, f"set it on '{owner}'", context)
    elif mode == "host":
        why = "network_mode host, which sees the host's own network"
        _refuse(("links", "external_links"), part, name, why, "remove one of the two", context)
    elif mode not in {"none", "host", "bridge"}:
        hint = suggestion(mode, _MODES) or f"one of {', '.join(_MODES)}; networks are joined with networks: [NAME]"
        context.faults.add(f"unknown network_mode '{mode}'", source, hint)
    own = context.container_names.get(owner) if kind == "container" else None
    return f"service:{own}" if own else mode


def _refuse(keys: tuple[str, ...], part: ContainerPart, name: str, why: str, hint: str, context: Context) -> None:
    for key in keys:
        if getattr(part, key):
            context.faults.add(f"'{key}' does not fit {why}", context.key_at("containers", name, key), hint)


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
        for port in each:
            found[port] = PortMapping(port.target, port.published, port.host_address, port.protocol, label, source)
    if mode and mode.startswith(("service:", "container:")):
        return ()
    if found and mode in {"host", "none"}:
        reason = "its ports are the host's own" if mode == "host" else "it has no network"
        message = f"published ports of container '{name}' are not used: with network_mode {mode} {reason}"
        context.faults.warn(message, context.key_at("containers", name, "ports"))
        return ()
    return tuple(found.values())


def _exposed(name: str, part: ContainerPart, context: Context) -> tuple[str, ...]:
    found = (
        context.take(parse_exposed, entry, "containers", name, "expose", index)
        for index, entry in enumerate(part.expose or ())
    )
    return tuple(dict.fromkeys(entry for entry in found if entry))


def _long(entry: PortPart) -> Published:
    return parse_long(entry.target, entry.published or "", entry.host_ip or "", entry.protocol or "")
