"""``gateway`` and ``routes`` on a container's place on a network."""

from __future__ import annotations

from collections import defaultdict
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from reconciler.manifest.addresses import parse_address, parse_source
from reconciler.manifest.circles import circles
from reconciler.manifest.faults import FormError
from reconciler.manifest.model import Attachment, Container, Network, StaticRoute
from reconciler.manifest.networks import is_host

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.manifest.context import Context
    from reconciler.manifest.network_models import AttachmentPart, RoutePart

ROUTE_KINDS = ("unicast", "blackhole", "unreachable", "prohibit")
_HIGHEST_METRIC = 2**32 - 1
_IPV6 = 6


def convert_gateway(part: AttachmentPart, path: tuple[str | int, ...], context: Context) -> str | None:
    """``service:NAME`` or ``container:NAME`` as the model has it."""
    if not part.gateway:
        return None
    return context.take(lambda text: _parse_gateway(text, context), part.gateway, *path, "gateway")


def convert_routes(part: AttachmentPart, path: tuple[str | int, ...], context: Context) -> tuple[StaticRoute, ...]:
    """The static routes, each checked for itself."""
    found = (_route(each, (*path, "routes", index), context) for index, each in enumerate(part.routes or ()))
    return tuple(route for route in found if route)


def _parse_gateway(text: str, context: Context) -> str:
    kind, colon, name = text.partition(":")
    if kind not in {"service", "container"} or not colon or not name:
        hint = "write service:NAME or container:NAME"
        try:
            parse_address(text)
            hint = "the network's own gateway stands under ipam; for one destination write routes: [{to: …, via: …}]"
        except FormError:
            hint = f"write service:{text}" if not colon and text in context.parts else hint
        message = f"'{text}' does not name a container as gateway"
        raise FormError(message, hint)
    own = context.container_names.get(name) if kind == "container" else None
    return f"service:{own}" if own else text


def _route(part: RoutePart, path: tuple[str | int, ...], context: Context) -> StaticRoute | None:
    kind = part.type or "unicast"
    if kind not in ROUTE_KINDS:
        hint = context.faults.nearest(kind, ROUTE_KINDS) or f"one of {', '.join(ROUTE_KINDS)}"
        context.faults.add(f"unknown type of route '{kind}'", context.at(*path, "type"), hint)
        return None
    if not part.to:
        context.faults.add("'to' is empty", context.at(*path, "to"), "write the destination: 10.0.0.0/8")
    to = context.take(_parse_destination, part.to, *path, "to")
    via = context.take(lambda text: str(parse_address(text)), part.via, *path, "via")
    if to is None or (part.via and via is None):
        return None
    if kind == "unicast" and via is None:
        hint = "write via: ADDRESS, or type: blackhole for packets that shall go nowhere"
        context.faults.add(f"the route to {to} has no next hop", context.at(*path, "to"), hint)
    elif kind != "unicast" and via is not None:
        context.faults.add(f"a route of type {kind} leads nowhere", context.at(*path, "via"), "remove via")
    elif via and (":" in via) != (":" in to):
        context.faults.add(f"{via} and {to} are of two address families", context.at(*path, "via"))
    if part.metric is not None and not 0 <= part.metric <= _HIGHEST_METRIC:
        message = f"metric {part.metric} is not possible"
        context.faults.add(message, context.at(*path, "metric"), f"a number from 0 to {_HIGHEST_METRIC}")
    return StaticRoute(to, via, kind, part.metric, context.at(*path, "to"))


def _parse_destination(text: str) -> str:
    if text == "default" or text.endswith("/0"):
        message = f"'{text}' is the default route"
        raise FormError(message, "gw_priority says which network gives it; gateway: service:NAME leads it elsewhere")
    return parse_source(text)


def check_routes(
    container: Container, networks: Mapping[str, Network], containers: Mapping[str, Container], context: Context
) -> None:
    """Note routes whose next hop is not on their network, doubled ones, and gateways that are not on theirs."""
    seen: dict[tuple[str, int | None], StaticRoute] = {}
    own = {
        pool.subnet
        for each in container.attachments
        if each.network in networks
        for pool in networks[each.network].pools
    }
    for attachment in container.attachments:
        network = networks.get(attachment.network)
        for route in attachment.routes:
            first = seen.setdefault((route.destination, route.metric), route)
            if first is not route:
                message = f"container '{container.name}' has two routes to {route.destination}; first at {first.source}"
                context.faults.add(message, route.source, "remove one of them, or give them different metrics")
            if route.destination in own:
                message = f"{route.destination} is the subnet of a network that container '{container.name}' is on"
                context.faults.add(message, route.source, "what is on the network needs no route; remove it")
            if network:
                _check_next_hop(route, network, context)
        if attachment.gateway:
            _check_gateway(container, attachment, containers, context)


def _check_next_hop(route: StaticRoute, network: Network, context: Context) -> None:
    if route.via is None or network.external or network.key in context.unclear_networks:
        return
    via = ip_address(route.via)
    pools = [pool for pool in network.pools if pool.family == via.version]
    pool = next((pool for pool in pools if via in ip_network(pool.subnet)), None)
    if pool and via.version != _IPV6 and not is_host(route.via, pool.subnet):
        message = f"next hop {via} is the first or last address of {pool.subnet}, no host can have it"
        context.faults.add(message, route.source, "name a neighbour on that network")
    if pool or via.is_link_local:
        return
    if not pools and (network.enable_ipv6 if via.version == _IPV6 else network.enable_ipv4):
        message = f"next hop {via} is fixed, but network '{network.key}' has no subnet of its own for it"
        context.faults.add(message, route.source, "give the network ipam.config with a subnet")
        return
    subnets = ", ".join(f"{pool.subnet} at {pool.source}" for pool in pools) or f"it has no IPv{via.version}"
    message = f"next hop {via} is not on network '{network.key}': {subnets}"
    context.faults.add(message, route.source, "the next hop is a neighbour on that network")


def _check_gateway(
    container: Container, attachment: Attachment, containers: Mapping[str, Container], context: Context
) -> None:
    kind, _, name = (attachment.gateway or "").partition(":")
    source, network = attachment.gateway_source, attachment.network
    target = containers.get(name)
    what = f"the gateway of container '{container.name}' on network '{network}'"
    if target is None:
        context.check_target(kind, name, f"{what} is", source)
        return
    joined = next((each for each in target.attachments if each.network == network), None)
    if target is container:
        context.faults.add(f"container '{name}' is its own gateway", source, "name another container")
    elif joined is None:
        mode = target.network_mode or ""
        hint = f"write {mode}" if mode.startswith(("service:", "container:")) else f"add {network} to its networks"
        context.faults.add(f"{what}, '{name}' at {target.source}, is not on that network", source, hint)


def check_gateways(containers: Mapping[str, Container], context: Context) -> None:
    """Note packets that go from gateway to gateway and come back: on each network, at the first of them in the file."""
    graphs: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for container in containers.values():
        for attachment in container.attachments:
            name = (attachment.gateway or "").partition(":")[2]
            if name in containers and name != container.name:
                graphs[attachment.network][container.name] = [name]
    for network, graph in graphs.items():
        for circle in circles(graph):
            message = f"gateway goes in a circle on network '{network}': {' -> '.join([*circle, circle[0]])}"
            source = containers[circle[0]].source
            context.faults.add(message, source, "one of them must use the network's own gateway")
