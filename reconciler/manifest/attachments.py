"""A container's places on networks -> the model's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.manifest.addresses import parse_address, parse_interface_name, parse_mac
from reconciler.manifest.model import Attachment
from reconciler.manifest.models import ContainerPart
from reconciler.manifest.network_models import AttachmentPart
from reconciler.manifest.options import parse_endpoint_options
from reconciler.manifest.routes import convert_gateway, convert_routes

if TYPE_CHECKING:
    from reconciler.manifest.context import Context

DEFAULT_NETWORK = "default"


def convert_attachments(name: str, part: ContainerPart, context: Context) -> tuple[Attachment, ...]:
    """The networks that the container joins, in the order they are written; none given: the stack's own."""
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
    link_local = (
        context.take(parse_address, text, *path, "link_local_ips", index)
        for index, text in enumerate(part.link_local_ips or ())
    )
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
        link_local_ips=tuple(dict.fromkeys(str(address) for address in link_local if address)),
        gateway=convert_gateway(part, path, context) if part.gateway else None,
        gateway_source=context.at(*path, "gateway") if part.gateway else None,
        routes=convert_routes(part, path, context) if part.routes else (),
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
