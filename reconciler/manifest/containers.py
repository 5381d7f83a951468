"""The containers of the document -> the model's."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.manifest.addresses import parse_address, parse_interface_name, parse_mac
from reconciler.manifest.faults import FormError, suggestion
from reconciler.manifest.model import Attachment, Container, PortMapping
from reconciler.manifest.models import AttachmentPart, ContainerPart, PortPart
from reconciler.manifest.options import parse_endpoint_options
from reconciler.manifest.ports import Published, parse_exposed, parse_long, parse_short
from reconciler.manifest.process import convert_command, convert_environment, convert_sysctls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.manifest.context import Context

DEFAULT_NETWORK = "default"
_HOST_LABEL = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
_LONGEST_HOST_NAME = 253
_MODES = ("none", "host", "bridge", "service:NAME", "container:NAME")
_NOT_YET = ("links", "external_links", "extra_hosts", "dns", "dns_search", "dns_opt")
"""Keys of networking that the model does not carry yet; never ignored in silence."""


def convert_container(
    name: str,
    part: ContainerPart,
    context: Context,
    process_environment: Mapping[str, str],
) -> Container:
    """One container; what is wrong with it is noted."""
    source = context.key_at("containers", name)
    context.check_name("container", name, source)
    for key in _NOT_YET:
        if getattr(part, key):
            context.faults.add(f"'{key}' is not supported yet", context.key_at("containers", name, key))
    mode = _network_mode(name, part, context)
    return Container(
        name=name,
        hostname=_host_name(name, "hostname", part.hostname, context),
        domainname=_host_name(name, "domainname", part.domainname, context),
        network_mode=mode,
        attachments=_attachments(name, part, mode, context),
        ports=_ports(name, part, mode, context),
        expose=_exposed(name, part, context),
        command=convert_command(part.entrypoint, part.command, name, context),
        environment=convert_environment(part.environment, name, context, process_environment),
        working_dir=part.working_dir or None,
        user=part.user or None,
        rootfs=part.rootfs or None,
        sysctls=convert_sysctls(part.sysctls, name, mode, context),
        source=source,
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
        for key in ("ports", "hostname", "domainname", "mac_address"):
            if getattr(part, key):
                message = f"'{key}' does not fit network_mode {mode}, whose namespace is another container's"
                context.faults.add(message, context.key_at("containers", name, key), f"set it on '{owner}'")
    elif mode not in {"none", "host", "bridge"}:
        hint = suggestion(mode, _MODES) or f"one of {', '.join(_MODES)}; networks are joined with 'networks'"
        context.faults.add(f"unknown network_mode '{mode}'", source, hint)
    own = context.container_names.get(owner) if kind == "container" else None
    return f"service:{own}" if own else mode


def _host_name(name: str, key: str, text: str | None, context: Context) -> str | None:
    """A host name after RFC 1123; underscores are taken too, as they are in practice."""
    if not text:
        return None
    labels = text.removesuffix(".").replace("_", "-").split(".")
    fits = len(text) <= _LONGEST_HOST_NAME and all(_HOST_LABEL.fullmatch(label.strip("-") or "-") for label in labels)
    if not fits:
        message = f"'{text}' is not a host name"
        context.faults.add(message, context.at("containers", name, key), "letters, digits and '-', in parts of 1 to 63")
    return text


def _attachments(name: str, part: ContainerPart, mode: str | None, context: Context) -> tuple[Attachment, ...]:
    if mode:
        return ()
    path = ("containers", name, "networks")
    entries: list[tuple[str, AttachmentPart, tuple[str | int, ...]]]
    if isinstance(part.networks, list) and part.networks:
        entries = [(key, AttachmentPart(), (*path, index)) for index, key in enumerate(part.networks)]
    else:
        given = part.networks if isinstance(part.networks, dict) and part.networks else {DEFAULT_NETWORK: None}
        entries = [(key, entry or AttachmentPart(), (*path, key)) for key, entry in given.items()]
    extra = (part.container_name,) if part.container_name and part.container_name != name else ()
    if part.container_name:
        context.check_name("container", part.container_name, context.at("containers", name, "container_name"))
    result = {key: _attachment(key, entry, where, extra, context) for key, entry, where in entries}
    _check_interfaces(name, tuple(result.values()), context)
    return _with_mac(name, part, tuple(result.values()), context)


def _attachment(
    network: str,
    part: AttachmentPart,
    path: tuple[str | int, ...],
    extra_aliases: tuple[str, ...],
    context: Context,
) -> Attachment:
    options = parse_endpoint_options(
        part.driver_opts or {},
        lambda option, error: context.faults.add_form(error, context.at(*path, "driver_opts", option)),
    )
    for option in options.unused:
        context.faults.warn(f"{option} is not used", context.key_at(*path, "driver_opts", option))
    if part.link_local_ips:
        context.faults.add("'link_local_ips' is not supported yet", context.key_at(*path, "link_local_ips"))
    for index, alias in enumerate(part.aliases or ()):
        context.check_name("container", alias, context.at(*path, "aliases", index))
    address4 = context.take(lambda text: parse_address(text, 4), part.ipv4_address, *path, "ipv4_address")
    address6 = context.take(lambda text: parse_address(text, 6), part.ipv6_address, *path, "ipv6_address")
    interface = context.take(parse_interface_name, part.interface_name, *path, "interface_name")
    if interface and options.interface_name and interface != options.interface_name:
        message = f"two interface names: '{interface}' and, in driver_opts, '{options.interface_name}'"
        context.faults.add(message, context.at(*path, "interface_name"), "remove one of them")
    return Attachment(
        network=network,
        aliases=tuple(dict.fromkeys([*(part.aliases or ()), *extra_aliases])),
        ipv4_address=str(address4) if address4 else None,
        ipv6_address=str(address6) if address6 else None,
        mac_address=context.take(parse_mac, part.mac_address, *path, "mac_address"),
        interface_name=interface or options.interface_name,
        gw_priority=part.gw_priority or 0,
        priority=part.priority or 0,
        sysctls=options.sysctls,
        source=context.key_at(*path),
    )


def _check_interfaces(name: str, attachments: tuple[Attachment, ...], context: Context) -> None:
    seen: dict[str, Attachment] = {}
    for attachment in attachments:
        interface = attachment.interface_name
        first = seen.setdefault(interface, attachment) if interface else attachment
        if first is not attachment:
            message = f"container '{name}' has two interfaces named '{interface}'; first at {first.source}"
            context.faults.add(message, attachment.source, "give one of them another name")


def _with_mac(
    name: str,
    part: ContainerPart,
    attachments: tuple[Attachment, ...],
    context: Context,
) -> tuple[Attachment, ...]:
    """The old place of ``mac_address``, on the container: it is that of the network joined first."""
    mac = context.take(parse_mac, part.mac_address, "containers", name, "mac_address")
    if not mac or not attachments:
        return attachments
    first = max(attachments, key=lambda attachment: attachment.priority)
    if first.mac_address and first.mac_address != mac:
        message = f"two MAC addresses for network '{first.network}': {mac} and {first.mac_address}"
        context.faults.add(message, context.at("containers", name, "mac_address"), "remove one of them")
        return attachments
    return tuple(replace(each, mac_address=mac) if each is first else each for each in attachments)


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
