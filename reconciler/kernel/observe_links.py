"""Links, addresses and routes of the host and of every sandbox, as resources."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from reconciler.kernel import foreign_namespaces, joiners, namespaces, netlink, observe_sub_interfaces
from reconciler.kernel.attachment_records import Record
from reconciler.kernel.connected import ConnectedRoutes
from reconciler.kernel.host import PINNED, Host, cookie
from reconciler.kernel.observe_source_routes import source_routes
from reconciler.naming import LINK_GROUP, ROUTE_PROTOCOL, Label, parse_label
from reconciler.netlink import constants as c
from reconciler.netlink.decode import AddressRecord, LinkRecord, RouteRecord
from reconciler.netlink.sub_interface_kinds import SUB_INTERFACE_KINDS
from reconciler.resources.address import Address
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.namespace import Namespace
from reconciler.resources.route import KINDS, UNICAST, Route
from reconciler.resources.sub_interface import SubInterface
from reconciler.state import Key, Resource

_NO_RECORDS: Mapping[str, Record] = {}
_RECORD_LOST = "whose record is lost"
_DEFAULTS = frozenset({"0.0.0.0/0", "::/0"})
_ROUTE_KINDS = {number: kind for kind, number in KINDS.items()}


@dataclass(slots=True)
class HostLinks:
    """What one look at the host's own namespace gives."""

    links: list[LinkRecord]
    addresses: list[AddressRecord]
    routes: list[RouteRecord]
    names: dict[int, str] = field(default_factory=dict)
    halves: dict[int, tuple[LinkRecord, Label]] = field(default_factory=dict)
    """Host ends of endpoints of ours, by index; those that found their other half are taken out."""


def look(route_socket: netlink.RouteSocket) -> HostLinks:
    """One look at the host."""
    found = HostLinks(
        netlink.links(route_socket), netlink.addresses(route_socket), netlink.routes(route_socket, 0, c.RT_TABLE_MAIN)
    )
    found.names = netlink.names(found.links)
    for link in found.links:
        label = parse_label(link.alias) if link.group == LINK_GROUP and link.alias else None
        if label and label.kind == "endpoint":
            found.halves[link.link_index] = (link, label)
    return found


def bridges(host: HostLinks) -> Iterator[Resource]:
    """The bridges of ours, with their addresses."""
    connected = ConnectedRoutes(host.routes, {link.link_index: link.up for link in host.links})
    for link in host.links:
        label = parse_label(link.alias) if link.group == LINK_GROUP and link.kind == "bridge" else None
        if not label or label.kind != "bridge":
            continue
        network = f"{label.stack}/{label.name}"
        yield Bridge(
            owner=label.stack,
            network=network,
            network_name=label.network,
            interface=link.name,
            mac=link.mac,
            origin=label.origin,
            mtu=link.mtu,
            nf_call=link.nf_call,
            route_localnet=link.route_localnet,
            ipv6=link.ipv6,
            up=link.up,
        )
        for address in host.addresses:
            if address.link_index == link.link_index and address.scope != c.RT_SCOPE_LINK:
                routed = connected.leads_to(link.link_index, address.address)
                yield Address(label.stack, network, "", link.name, address.address, routed=routed)


def pinned(host: Host) -> Iterator[tuple[str, str]]:
    """``stack/container`` and path of everything below /run/netns that could be a sandbox of this host."""
    try:
        names = sorted(os.listdir(PINNED))  # noqa: PTH208  # only the names are wanted, of thousands
    except FileNotFoundError:
        return
    for name in names:
        namespace = host.namespace_of(name)
        if namespace:
            yield namespace, f"{PINNED}/{name}"


def sandboxes(
    host: Host, found: HostLinks, only: frozenset[str] | None = None, records: Mapping[str, Record] = _NO_RECORDS
) -> Iterator[Resource]:
    """What stands in each sandbox (of ``only``, where given); ``records`` are those of attached ones.

    Moves this thread: call it within ``elsewhere``.
    """
    for namespace, path in pinned(host):
        if only is None or namespace in only:
            yield from _sandbox(host, found, namespace, path, records.get(namespace))


def attached_elsewhere(
    host: Host, found: HostLinks, records: Mapping[str, Record], seen: frozenset[str]
) -> Iterator[Resource]:
    """Attached namespaces whose name is gone: what stands in those that are still found, and that there is a record.

    Moves this thread, as ``sandboxes``.
    """
    gone = {container: record for container, record in records.items() if container not in seen}
    places = dict(foreign_namespaces.lost(host, gone))
    for container, record in gone.items():
        stack = container.partition("/")[0]
        inside = _sandbox(host, found, container, places[container], record) if container in places else ()
        bare = Namespace(stack, container, record.origin, pinned=False, attached=record.path)
        first, *rest = [*inside] or [bare]
        if isinstance(first, Namespace):
            first = replace(first, pinned=False, where=places.get(container, ""), current=True)
        yield first
        yield from rest


def found_elsewhere(host: Host, found: HostLinks, namespace: str, path: str) -> list[Resource]:
    """What stands in a sandbox whose name is lost, seen by another path; nothing where it is not that sandbox.

    Moves this thread, as ``sandboxes``.
    """
    seen = list(_sandbox(host, found, namespace, path))
    first = seen[0] if seen else None
    if not isinstance(first, Namespace) or not first.pinned:
        return []
    return [replace(first, pinned=False, where=path), *seen[1:]]


def _sandbox(
    host: Host, found: HostLinks, namespace: str, path: str, record: Record | None = None
) -> Iterable[Resource]:
    stack = namespace.partition("/")[0]
    try:
        descriptor = namespaces.open_path(path)
    except OSError:
        return ()
    try:
        namespaces.enter(descriptor)
    except OSError:
        # A name that leads nowhere is what a crash between naming and mounting leaves.
        empty = os.fstat(descriptor).st_size == 0
        return (Namespace(stack, namespace, "", pinned=False),) if empty and record is None else ()
    finally:
        os.close(descriptor)
    inside = netlink.RouteSocket()
    try:
        return _inside(host, found, namespace, inside, record)
    finally:
        inside.close()


def _inside(
    host: Host, found: HostLinks, namespace: str, inside: netlink.RouteSocket, record: Record | None
) -> list[Resource]:
    links = netlink.links(inside)
    loopback = next(link for link in links if link.name == "lo")
    label = parse_label(loopback.alias)
    if label and label.host_id == host.host_id:
        if f"{label.stack}/{label.name}" != namespace:
            return [joiners.named(host, namespace, f"{label.stack}/{label.name}")]
        sandbox = Namespace(label.stack, namespace, label.origin, ipv6=loopback.ipv6, up=loopback.up)
        return _contents(found, sandbox, links, inside, ipv6=sandbox.ipv6)
    links = [link for link in links if _is_ours(found, namespace, link)]
    if record is not None:
        return _contents(found, _attached(host, namespace, record, loopback), links, inside, ipv6=True)
    if not links:
        return []
    # The record is lost; that links of ours for this very container stand in it says whose name it is.
    sandbox = Namespace(namespace.partition("/")[0], namespace, "", attached=_RECORD_LOST, current=False)
    return _contents(found, sandbox, links, inside, ipv6=True)


def _attached(host: Host, namespace: str, record: Record, loopback: LinkRecord) -> Namespace:
    current = record.cookie == str(cookie()) and foreign_namespaces.is_current(host, namespace, record)
    stack = namespace.partition("/")[0]
    return Namespace(stack, namespace, record.origin, up=loopback.up, attached=record.path, current=current)


def _is_ours(found: HostLinks, namespace: str, link: LinkRecord) -> bool:
    """Whether a link in somebody else's namespace is this container's: that may be a host of netapply itself."""
    if link.group != LINK_GROUP:
        return False
    if link.kind == "veth":
        half = found.halves.get(link.peer_index)
        return (
            half is not None
            and half[0].peer_index == link.link_index
            and f"{half[1].stack}/{half[1].name}" == namespace
        )
    return link.kind in SUB_INTERFACE_KINDS and observe_sub_interfaces.is_of_a_container(link)


def _contents(
    found: HostLinks, sandbox: Namespace, links: Iterable[LinkRecord], inside: netlink.RouteSocket, *, ipv6: bool
) -> list[Resource]:
    """The sandbox, and what of ours stands in it."""
    owner, namespace = sandbox.owner, sandbox.container
    resources: list[Resource] = [sandbox]
    ours = {}
    is_up = {}
    for link in links:
        is_up[link.link_index] = link.up
        if link.group == LINK_GROUP and link.kind == "veth":
            ours[link.link_index] = link.name
            resources.append(_endpoint(found, owner, namespace, link))
        elif link.group == LINK_GROUP and link.kind in SUB_INTERFACE_KINDS:
            ours[link.link_index] = link.name
            resources.append(observe_sub_interfaces.inside(found.names, owner, namespace, link))
    if ours:
        # Where IPv6 is off there are no routes of it, and not asking saves a tenth of the look.
        family = 0 if ipv6 else c.AF_INET
        routes = netlink.routes(inside, family, c.RT_TABLE_MAIN)
        resources.extend(_inner_addresses(owner, namespace, ours, inside, ConnectedRoutes(routes, is_up)))
        resources.extend(_inner_routes(owner, namespace, ours, routes))
    if any(isinstance(resource, SubInterface) for resource in resources):
        own = [resource.address for resource in resources if isinstance(resource, Address)]
        resources.extend(source_routes(owner, namespace, ours, own, inside))
    return resources


def _inner_addresses(
    owner: str, namespace: str, ours: dict[int, str], inside: netlink.RouteSocket, connected: ConnectedRoutes
) -> Iterator[Address]:
    for address in netlink.addresses(inside):
        index = address.link_index
        if index in ours and address.scope != c.RT_SCOPE_LINK:
            routed = connected.leads_to(index, address.address)
            yield Address(owner, namespace, namespace, ours[index], address.address, routed=routed)


def _inner_routes(owner: str, namespace: str, ours: dict[int, str], routes: Iterable[RouteRecord]) -> Iterator[Route]:
    """Routes of ours, and whatever default route stands on a link of ours.

    Somebody may append a second one of the same metric: then the stranger is the one that counts, as drift.
    """
    found: dict[Key, Route] = {}
    for route in routes:
        is_ours = route.protocol == ROUTE_PROTOCOL
        kind = _ROUTE_KINDS.get(route.kind, "")
        # One that leads nowhere stands on no link; IPv6 says lo.
        interface = ours.get(route.link_index, "") if kind == UNICAST else ""
        concerns_us = is_ours or route.destination in _DEFAULTS
        if (interface and concerns_us) or (is_ours and kind and kind != UNICAST):
            destination, metric, protocol = route.destination, route.metric, route.protocol
            seen = Route(owner, namespace, destination, route.gateway, interface, metric, protocol, kind=kind)
            if seen.key not in found or not is_ours:
                found[seen.key] = seen
    yield from found.values()


def _endpoint(found: HostLinks, owner: str, namespace: str, link: LinkRecord) -> Endpoint:
    half = found.halves.get(link.peer_index)
    if half is None or f"{half[1].stack}/{half[1].name}" != namespace:
        return Endpoint(owner, namespace, link.name, "", "", "", link.mac, "", link.mtu)
    host_end, label = half
    del found.halves[link.peer_index]
    return Endpoint(
        owner=owner,
        container=namespace,
        interface=link.name,
        host_interface=host_end.name,
        network_name=label.network,
        bridge=found.names.get(host_end.master_index, ""),
        mac=link.mac,
        origin=label.origin,
        mtu=min(link.mtu, host_end.mtu),
        hairpin=host_end.hairpin,
        port_altered=host_end.port_altered,
        up=link.up,
        host_up=host_end.up,
    )


def lone_halves(found: HostLinks) -> Iterator[Endpoint]:
    """Host ends whose other end stands in no sandbox of ours."""
    for link, label in found.halves.values():
        bridge = found.names.get(link.master_index, "")
        yield Endpoint(
            label.stack, f"{label.stack}/{label.name}", "", link.name, label.network, bridge, "", label.origin, link.mtu
        )
