"""The command of a container, where it has one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from reconciler.desired.jobs import faults_of_relation
from reconciler.desired.known import Known
from reconciler.desired.links import resolved_links
from reconciler.desired.shown_files import files_seen
from reconciler.desired.wired import Wired
from reconciler.errors import Problem
from reconciler.manifest.model import Container
from reconciler.resources.container_file import HOSTNAME, ContainerFile, file_key
from reconciler.resources.process import Process, process_key
from reconciler.state import Resource


def process_resources(wired: Sequence[Wired], known: Known, problems: list[Problem]) -> Iterable[Resource]:
    """The commands' definitions; a container without one is a sandbox that anything can join."""
    by_identity = {each.identity: each for each in wired}
    links = resolved_links(wired, known, [])  # their faults are found with the hosts files
    for each in wired:
        container = each.spec
        if container.command is None:
            continue
        yield Process(
            owner=each.stack,
            container=each.identity,
            command=container.command,
            namespace=each.namespace,
            environment=tuple(sorted(dict(container.environment).items())),
            working_dir=container.working_dir or "",
            user=container.user or "",
            rootfs=container.rootfs or "",
            hostname=_hostname(each, by_identity, known),
            restart=container.restart if container.restart != "no" else "",
            shared=tuple(_shared(each, by_identity, known, problems)),
            files=files_seen(each, by_identity, known),
            link_environment=tuple(sorted({pair for link in links.get(each.identity, ()) for pair in link.variables})),
            source=container.source,
        )


def _hostname(wired: Wired, by_identity: Mapping[str, Wired], known: Known) -> str:
    """Its own, or that of the container whose network it uses, as with Docker; empty: the host's, whatever that is."""
    if wired.own or wired.spec.hostname:
        return hostname_of(wired.spec)
    seen = files_seen(wired, by_identity, known)
    owner = by_identity.get(seen)
    if owner:
        return hostname_of(owner.spec) if owner.own or owner.spec.hostname else ""
    written = known.observation.state.get(file_key(seen, HOSTNAME))
    if isinstance(written, ContainerFile):
        return written.text.strip()
    return wired.namespace.rpartition("/")[2].rpartition(":")[2]


def _shared(
    wired: Wired, by_identity: Mapping[str, Wired], known: Known, problems: list[Problem]
) -> Iterable[tuple[str, str]]:
    """Kind and ``stack/name`` of each other namespace that it shares; no name for the host's."""
    for shared in wired.spec.shared:
        name = shared.target.partition(":")[2]
        if not name:
            yield shared.kind, ""
            continue
        identity = name if "/" in name else f"{wired.stack}/{name}"
        target = by_identity.get(identity)
        there = target.spec.command is not None if target else process_key(identity) in known.others
        source = shared.source or wired.spec.source
        what = f"shares its {shared.kind} namespace"
        spec = target.spec if target else None
        problems.extend(faults_of_relation(wired.identity, what, identity, spec, known, source))
        if not there:
            message = f"{shared.kind}: {shared.target} of container {wired.spec.name}: "
            message += "it has no command, so no such namespace" if target else f"there is no container {name}"
            problems.append(Problem(message, source, "name a container with a command"))
        yield shared.kind, identity


def hostname_of(container: Container) -> str:
    """The host name, with its domain where one is given; the container's name by default."""
    name = container.hostname or container.name
    return f"{name}.{container.domainname}" if container.domainname else name
