"""Manifest (and what is observed) -> State: everything that shall be, decided before anything is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from reconciler.desired.allowances import allowance_resources
from reconciler.desired.attached import absent_namespaces, check_room, in_order
from reconciler.desired.default_bridge import check_names
from reconciler.desired.drivers import DRIVERS
from reconciler.desired.egress import egress_resources
from reconciler.desired.files import file_resources
from reconciler.desired.floating import floating_resources
from reconciler.desired.host import host_resources
from reconciler.desired.jobs import ended_jobs, job_resources
from reconciler.desired.known import Known
from reconciler.desired.link_local import link_local_resources
from reconciler.desired.listeners import check_listeners, check_published
from reconciler.desired.names import name_resources
from reconciler.desired.networks_of_run import check_drivers, check_joined, networks_of_run
from reconciler.desired.openings import opening_resources
from reconciler.desired.origins import origins_of
from reconciler.desired.parents import check_parents
from reconciler.desired.places import namespace_of, places_of_run
from reconciler.desired.process import process_resources
from reconciler.desired.published import published_resources
from reconciler.desired.routing import routing_resources
from reconciler.desired.scope import Scope
from reconciler.desired.shims import shim_resources
from reconciler.desired.source_routes import source_route_resources
from reconciler.desired.wired import Wired
from reconciler.errors import NetapplyError, Problem
from reconciler.firewall import iptables
from reconciler.manifest.model import Manifest
from reconciler.observation import Observation
from reconciler.state import Resource, State


def desired(scope: Scope, observation: Observation) -> State:
    """The state that the manifests ask for, with all other stacks exactly as observed.

    Raises NetapplyError with every fault found.
    """
    absent = absent_namespaces(scope.manifests, observation.facts)
    if scope.patient:
        scope = _without(scope, frozenset(absent))
    known = Known(observation, scope.stacks)
    problems = [] if scope.patient else list(absent.values())
    resources = _resources_of(scope, known, problems)
    if observation.facts.backend == "iptables":
        problems.extend(iptables.unsupported((*resources, *known.others)))
    if problems:
        raise NetapplyError(problems)
    ended = ended_jobs(resources, observation)
    if ended:
        # What they had is gone with them: the rest is as if the manifests did not name them.
        rest = desired(_without(scope, frozenset(record.container for record in ended)), observation)
        return rest.merged(State(ended))
    stacks = State(resources).merged(known.others)
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


def _resources_of(scope: Scope, known: Known, problems: list[Problem]) -> list[Resource]:
    """Everything that the stacks of the run need but what is the host's."""
    origins = origins_of(scope, known, problems)
    check_names(scope.manifests, problems)
    planned = networks_of_run(scope, known, origins, problems)
    check_drivers(planned, problems)
    check_joined(scope, known, planned, problems)
    found: list[Resource] = []
    for network in planned.values():
        found.extend(DRIVERS[network.driver].network_resources(network))
    wired = places_of_run(scope, known, planned, origins, problems)
    _add_containers(wired, scope.manifests, known, found, problems)
    return found


def _add_containers(
    wired: Sequence[Wired],
    manifests: Sequence[Manifest],
    known: Known,
    found: list[Resource],
    problems: list[Problem],
) -> None:
    """What the containers need, beside the networks."""
    taken = set(known.observation.facts.interfaces)
    for each in wired:
        found.append(namespace_of(each))
        for member in each.members:
            driver = DRIVERS[member.network.driver]
            interface = each.interfaces[member.network.network]
            found.extend(in_order(each, driver.member_resources(member, interface, known, taken)))
    found.extend(routing_resources(wired, known, problems))
    check_parents(wired, known, problems)
    found.extend(source_route_resources(wired))
    found.extend(shim_resources(wired, known, problems))
    check_listeners(wired, known, problems)
    for part in _PARTS:
        found.extend(part(wired, known, problems))
    found.extend(allowance_resources(wired, manifests, known, problems))
    check_room(wired, found, known.observation.facts, problems)
    found.extend(published_resources(wired, known, problems))
    check_published(wired, found, known, problems)


_PARTS: Final = (
    process_resources,
    job_resources,
    name_resources,
    file_resources,
    link_local_resources,
    opening_resources,
    floating_resources,
    egress_resources,
)
