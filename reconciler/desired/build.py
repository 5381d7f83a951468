"""Manifest (and what is observed) -> State: everything that shall be, decided before anything is done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from reconciler.desired.drivers import DRIVERS
from reconciler.desired.host import host_resources
from reconciler.desired.known import Known
from reconciler.desired.members import Member, place_members
from reconciler.desired.networks import PlannedNetwork, external_network, plan_networks, used_networks
from reconciler.desired.ports import Wish, exits_of, publish
from reconciler.desired.process import process_of
from reconciler.desired.routes import default_routes
from reconciler.desired.sysctls import sandbox_sysctls
from reconciler.desired.unsupported import unsupported
from reconciler.errors import NetapplyError, Problem
from reconciler.firewall import iptables
from reconciler.manifest.model import Container, Manifest
from reconciler.naming import origin_of
from reconciler.observation import Observation
from reconciler.resources.agent import HeldPorts
from reconciler.resources.namespace import Namespace
from reconciler.state import Resource, State


@dataclass(frozen=True, slots=True)
class Scope:
    """The stacks of a run: ``stacks`` may change, those without a manifest shall be empty."""

    stacks: frozenset[str]
    manifests: tuple[Manifest, ...] = ()
    adopt: bool = False
    host_rule: bool = True

    @property
    def host_ports(self) -> frozenset[tuple[str, int]]:
        """Protocol and number of every fixed host port that the manifests ask for."""
        return frozenset(
            (mapping.protocol, mapping.published[0])
            for manifest in self.manifests
            for container in manifest.containers
            for mapping in container.ports
            if mapping.published and mapping.published[0] == mapping.published[1]
        )


@dataclass(slots=True)
class _Build:
    scope: Scope
    known: Known
    resources: list[Resource] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def desired(scope: Scope, observation: Observation) -> State:
    """The state that the manifests ask for, with all other stacks exactly as observed.

    Raises NetapplyError with every fault found.
    """
    build = _Build(scope, Known(observation, scope.stacks))
    origins = _origins(build)
    planned = plan_networks(scope.manifests, build.known, origins, build.problems)
    _check_drivers(build, planned)
    _check_joined(build, planned)
    _containers(build, planned, origins)
    if observation.facts.backend == "iptables":
        build.problems.extend(iptables.unsupported(build.resources))
    if build.problems:
        raise NetapplyError(build.problems)
    stacks = State(build.resources).merged(build.known.others)
    return stacks.merged(State(host_resources(stacks, observation, host_rule=scope.host_rule)))


def _origins(build: _Build) -> dict[str, str]:
    """Where each stack came from; one that stands keeps its origin unless it is adopted.

    A stack whose name was only derived from a file's may be somebody else's of the same
    name, which is a problem; an explicit name is identity enough.
    """
    present = {owner: origin for owner, origin in build.known.origins() if owner in build.scope.stacks}
    origins = {}
    for manifest in build.scope.manifests:
        own = origin_of(manifest.origin)
        found = present.get(manifest.stack)
        origins[manifest.stack] = own if build.scope.adopt else found or own
        if found and found != own and not manifest.named and not build.scope.adopt:
            message = (
                f"stack {manifest.stack} is on this host already and came from another manifest than {manifest.origin}"
            )
            hint = "give the manifest a name: of its own, or take the stack over with --adopt"
            build.problems.append(Problem(message, hint=hint))
    return origins


def _check_joined(build: _Build, planned: dict[str, PlannedNetwork]) -> None:
    """A network that containers of other stacks stand on cannot go."""
    kept = {network.interface for network in planned.values()}
    going = {bridge.interface: bridge for bridge in build.known.bridges.values() if bridge.owner in build.scope.stacks}
    members: dict[str, list[str]] = defaultdict(list)
    for container, endpoints in build.known.endpoints.items():
        for endpoint in endpoints:
            if endpoint.owner not in build.scope.stacks and endpoint.bridge in going and endpoint.bridge not in kept:
                members[endpoint.bridge].append(container)
    for interface, containers in sorted(members.items()):
        message = f"network {going[interface].network_name} is in use by {', '.join(sorted(containers))}"
        build.problems.append(Problem(message, hint="take those containers off it, or their stacks down, first"))


def _check_drivers(build: _Build, planned: dict[str, PlannedNetwork]) -> None:
    """Networks of an unknown kind are taken out, so that the rest can be judged in the same run."""
    for identity, network in list(planned.items()):
        if network.driver not in DRIVERS:
            del planned[identity]
            message = f"driver {network.driver} is not supported yet; there is: {', '.join(sorted(DRIVERS))}"
            build.problems.append(Problem(message, network.source))


def _containers(build: _Build, planned: dict[str, PlannedNetwork], origins: dict[str, str]) -> None:
    for network in planned.values():
        build.resources.extend(DRIVERS[network.driver].network_resources(network))
    members: dict[str, list[Member]] = defaultdict(list)
    for manifest in build.scope.manifests:
        networks = _networks_of(build, manifest, planned)
        for container in manifest.containers:
            _check_mode(build, container)
            build.problems.extend(unsupported(container))
            identity = f"{manifest.stack}/{container.name}"
            members[identity] = list(_members(build, identity, container, networks))
    place_members((member for found in members.values() for member in found), build.known, build.problems)
    _wire(build, members, origins)


def _members(
    build: _Build, identity: str, container: Container, networks: dict[str, PlannedNetwork]
) -> Iterable[Member]:
    joined: dict[str, str] = {}
    for attachment in container.attachments:
        network = networks.get(attachment.network)
        if network is None:
            continue
        other = joined.setdefault(network.network, attachment.network)
        if other != attachment.network:
            message = (
                f"container {container.name} joins network {network.name} twice, as {other} and {attachment.network}"
            )
            build.problems.append(Problem(message, attachment.source, "leave one of them out"))
        yield Member(identity, container, attachment, network)


def _networks_of(build: _Build, manifest: Manifest, planned: dict[str, PlannedNetwork]) -> dict[str, PlannedNetwork]:
    """The stack's networks by key; an external one that is nowhere is a problem."""
    networks = {}
    for network in used_networks(manifest):
        if network.external:
            found = external_network(network, build.known, planned)
        else:
            found = planned.get(f"{manifest.stack}/{network.key}")
        if found:
            networks[network.key] = found
        elif network.external:
            message = f"external network {network.name} does not exist on this host"
            hint = "bring up the stack that makes it first, or name both manifests in one run"
            build.problems.append(Problem(message, network.source, hint))
    return networks


def _check_mode(build: _Build, container: Container) -> None:
    if container.network_mode not in {None, "none"}:
        message = f"network_mode {container.network_mode} is not supported yet"
        build.problems.append(Problem(message, container.mode_source or container.source))
    if container.network_mode == "none" and container.ports:
        message = f"container {container.name} publishes ports but has network_mode none: ports need a network"
        build.problems.append(Problem(message, container.ports[0].source or container.source))


def _wire(build: _Build, members: dict[str, list[Member]], origins: dict[str, str]) -> None:
    facts = build.known.observation.facts
    taken = set(facts.interfaces)
    wishes: list[Wish] = []
    for manifest in build.scope.manifests:
        for container in manifest.containers:
            identity = f"{manifest.stack}/{container.name}"
            placed = _by_gateway_preference(members[identity], build.known)
            ipv6 = any(6 in member.addresses for member in placed)  # noqa: PLR2004  # the family
            build.resources.append(
                Namespace(manifest.stack, identity, origins[manifest.stack], ipv6=ipv6, source=container.source)
            )
            interfaces = _interfaces(build, identity, placed)
            for member in placed:
                driver = DRIVERS[member.network.driver]
                interface = interfaces[member.network.network]
                build.resources.extend(driver.member_resources(member, interface, build.known, taken))
            build.resources.extend(default_routes(placed, interfaces))
            build.resources.extend(sandbox_sysctls(identity, container, placed, interfaces))
            build.resources.extend(process_of(manifest.stack, identity, container))
            wishes.extend(_wishes(build, identity, container, placed))
    ports = publish(wishes, build.known, build.problems)
    build.resources.extend(ports)
    pins: dict[str, set[tuple[str, str, int]]] = defaultdict(set)
    for port in ports:
        if not port.routed:
            pins[port.owner].add((port.protocol, port.host_address, port.host_port))
    build.resources.extend(HeldPorts(stack, tuple(sorted(held))) for stack, held in sorted(pins.items()))


def _by_gateway_preference(members: Iterable[Member], known: Known) -> list[Member]:
    """The network that gives the default route first (Docker's order: priority, not internal, name).

    Of networks of one priority, the one that gives it already: what a container says to the
    outside must not be cut because it joins one more network.
    """
    return sorted(
        members,
        key=lambda member: (
            -member.attachment.gw_priority,
            member.network.internal,
            not known.is_gateway(member.container, member.network.name),
            member.network.name,
        ),
    )


def _interfaces(build: _Build, identity: str, members: Sequence[Member]) -> dict[str, str]:
    """Interface names inside: given ones, those that are there, then the lowest free number in order of priority."""
    chosen: dict[str, str] = {}
    for member in members:
        if member.attachment.interface_name:
            chosen[member.network.network] = member.attachment.interface_name
    for member in members:
        present = build.known.endpoint(identity, member.network.name)
        if member.network.network not in chosen and present and present.interface not in chosen.values():
            prefix = member.network.options.interface_prefix
            if present.interface.removeprefix(prefix).isdigit():
                chosen[member.network.network] = present.interface
    for member in sorted(members, key=lambda m: (-m.attachment.priority, m.network.name)):
        if member.network.network not in chosen:
            prefix = member.network.options.interface_prefix
            taken = set(chosen.values())
            number = next(n for n in range(len(members) + len(taken) + 1) if f"{prefix}{n}" not in taken)
            chosen[member.network.network] = f"{prefix}{number}"
    return chosen


def _wishes(build: _Build, identity: str, container: Container, members: list[Member]) -> Iterable[Wish]:
    # Where a network is at fault, so that the container has no place on it, that is said already.
    sound = len(members) == len(container.attachments) and all(member.addresses for member in members)
    for mapping in container.ports:
        exits = exits_of(members, mapping)
        if exits:
            yield Wish(identity, mapping, exits)
        elif sound:
            message = f"container {container.name} publishes port {mapping.target}/{mapping.protocol}, "
            message += "but has no network that leads outside in that address family"
            hint = "join a network that is not internal, or remove the port"
            build.problems.append(Problem(message, mapping.source, hint))
