"""``egress_ip:``: which of the host's addresses a container's own connections bear outside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.desired.drivers import DRIVERS
from reconciler.desired.gateways import place_of
from reconciler.desired.known import Known
from reconciler.desired.members import Member
from reconciler.desired.wired import Wired
from reconciler.errors import Problem, Source
from reconciler.firewall.translation import EgressPolicy
from reconciler.state import Resource


def egress_resources(wired: Sequence[Wired], known: Known, problems: list[Problem]) -> Iterable[Resource]:
    """What translates each container's sources; the address must be the host's, or a floating one of the run."""
    present = {address.partition("/")[0] for _, address in known.observation.facts.host_networks}
    floating = {given.address for each in wired for given in each.spec.floating_addresses}
    for each in wired:
        for given in each.spec.egress_addresses:
            family = 6 if ":" in given.address else 4
            fault = owner_fault(each, "egress_ip")
            if fault is None and given.address not in present | floating:
                message = f"egress address {given.address} of container {each.spec.name} is no address of the host"
                same = sorted(address for address in present if (":" in address) == (":" in given.address))
                fault = (message, f"the host has: {', '.join(same)}" if same else "add it to an interface of the host")
            if fault is None and leaves_by_another(each, family):
                gateway = next(place_of(member) for member in each.members if member.attachment.gateway)
                message = f"egress_ip {given.address} of container {each.spec.name} has no effect: "
                message += f"everything goes through its gateway ({gateway})"
                fault = (message, "remove it, or the gateway; or give it routes through the network's own gateway")
            if fault is None and not any(True for _ in can_leave(each, family)):
                message = f"container {each.spec.name} has no bridge network that leads outside with IPv{family}"
                fault = (message, "join a network that is not internal, or remove egress_ip")
            source = given.source or each.spec.source
            if fault:
                problems.append(Problem(fault[0], source, fault[1]))
            else:
                yield from leaving(each, given.address, source)


def leaving(wired: Wired, address: str, source: Source | None) -> Iterator[EgressPolicy]:
    """What makes everything that the container sends out in that family bear the address."""
    family = 6 if ":" in address else 4
    for member in can_leave(wired, family):
        own = member.addresses[family].partition("/")[0]
        yield EgressPolicy(wired.stack, wired.identity, address, own, source=source)


def can_leave(wired: Wired, family: int) -> Iterator[Member]:
    """Its places on networks from which it gets outside through the host, the preferred first."""
    for member in wired.members:
        options = member.network.options
        mode = {4: options.gateway_mode_ipv4, 6: options.gateway_mode_ipv6}[family]
        outward = not member.network.internal and DRIVERS[member.network.driver].PUBLISHES and mode != "isolated"
        if outward and family in member.addresses:
            yield member


def leaves_by_another(wired: Wired, family: int) -> bool:
    """Whether all that the container sends out in that family goes through another one, where no rule of ours sees it.

    Not so where a route of its own leads elsewhere.
    """
    routes = [route for member in wired.members for route in member.attachment.routes if route.via]
    guarded = any(member.attachment.gateway for member in wired.members)
    return guarded and not any((6 if ":" in route.destination else 4) == family for route in routes)


def owner_fault(wired: Wired, key: str) -> tuple[str, str] | None:
    """Why a container that has no namespace of its own cannot have the key, and what to do."""
    if wired.own:
        return None
    message = f"{key} of container {wired.spec.name} has no effect: it uses the network namespace of "
    if not wired.namespace:
        return f"{message}the host", "remove it, or give the container a network"
    return f"{message}{wired.namespace}", f"write {key} at container {wired.namespace}"
