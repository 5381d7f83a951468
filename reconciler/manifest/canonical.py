"""Manifest -> the same manifest in one form: long forms, defaults visible, valid input again."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from reconciler.manifest.options import BRIDGE_FIELDS, ENDPOINT_SYSCTLS
from reconciler.manifest.parent_options import PARENT_FIELDS
from reconciler.manifest.ports import range_text, span_text
from reconciler.manifest.replicas import collapse
from reconciler.manifest.writing import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reconciler.manifest.model import (
        Allowance,
        Attachment,
        Container,
        FloatingAddress,
        Listen,
        Manifest,
        Network,
        Pool,
        PortMapping,
        PortSpan,
        StaticRoute,
    )

HIDDEN = "(hidden)"
"""Stands for every environment value: values are secrets, and plans and configs get posted."""


def canonical(manifest: Manifest) -> dict[str, Any]:
    """The manifest as a document of plain values in stable order.

    Read again it gives the same document: dollar signs are doubled, names are explicit.
    Environment values are replaced by `HIDDEN`.
    """
    document = {
        "name": manifest.stack,
        "containers": dict(_entries(manifest.containers)),
        "networks": {network.key: _network(network) for network in manifest.networks},
    }
    result: dict[str, Any] = _escaped({key: value for key, value in document.items() if value})
    return result


def render(manifest: Manifest) -> str:
    """`canonical` as YAML text."""
    return text_of(canonical(manifest))


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: _escaped(each) for key, each in value.items()}
    return [_escaped(each) for each in value] if isinstance(value, list) else value


def _given(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value is not None and value not in ([], {})}


def _entries(containers: Sequence[Container]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The file's entries: a container each, or one for all replicas."""
    for key, group in groupby(containers, key=lambda each: each.key):
        several = tuple(group)
        if several[0].service is None:
            yield key, _container(several[0])
        else:
            yield key, {**_container(collapse(several)), "deploy": {"replicas": len(several)}}


def _container(container: Container) -> dict[str, Any]:
    shared = {each.kind: each.target for each in container.shared}
    limit = f":{container.restart_limit}" if container.restart_limit else ""
    return _given(
        {
            "command": list(container.command or ()),
            "environment": {name: HIDDEN for name, _ in container.environment},
            "working_dir": container.working_dir,
            "user": container.user,
            "rootfs": container.rootfs,
            "hostname": container.hostname,
            "domainname": container.domainname,
            "sysctls": dict(container.sysctls),
            "expose": list(container.expose),
            "network_mode": container.network_mode,
            "attach": {"netns": container.attach.path} if container.attach else None,
            **shared,
            "rm": container.remove or None,
            "restart": None if container.restart == "no" else f"{container.restart}{limit}",
            "open": [_span(span) for span in container.open],
            "listen": [_listen(listen) for listen in container.listen],
            "floating_ip": [_host_address(each) for each in container.floating_addresses],
            "egress_ip": [_host_address(each) for each in container.egress_addresses],
            "links": [f"{link.container}:{link.alias}" for link in container.links],
            "external_links": [f"{link.container}:{link.alias}" for link in container.external_links],
            "extra_hosts": [f"{each.host}={each.address}" for each in container.extra_hosts],
            "dns": list(container.dns.servers),
            "dns_search": list(container.dns.search),
            "dns_opt": list(container.dns.options),
            "networks": {each.network: _attachment(each) for each in container.attachments},
            "ports": [_port(port) for port in container.ports],
        },
    )


def _attachment(attachment: Attachment) -> dict[str, Any]:
    sysctls = ",".join(f"{name}={value}" for name, value in attachment.sysctls)
    return _given(
        {
            "aliases": list(attachment.aliases),
            "ipv4_address": attachment.ipv4_address,
            "ipv6_address": attachment.ipv6_address,
            "mac_address": attachment.mac_address,
            "link_local_ips": list(attachment.link_local_ips),
            "interface_name": attachment.interface_name,
            "driver_opts": {ENDPOINT_SYSCTLS: sysctls} if sysctls else {},
            "gw_priority": attachment.gw_priority,
            "priority": attachment.priority,
            "gateway": attachment.gateway,
            "routes": [_route(route) for route in attachment.routes],
        },
    )


def _route(route: StaticRoute) -> dict[str, Any]:
    kind = None if route.kind == "unicast" else route.kind
    return _given({"to": route.destination, "via": route.via, "type": kind, "metric": route.metric})


def _span(span: PortSpan) -> str | dict[str, Any]:
    if not span.sources:
        return span_text(span.first, span.last, span.protocol)
    port = str(span.first) if span.first == span.last else f"{span.first}-{span.last}"
    return {"port": port, "protocol": span.protocol, "sources": list(span.sources)}


def _listen(listen: Listen) -> dict[str, Any]:
    return _given({"address": listen.address, "port": listen.port, "protocol": listen.protocol})


def _host_address(given: FloatingAddress) -> str | dict[str, Any]:
    return {"address": given.address, "interface": given.interface} if given.interface else given.address


def _allowance(allowance: Allowance) -> str | dict[str, Any]:
    if not allowance.ports:
        return allowance.network
    return {"network": allowance.network, "ports": [_span(span) for span in allowance.ports]}


def _port(port: PortMapping) -> dict[str, Any]:
    first, last = port.published or (None, None)
    return _given(
        {
            "name": port.name,
            "target": port.target,
            "published": None if first is None else str(first) if first == last else f"{first}-{last}",
            "host_ip": port.host_address,
            "protocol": port.protocol,
            "sources": list(port.sources),
        },
    )


def _network(network: Network) -> dict[str, Any]:
    if network.external:
        return {"name": network.name, "external": True}
    return _given(
        {
            "name": network.name,
            "driver": network.driver,
            "driver_opts": _driver_options(network),
            "internal": network.internal,
            "enable_ipv4": network.enable_ipv4,
            "enable_ipv6": network.enable_ipv6,
            "ipam": _given({"config": [_pool(pool) for pool in network.pools]}),
            "allow": [_allowance(each) for each in network.allow],
            "host_address": list(network.host_addresses),
            "masquerade_ports": range_text(network.masquerade_ports) if network.masquerade_ports else None,
        },
    )


def _driver_options(network: Network) -> dict[str, str]:
    if network.driver in PARENT_FIELDS:
        return _texts(PARENT_FIELDS[network.driver], network.parent)
    return _texts(BRIDGE_FIELDS, network.bridge) if network.driver == "bridge" else dict(network.options)


def _texts(fields: Mapping[str, str], holder: object) -> dict[str, str]:
    found = {}
    for option, attribute in fields.items():
        value = getattr(holder, attribute)
        if isinstance(value, tuple):
            value = ":".join(value) or None
        if value is not None:
            found[option] = str(value).lower() if isinstance(value, bool) else str(value)
    return found


def _pool(pool: Pool) -> dict[str, Any]:
    return _given(
        {
            "subnet": pool.subnet,
            "gateway": pool.gateway,
            "ip_range": pool.ip_range,
            "aux_addresses": dict(pool.aux_addresses),
        },
    )
