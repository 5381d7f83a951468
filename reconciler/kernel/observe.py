"""kernel -> State: one look at everything of ours on this host, and at what planning must know beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reconciler.kernel import (
    attachment_records,
    container_files,
    joiners,
    namespaces,
    observe_links,
    observe_sub_interfaces,
    router_rules,
    sysctl,
)
from reconciler.kernel.attachment_records import Record
from reconciler.kernel.host import Host
from reconciler.kernel.netlink import RouteSocket
from reconciler.kernel.observe_links import HostLinks
from reconciler.naming import LINK_GROUP, ROUTE_PROTOCOL
from reconciler.netlink import constants as c
from reconciler.resources.joined import Joined
from reconciler.resources.namespace import Namespace
from reconciler.resources.router_rules import RouterRules
from reconciler.resources.sysctl import Sysctl
from reconciler.state import HOST_OWNER, Key, Kind, Resource

_EPHEMERAL = "net/ipv4/ip_local_port_range"
_FORWARDING6 = "net/ipv6/conf/all/forwarding"
_FORWARDING = frozenset({"net/ipv4/ip_forward", _FORWARDING6})


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look at the links gives, before firewall, agent and processes are asked."""

    resources: list[Resource]
    links: HostLinks


def look_at_links(host: Host, only: frozenset[str] | None = None, homes: Mapping[str, str] | None = None) -> Sight:
    """Namespaces, links, addresses, routes and settings; of the sandboxes in ``only``, where given.

    ``homes`` are paths of the namespaces of running commands, by the sandbox that it should be: there a sandbox is
    found whose name was taken away.
    """
    route_socket = RouteSocket()
    try:
        route_socket.enlarge()
        found = observe_links.look(route_socket)
    finally:
        route_socket.close()
    resources: list[Resource] = list(observe_links.bridges(found))
    resources.extend(observe_sub_interfaces.on_host(found.links, found.names, found.addresses, found.routes))
    records = attachment_records.records(host)
    with namespaces.elsewhere():
        resources.extend(observe_links.sandboxes(host, found, only, records))
        resources.extend(_lost_attached(host, found, records, resources, only))
        resources.extend(_lost_sandboxes(host, found, resources, homes or {}, only))
        resources.extend(_sandbox_sysctls(host, only))
        resources.extend(_router_rules(host, only))
    resources.extend(observe_links.lone_halves(found) if only is None else ())
    _add_joined(host, resources, only)
    resources.extend(container_files.observe(host, only))
    resources.extend(_host_sysctls(host))
    return Sight(resources, found)


def _host_sysctls(host: Host) -> Iterator[Resource]:
    names = sorted(sysctl.load_record(host.run).get("", {}))
    listening = tuple(Key(Kind.SYSCTL, f"host:{name}") for name in names if name.endswith("/accept_ra"))
    for name in names:
        value = sysctl.read(name)
        if value is not None:
            after = listening if name == _FORWARDING6 else ()
            yield Sysctl(HOST_OWNER, "", name, value, after)


def _sandbox_sysctls(host: Host, only: frozenset[str] | None) -> Iterator[Resource]:
    for namespace, settings in sorted(sysctl.load_record(host.run).items()):
        if not namespace or (only is not None and namespace not in only):
            continue
        try:
            namespaces.enter_path(host.namespace_path(namespace))
        except OSError:
            continue
        for name in sorted(settings):
            value = sysctl.read(name)
            if value is not None:
                yield Sysctl(namespace.partition("/")[0], namespace, name, " ".join(value.split()))


def _lost_sandboxes(
    host: Host, found: HostLinks, seen: list[Resource], homes: Mapping[str, str], only: frozenset[str] | None
) -> list[Resource]:
    """Sandboxes without a name that a command runs in, or that bear the name of a container that joined them."""
    there = {resource.container for resource in seen if isinstance(resource, Namespace) and resource.pinned}
    paths = dict(homes) | {
        resource.namespace: str(host.namespace_path(resource.container))
        for resource in seen
        if isinstance(resource, Joined)
    }
    lost: list[Resource] = []
    for namespace, path in sorted(paths.items()):
        if namespace not in there and (only is None or namespace in only):
            lost.extend(observe_links.found_elsewhere(host, found, namespace, path))
    # The name may be there still and lead nowhere: one object, not two.
    names = {resource.container for resource in lost if isinstance(resource, Namespace)}
    seen[:] = [resource for resource in seen if not (isinstance(resource, Namespace) and resource.container in names)]
    return lost


def _lost_attached(
    host: Host, found: HostLinks, records: Mapping[str, Record], seen: list[Resource], only: frozenset[str] | None
) -> list[Resource]:
    """Attached namespaces that have a record, but no name of ours any more."""
    named = frozenset(each.container for each in seen if isinstance(each, Namespace))
    wanted = {name: record for name, record in records.items() if only is None or name in only}
    return list(observe_links.attached_elsewhere(host, found, wanted, named)) if wanted else []


def _add_joined(host: Host, resources: list[Resource], only: frozenset[str] | None) -> None:
    """Containers in other namespaces than their own; one with a record is no crashed sandbox."""
    own = {each.container for each in resources if isinstance(each, Namespace) and (each.pinned or each.where)}
    named = {each.container for each in resources if isinstance(each, Joined)}
    joined = list(joiners.from_records(host, frozenset(own | named), only))
    names = {each.container for each in joined}
    resources[:] = [each for each in resources if not (isinstance(each, Namespace) and each.container in names)]
    resources.extend(joined)


def _router_rules(host: Host, only: frozenset[str] | None) -> Iterator[Resource]:
    """Looked for where we switched forwarding on: a context of libnftables for each of all sandboxes would take long."""
    for namespace, settings in sorted(sysctl.load_record(host.run).items()):
        if not namespace or _FORWARDING.isdisjoint(settings) or (only is not None and namespace not in only):
            continue
        try:
            namespaces.enter_path(host.namespace_path(namespace))
        except OSError:
            continue
        intact = router_rules.intact()
        if intact is not None:
            yield RouterRules(namespace.partition("/")[0], namespace, intact)


def subnets_of_others(found: HostLinks) -> tuple[str, ...]:
    """Destinations of routes and networks of addresses that are not on links of ours."""
    ours = {link.link_index for link in found.links if link.group == LINK_GROUP}
    taken = {
        route.destination
        for route in found.routes
        if route.link_index not in ours and route.protocol != ROUTE_PROTOCOL and not route.destination.endswith("/0")
    }
    taken |= {
        address.address
        for address in found.addresses
        if address.link_index not in ours and address.scope not in {c.RT_SCOPE_LINK, c.RT_SCOPE_HOST}
    }
    return tuple(sorted(destination for destination in taken if not destination.startswith("fe80:")))


def host_addresses(found: HostLinks) -> tuple[str, ...]:
    """The host's own addresses, without prefix length."""
    return tuple(sorted({address.address.partition("/")[0] for address in found.addresses}))


def router_advertised(found: HostLinks) -> tuple[str, ...]:
    """Interfaces that follow router advertisements only as long as the host does not forward."""
    names = [link.name for link in found.links if link.group != LINK_GROUP and link.name != "lo"]
    return tuple(sorted(name for name in names if sysctl.read(f"net/ipv6/conf/{name}/accept_ra") == "1"))


def filtered_bridging() -> tuple[int, ...]:
    """The families of which frames within bridges pass the packet rules (kernel: networking/ip-sysctl, bridge-nf-call)."""
    names = {4: "net/bridge/bridge-nf-call-iptables", 6: "net/bridge/bridge-nf-call-ip6tables"}
    return tuple(family for family, name in names.items() if sysctl.read(name) == "1")


def ephemeral_ports() -> tuple[int, int]:
    """The kernel's range for dynamic ports (kernel: networking/ip-sysctl, ip_local_port_range)."""
    words = (sysctl.read(_EPHEMERAL) or "").split()
    return (int(words[0]), int(words[1])) if len(words) == 2 else (49153, 65535)  # noqa: PLR2004  # first and last
