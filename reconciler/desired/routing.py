"""Where containers' packets go: routes, gateways, and the settings that both need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.desired.answering import behind_gateways
from reconciler.desired.gateway_clients import check_clients
from reconciler.desired.gateways import gateway_resources, hops, services
from reconciler.desired.known import Known
from reconciler.desired.routes import route_resources
from reconciler.desired.sysctls import sysctl_resources
from reconciler.desired.wired import Wired
from reconciler.errors import Problem
from reconciler.firewall.policy import PublishedPort
from reconciler.firewall.translation import FloatingPolicy
from reconciler.state import Resource, State


def routing_resources(wired: Sequence[Wired], known: Known, problems: list[Problem]) -> Iterable[Resource]:
    """Routes, router rules and kernel settings of all containers of the run."""
    check_clients(wired, known, problems)
    through = hops(wired, known, problems)
    serving = services(through, wired, known)
    yield from route_resources(wired, through, known, problems)
    yield from gateway_resources(serving)
    yield from sysctl_resources(wired, through, serving, problems)


def unanswered(wanted: State) -> Iterable[Problem]:
    """A warning for each container whose answers to other machines go into its gateway.

    Of those with published ports or floating addresses: once for the ports, and for each address.
    """
    guarded = behind_gateways(wanted)
    warned = set()
    for way in wanted:
        match way:
            case PublishedPort() if not way.host_address.startswith("127."):
                what, family = "ports of container {} are", way.family
            case FloatingPolicy():
                what, family = f"floating address {way.address} of container {{}} is", 6 if ":" in way.address else 4
            case _:
                continue
        about = what.format(way.container.partition("/")[2])
        if (way.container, family) in guarded and (way.container, about) not in warned:
            warned.add((way.container, about))
            message = f"{about} not reached from other machines: it answers through its gateway"
            hint = "give it a route to those machines, through the network's own gateway: routes: [{to: …, via: …}]"
            yield Problem(message, way.source, hint, "warning")
