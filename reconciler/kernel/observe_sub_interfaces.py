"""Links on a parent: sub-interfaces in sandboxes, the host's shims and VLANs, and what of the host could be a parent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from reconciler.naming import LINK_GROUP, ROUTE_PROTOCOL, Label, parse_label
from reconciler.netlink import constants as c
from reconciler.netlink.decode import AddressRecord, LinkRecord, RouteRecord
from reconciler.netlink.sub_interface_kinds import SUB_INTERFACE_KINDS, mode_names
from reconciler.observation import HostLink
from reconciler.resources import shim, sub_interface, vlan
from reconciler.resources.address import Address
from reconciler.resources.shim import Shim, ShimRoute
from reconciler.resources.sub_interface import SubInterface
from reconciler.resources.vlan import Vlan
from reconciler.state import HOST_OWNER, Resource


def inside(host_names: Mapping[int, str], owner: str, namespace: str, link: LinkRecord) -> SubInterface:
    """A macvlan or ipvlan link of our group in the sandbox ``namespace``; ``host_names``: the host's links by index."""
    label = parse_label(link.alias)
    if label is None or label.kind not in {sub_interface.LABEL, sub_interface.INTERNAL_LABEL}:
        label = Label("", "", "", "", "", "")
    mode, flag = mode_names(link.kind, link.mode, link.mode_flags)
    return SubInterface(
        owner=owner,
        container=namespace,
        interface=link.name,
        network=f"{label.stack}/{label.name}" if label.name else "",
        network_name=label.network,
        driver=link.kind,
        mode=mode,
        # An index without the id of another namespace is one of the sandbox's own links.
        parent=host_names.get(link.peer_index, "") if link.peer_netnsid >= 0 else "",
        mac=link.mac,
        mtu=link.mtu,
        flag=flag,
        internal=label.kind == sub_interface.INTERNAL_LABEL,
        passthru=mode == "passthru",
        up=link.up,
    )


def is_of_a_container(link: LinkRecord) -> bool:
    """Whether its label is one of those that links of ours in containers bear, rather than a host's."""
    label = parse_label(link.alias)
    return label is not None and label.kind in {sub_interface.LABEL, sub_interface.INTERNAL_LABEL}


def on_host(
    links: Sequence[LinkRecord],
    names: Mapping[int, str],
    addresses: Sequence[AddressRecord],
    routes: Sequence[RouteRecord],
) -> Iterator[Resource]:
    """The VLAN interfaces and shims of ours, these with their addresses and routes."""
    for link in links:
        label = parse_label(link.alias) if link.group == LINK_GROUP and link.alias else None
        if label and label.kind == vlan.LABEL and link.kind == "vlan":
            yield Vlan(HOST_OWNER, link.name, names.get(link.peer_index, ""), link.mode, link.up)
        elif label and label.kind == shim.LABEL and link.kind in SUB_INTERFACE_KINDS:
            yield from _shim(link, label, names, addresses, routes)


def _shim(
    link: LinkRecord,
    label: Label,
    names: Mapping[int, str],
    addresses: Iterable[AddressRecord],
    routes: Iterable[RouteRecord],
) -> Iterator[Resource]:
    network = f"{label.stack}/{label.name}"
    mode, flag = mode_names(link.kind, link.mode, link.mode_flags)
    yield Shim(
        owner=label.stack,
        network=network,
        network_name=label.network,
        interface=link.name,
        driver=link.kind,
        mode=mode,
        parent=names.get(link.peer_index, "") if link.peer_netnsid < 0 else "",
        mac=link.mac,
        origin=label.origin,
        mtu=link.mtu,
        flag=flag,
        ipv6=link.ipv6,
        up=link.up,
    )
    for address in addresses:
        if address.link_index == link.link_index and address.scope != c.RT_SCOPE_LINK:
            yield Address(label.stack, network, "", link.name, address.address)
    for route in routes:
        if route.link_index == link.link_index and route.protocol == ROUTE_PROTOCOL:
            yield ShimRoute(label.stack, network, link.name, route.destination)


def links_of_others(links: Iterable[LinkRecord], names: Mapping[int, str]) -> tuple[HostLink, ...]:
    """Every link of the host that is not ours: what a network may ask for as its parent."""
    found = (
        HostLink(
            name=link.name,
            kind=link.kind,
            mac=link.mac,
            mtu=link.mtu,
            up=link.up,
            master=names.get(link.master_index, ""),
        )
        for link in links
        if link.group != LINK_GROUP
    )
    return tuple(sorted(found))
