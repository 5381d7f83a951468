"""Ports that the containers of a run publish, and what the agent holds for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from reconciler.desired.known import Known
from reconciler.desired.listeners import listening_on_host
from reconciler.desired.members import Member
from reconciler.desired.ports import Wish, exits_of, faults_of_exits, publish
from reconciler.desired.wired import Wired
from reconciler.errors import Problem
from reconciler.manifest.model import PortMapping
from reconciler.resources.agent import HELD_PROTOCOLS, HeldPorts
from reconciler.state import Resource


def published_resources(wired: Sequence[Wired], known: Known, problems: list[Problem]) -> list[Resource]:
    """The ports of all containers, and one resource a stack for those that are held against foreign programs."""
    wishes = [wish for each in wired for wish in _wishes(each, problems)]
    ports = publish(wishes, known, problems, listening_on_host(wired))
    pins: dict[str, set[tuple[str, str, int]]] = defaultdict(set)
    for port in ports:
        if not port.routed and port.protocol in HELD_PROTOCOLS:
            pins[port.owner].add((port.protocol, port.host_address, port.host_port))
    return [*ports, *(HeldPorts(stack, tuple(sorted(held))) for stack, held in sorted(pins.items()))]


def _wishes(wired: Wired, problems: list[Problem]) -> Iterable[Wish]:
    container, members = wired.spec, list(wired.members)
    # Where a network is at fault, so that the container has no place on it, that is said already.
    sound = len(members) >= len(container.attachments) and all(member.addresses for member in members)
    for mapping in container.ports:
        exits, faults = exits_of(members, mapping), list(faults_of_exits(members, mapping))
        problems.extend(faults)
        if faults:
            continue
        if exits:
            yield Wish(wired.identity, mapping, exits)
        elif sound and wired.own and container.network_mode != "none":
            message = f"container {container.name} publishes port {mapping.target}/{mapping.protocol}, "
            message += "but has no network that leads outside in that address family"
            problems.append(Problem(message, mapping.source, _way_out(mapping, members)))


def _way_out(mapping: PortMapping, members: list[Member]) -> str:
    if mapping.host_address and any(not member.network.internal for member in members):
        family = 6 if ":" in mapping.host_address else 4
        return f"give its network enable_ipv{family}: true, or publish it at an address of the other family"
    return "join a network that is not internal, or remove the port"
