"""The source routes of a sandbox, put together from its rules and the tables that these lead to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_interface

from reconciler.kernel import netlink
from reconciler.naming import ROUTE_PROTOCOL
from reconciler.netlink.decode import RouteRecord
from reconciler.resources.source_route import PRIORITY, SourceRoute

_ROUTES = 2
"""To the neighbours, and by default."""


def source_routes(
    owner: str, namespace: str, links: Mapping[int, str], addresses: Sequence[str], inside: netlink.RouteSocket
) -> Iterator[SourceRoute]:
    """One for each rule of ours; ``links`` are ours by index, ``addresses`` those on them with prefix length."""
    rules = [rule for rule in netlink.rules(inside, 0) if rule.protocol == ROUTE_PROTOCOL and rule.source]
    if not rules:
        return
    tables: dict[int, list[RouteRecord]] = {rule.table: [] for rule in rules}
    for route in netlink.routes(inside, 0, 0):
        if route.table in tables and route.protocol == ROUTE_PROTOCOL:
            tables[route.table].append(route)
    lengths = {address.partition("/")[0]: address for address in addresses}
    found = set()
    for rule in rules:
        address = lengths.get(rule.source.partition("/")[0], rule.source)
        if address not in found:
            found.add(address)
            routes = [route for route in tables[rule.table] if route.family == rule.family]
            alone = sum(other.source == rule.source for other in rules) == 1 and rule.priority == PRIORITY
            yield _source_route(owner, namespace, links, address, rule.table, routes, alone=alone)


def _source_route(
    owner: str,
    namespace: str,
    links: Mapping[int, str],
    address: str,
    table: int,
    routes: Sequence[RouteRecord],
    *,
    alone: bool,
) -> SourceRoute:
    defaults = [route for route in routes if route.destination.endswith("/0")]
    near = [route for route in routes if route.destination == str(ip_interface(address).network)]
    one_way = len(defaults) == len(near) == 1 and near[0].link_index == defaults[0].link_index
    whole = alone and one_way and len(routes) == _ROUTES
    default = defaults[0] if defaults else None
    interface = links.get(default.link_index, "") if default else ""
    return SourceRoute(owner, namespace, interface, address, default.gateway if default else "", table, whole)
