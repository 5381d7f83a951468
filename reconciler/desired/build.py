"""Manifest (and what is observed) -> State: everything that shall be, decided before anything is done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from reconciler.desired.allowances import allowance_resources
from reconciler.desired.attached import absent_namespaces, check_room, in_order, names_taken
from reconciler.desired.default_bridge import IDENTITY as DEFAULT_BRIDGE
from reconciler.desired.default_bridge import NAME as BRIDGE_MODE
from reconciler.desired.default_bridge import check_names, plan_default_bridge, wants_default_bridge
from reconciler.desired.drivers import DRIVERS
from reconciler.desired.egress import egress_resources
from reconciler.desired.files import file_resources
from reconciler.desired.floating import floating_resources
from reconciler.desired.host import host_resources
from reconciler.desired.jobs import ended_jobs, job_resources
from reconciler.desired.known import Known
from reconciler.desired.link_local import link_local_resources
from reconciler.desired.listeners import check_listeners, check_published, listening_on_host
from reconciler.desired.members import Member, place_members
from reconciler.desired.modes import check_in_use, namespaces_used
from reconciler.desired.names import name_resources
from reconciler.desired.networks import (
    PlannedNetwork,
    external_network,
    plan_networks,
    used_networks,
)
from reconciler.desired.openings import opening_resources
from reconciler.desired.parents import check_parents
from reconciler.desired.ports import Wish, exits_of, faults_of_exits, publish
from reconciler.desired.process import process_resources
from reconciler.desired.routing import routing_resources
from reconciler.desired.scope import Scope
from reconciler.desired.shims import shim_resources
from reconciler.desired.source_routes import source_route_resources
from reconciler.desired.subnet_chooser import SubnetChooser
from reconciler.desired.wired import Wired, by_gateway_preference, interface_names
from reconciler.errors import NetapplyError, Problem
from reconciler.firewall import iptables
from reconciler.manifest.model import Attachment, Container, Manifest
from reconciler.manifest.vocabulary import OTHER_DRIVERS
from reconciler.naming import origin_of
from reconciler.observation import Observation
from reconciler.resources.agent import HELD_PROTOCOLS, HeldPorts
from reconciler.resources.joined import Joined
from reconciler.resources.namespace import Namespace
from reconciler.state import Resource, State


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
    absent = absent_namespaces(scope.manifests, observation.facts)
    if scope.patient:
        scope = _without(scope, frozenset(absent))
    build = _Build(scope, Known(observation, scope.stacks))
    build.problems.extend(() if scope.patient else absent.values())
    origins = _origins(build)
    check_names(scope.manifests, build.problems)
    planned = _networks(build, origins)
    _check_drivers(build, planned)
    _check_joined(build, planned)
    for network in planned.values():
        build.resources.extend(DRIVERS[network.driver].network_resources(network))
    wired = _wired(build, planned, origins)
    _resources_of(build, wired)
    if observation.facts.backend == "iptables":
        build.problems.extend(iptables.unsupported((*build.resources, *build.known.others)))
    if build.problems:
        raise NetapplyError(build.problems)
    ended = ended_jobs(build.resources, observation)
    if ended:
        # What they had is gone with them: the rest is as if the manifests did not name them.
        rest = desired(_without(scope, frozenset(record.container for record in ended)), observation)
        return rest.merged(State(ended))
    stacks = State(build.resources).merged(build.known.others)
    return stacks.merged(State(host_resources(stacks, observation, host_rule=scope.host_rule)))


def _without(scope: Scope, ended: frozenset[str]) -> Scope:
    manifests = tuple(
        replace(
            manifest,
            containers=tuple(each for each in manifest.containers if f"{manifest.stack}/{each.name}" not in ended),
        )
        for manifest in scope.manifests
    )
    return replace(scope, manifests=manifests)


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
        # A watcher marks with its directory what it makes of the files in it.
        watched = origin_of(manifest.origin.rpartition("/")[0])
        if found and found not in {own, watched} and not manifest.named and not build.scope.adopt:
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
            message = f"driver {network.driver} of network {network.name} is not supported; "
            message += f"there is: {', '.join(sorted(DRIVERS))}"
            build.problems.append(Problem(message, network.source, OTHER_DRIVERS.get(network.driver, "")))


def _networks(build: _Build, origins: dict[str, str]) -> dict[str, PlannedNetwork]:
    """All networks of the run by identity, with the host's own where somebody stands on it."""
    known, manifests = build.known, build.scope.manifests
    chooser = SubnetChooser(known, build.problems)
    wanted = wants_default_bridge(manifests, known)
    # Where it stands it keeps its subnet; where not, the stacks choose first.
    standing = plan_default_bridge(chooser, known) if wanted and DEFAULT_BRIDGE in known.bridges else None
    planned = plan_networks(manifests, known, origins, chooser, build.problems)
    default = standing or (plan_default_bridge(chooser, known) if wanted else None)
    return {**planned, DEFAULT_BRIDGE: default} if default else planned


def _wired(build: _Build, planned: dict[str, PlannedNetwork], origins: dict[str, str]) -> list[Wired]:
    """Every container of the run with its place on its networks."""
    known = build.known
    used = namespaces_used(build.scope.manifests, known, build.problems)
    check_in_use(used, known, build.problems)
    members: dict[str, list[Member]] = {}
    for manifest in build.scope.manifests:
        networks = _networks_of(build, manifest, planned)
        for container in manifest.containers:
            _check_mode(build, container)
            identity = f"{manifest.stack}/{container.name}"
            members[identity] = list(_members(build, identity, container, networks, planned))
    place_members((member for found in members.values() for member in found), known, build.problems)
    wired = []
    for manifest in build.scope.manifests:
        for container in manifest.containers:
            identity = f"{manifest.stack}/{container.name}"
            placed = by_gateway_preference(members[identity], known)
            taken = names_taken(container.attach.path, known.observation.facts) if container.attach else frozenset()
            interfaces = interface_names(identity, placed, known, taken)
            namespace = used[identity]
            own = namespace == identity
            origin = origins[manifest.stack]
            wired.append(Wired(manifest.stack, identity, origin, container, placed, interfaces, namespace, own))
    return wired


def _members(
    build: _Build,
    identity: str,
    container: Container,
    networks: dict[str, PlannedNetwork],
    planned: dict[str, PlannedNetwork],
) -> Iterable[Member]:
    if container.network_mode == BRIDGE_MODE and DEFAULT_BRIDGE in planned:
        attachment = Attachment(BRIDGE_MODE, source=container.mode_source or container.source)
        yield Member(identity, container, attachment, planned[DEFAULT_BRIDGE])
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
    if container.network_mode == "none" and container.ports:
        message = f"container {container.name} publishes ports but has network_mode none: ports need a network"
        build.problems.append(Problem(message, container.ports[0].source or container.source))


def _resources_of(build: _Build, wired: Sequence[Wired]) -> None:
    """What the containers need, beside the networks."""
    known, problems = build.known, build.problems
    taken = set(known.observation.facts.interfaces)
    for each in wired:
        build.resources.append(_place_of(each))
        for member in each.members:
            driver = DRIVERS[member.network.driver]
            interface = each.interfaces[member.network.network]
            build.resources.extend(in_order(each, driver.member_resources(member, interface, known, taken)))
    build.resources.extend(routing_resources(wired, known, problems))
    check_parents(wired, known, problems)
    build.resources.extend(source_route_resources(wired))
    build.resources.extend(shim_resources(wired, known, problems))
    check_listeners(wired, known, problems)
    build.resources.extend(process_resources(wired, known, problems))
    build.resources.extend(job_resources(wired, known, problems))
    build.resources.extend(name_resources(wired, known, problems))
    build.resources.extend(file_resources(wired, known, problems))
    build.resources.extend(link_local_resources(wired, known, problems))
    build.resources.extend(opening_resources(wired, known, problems))
    build.resources.extend(floating_resources(wired, known, problems))
    build.resources.extend(egress_resources(wired, known, problems))
    build.resources.extend(allowance_resources(wired, build.scope.manifests, known, problems))
    check_room(wired, build.resources, known.observation.facts, problems)
    _publish(build, wired)
    check_published(wired, build.resources, known, problems)


def _place_of(wired: Wired) -> Resource:
    spec = wired.spec
    if spec.attach:
        path, source = spec.attach.path, spec.attach.source
        return Namespace(wired.stack, wired.identity, wired.origin, attached=path, source=source)
    if wired.own:
        return Namespace(wired.stack, wired.identity, wired.origin, ipv6=wired.ipv6, source=spec.source)
    source = spec.mode_source or spec.source
    return Joined(wired.stack, wired.identity, wired.namespace, wired.origin, source=source)


def _publish(build: _Build, wired: Sequence[Wired]) -> None:
    wishes = [wish for each in wired for wish in _wishes(build, each)]
    ports = publish(wishes, build.known, build.problems, listening_on_host(wired))
    build.resources.extend(ports)
    pins: dict[str, set[tuple[str, str, int]]] = defaultdict(set)
    for port in ports:
        if not port.routed and port.protocol in HELD_PROTOCOLS:
            pins[port.owner].add((port.protocol, port.host_address, port.host_port))
    build.resources.extend(HeldPorts(stack, tuple(sorted(held))) for stack, held in sorted(pins.items()))


def _wishes(build: _Build, wired: Wired) -> Iterable[Wish]:
    container, members = wired.spec, list(wired.members)
    # Where a network is at fault, so that the container has no place on it, that is said already.
    sound = len(members) >= len(container.attachments) and all(member.addresses for member in members)
    for mapping in container.ports:
        exits, faults = exits_of(members, mapping), list(faults_of_exits(members, mapping))
        build.problems.extend(faults)
        if faults:
            continue
        if exits:
            yield Wish(wired.identity, mapping, exits)
        elif sound and wired.own and container.network_mode != "none":
            message = f"container {container.name} publishes port {mapping.target}/{mapping.protocol}, "
            message += "but has no network that leads outside in that address family"
            hint = "join a network that is not internal, or remove the port"
            build.problems.append(Problem(message, mapping.source, hint))
