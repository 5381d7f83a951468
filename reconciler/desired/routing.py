"""Where containers' packets go: routes, gateways, and the settings that both need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.desired.gateways import gateway_resources, hops, services
from reconciler.desired.known import Known
from reconciler.desired.routes import route_resources
from reconciler.desired.sysctls import sysctl_resources
from reconciler.desired.wired import Wired
from reconciler.errors import Problem
from reconciler.firewall.policy import PublishedPort
from reconciler.resources.route import UNICAST, Route
from reconciler.state import Resource, State


def routing_resources(wired: Sequence[Wired], known: Known, problems: list[Problem]) -> Iterable[Resource]:
    """Routes, router rules and kernel settings of all containers of the run."""
    through = hops(wired, known, problems)
    serving = services(through, wired, known)
    yield from route_resources(wired, through, known, problems)
    yield from gateway_resources(serving)
    yield from sysctl_resources(wired, through, serving, problems)


def unanswered(wanted: State) -> Iterable[Problem]:
    """A warning for each container with published ports whose answers to other machines go into its gateway."""
    routes = [resource for resource in wanted if isinstance(resource, Route)]
    # Only the way through another container waits for something: that it forwards.
    guarded = {(route.container, route.family) for route in routes if route.is_way_out and route.after}
    directed = {(route.container, route.family) for route in routes if route.kind == UNICAST and not route.is_way_out}
    warned = set()
    for port in wanted:
        if not isinstance(port, PublishedPort) or port.host_address.startswith("127."):
            continue
        place = (port.container, port.family)
        if place in guarded - directed and port.container not in warned:
            warned.add(port.container)
            name = port.container.partition("/")[2]
            message = f"ports of container {name} are not reached from other machines: it answers through its gateway"
            hint = "give it a route to those machines, through the network's own gateway: routes: [{to: …, via: …}]"
            yield Problem(message, port.source, hint, "warning")
