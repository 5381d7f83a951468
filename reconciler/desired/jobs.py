"""Containers that are gone when their command has ended: what they need, and what is left without them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace

from reconciler.desired.known import Known
from reconciler.desired.wired import Wired
from reconciler.errors import Problem, Source
from reconciler.firewall.policy import NetworkPolicy, PublishedPort
from reconciler.manifest.model import Container
from reconciler.naming import digest
from reconciler.observation import Observation
from reconciler.resources.address import Address
from reconciler.resources.agent import HeldPorts
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.job import EndedJob, Job, job_key
from reconciler.resources.process import Process, process_key
from reconciler.snapshot import CONCEALED
from reconciler.state import HOST_OWNER, Resource, State

_OWN = frozenset({"owner", "source", "fault", "link_environment"})
"""Fields of a command that do not define it."""


def definition_of(process: Process) -> str:
    """A digest of all that defines a command."""
    values = [repr(getattr(process, item.name)) for item in fields(process) if item.name not in _OWN]
    return f"{digest('job', *values):016x}"


def job_resources(wired: Sequence[Wired], known: Known, problems: list[Problem]) -> Iterable[Resource]:
    """The charge to remove each container with ``rm``."""
    del known
    for each in wired:
        if not each.spec.remove:
            continue
        if each.spec.command is None:
            message = f"container {each.spec.name} has rm: true but no command, so it never ends"
            problems.append(Problem(message, each.spec.source, "give it a command, or leave rm out"))
        yield Job(each.stack, each.identity, source=each.spec.source)


def faults_of_relation(
    user: str, what: str, target: str, spec: Container | None, known: Known, source: Source | None
) -> Iterator[Problem]:
    """That ``user`` (``stack/name``) relates to a container that will not be there at the next run.

    ``what`` says how; ``spec`` is that of ``target`` where it is of this run.
    """
    if spec.remove if spec else job_key(target) in known.others:
        place = f" at {spec.source}" if spec and spec.source else ""
        message = f"container {target}{place} is removed when it ends (rm: true), and {user} {what}"
        yield Problem(message, source, "leave rm out there, or remove what relies on it")


def ended_jobs(resources: Iterable[Resource], observation: Observation) -> tuple[EndedJob, ...]:
    """The records of those jobs of the run that have ended as they are defined and are not there any more."""
    resources = list(resources)
    commands = {resource.container: resource for resource in resources if isinstance(resource, Process)}
    jobs = {resource.container for resource in resources if isinstance(resource, Job)}
    return tuple(
        record
        for record in observation.state
        if isinstance(record, EndedJob)
        and record.container in jobs
        and process_key(record.container) not in observation.state
        and record.definition in {definition_of(commands[record.container]), CONCEALED}
    )


def without_job(observation: Observation, container: str) -> State:
    """The observed state of the stacks without that container, of its networks those that others still use."""
    state = observation.state
    process = state.get(process_key(container))
    left = [resource for resource in state if resource.owner != HOST_OWNER and not _belongs(resource, container)]
    used = {each.network_name for each in left if isinstance(each, Endpoint)}
    unused = {
        bridge.network
        for bridge in left
        if isinstance(bridge, Bridge) and bridge.network_name not in used and _joined(state, container, bridge)
    }
    left = [resource for resource in left if not _of_network(resource, unused)]
    result = State(_with_held_ports(left))
    if isinstance(process, Process):
        runtime = observation.runtimes.get(container)
        code = runtime.exit_code if runtime else None
        result = result.merged(State([EndedJob(process.owner, container, definition_of(process), code)]))
    return result


def _joined(state: State, container: str, bridge: Bridge) -> bool:
    return any(
        isinstance(each, Endpoint) and each.container == container and each.network_name == bridge.network_name
        for each in state
    )


def _belongs(resource: Resource, container: str) -> bool:
    return getattr(resource, "container", "") == container or resource.sandbox == container


def _of_network(resource: Resource, networks: set[str]) -> bool:
    match resource:
        case Bridge() | NetworkPolicy():
            return resource.network in networks
        case Address():
            return not resource.namespace and resource.place in networks
        case _:
            return False


def _with_held_ports(resources: list[Resource]) -> Iterable[Resource]:
    """Host ports are held for what is still published."""
    published = {
        (port.owner, port.protocol, port.host_address, port.host_port)
        for port in resources
        if isinstance(port, PublishedPort) and not port.routed
    }
    for resource in resources:
        if isinstance(resource, HeldPorts):
            pins = tuple(pin for pin in resource.pins if (resource.owner, *pin) in published)
            if pins:
                yield replace(resource, pins=pins)
        else:
            yield resource
