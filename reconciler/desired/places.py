"""Where every container of a run stands: its network namespace and its place on each network."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.desired.attached import names_taken
from reconciler.desired.default_bridge import IDENTITY as DEFAULT_BRIDGE
from reconciler.desired.default_bridge import NAME as BRIDGE_MODE
from reconciler.desired.known import Known
from reconciler.desired.members import Member, place_members
from reconciler.desired.modes import check_in_use, namespaces_used
from reconciler.desired.networks import PlannedNetwork
from reconciler.desired.networks_of_run import networks_of_stack
from reconciler.desired.scope import Scope
from reconciler.desired.wired import Wired, by_gateway_preference, interface_names
from reconciler.errors import Problem
from reconciler.manifest.model import Attachment, Container
from reconciler.resources.joined import Joined
from reconciler.resources.namespace import Namespace
from reconciler.state import Resource


def places_of_run(
    scope: Scope,
    known: Known,
    planned: dict[str, PlannedNetwork],
    origins: dict[str, str],
    problems: list[Problem],
) -> list[Wired]:
    """Every container of the run with its place on its networks."""
    used = namespaces_used(scope.manifests, known, problems)
    check_in_use(used, known, problems)
    members: dict[str, list[Member]] = {}
    for manifest in scope.manifests:
        networks = networks_of_stack(manifest, known, planned, problems)
        for container in manifest.containers:
            _check_mode(container, problems)
            identity = f"{manifest.stack}/{container.name}"
            members[identity] = list(_members(identity, container, networks, planned, problems))
    place_members((member for found in members.values() for member in found), known, problems)
    wired = []
    for manifest in scope.manifests:
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


def namespace_of(wired: Wired) -> Resource:
    """The container's own namespace, or whose it joins."""
    spec = wired.spec
    if spec.attach:
        path, source = spec.attach.path, spec.attach.source
        return Namespace(wired.stack, wired.identity, wired.origin, attached=path, source=source)
    if wired.own:
        return Namespace(wired.stack, wired.identity, wired.origin, ipv6=wired.ipv6, source=spec.source)
    source = spec.mode_source or spec.source
    return Joined(wired.stack, wired.identity, wired.namespace, wired.origin, source=source)


def _members(
    identity: str,
    container: Container,
    networks: dict[str, PlannedNetwork],
    planned: dict[str, PlannedNetwork],
    problems: list[Problem],
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
            problems.append(Problem(message, attachment.source, "leave one of them out"))
        yield Member(identity, container, attachment, network)


def _check_mode(container: Container, problems: list[Problem]) -> None:
    if container.network_mode == "none" and container.ports:
        message = f"container {container.name} publishes ports but has network_mode none: ports need a network"
        problems.append(Problem(message, container.ports[0].source or container.source))
