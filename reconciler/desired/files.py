"""The files that containers see in place of the host's: who gets them, and what is in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from reconciler.desired.hosts_file import hosts, linked_containers
from reconciler.desired.known import Known
from reconciler.desired.links import ResolvedLink, resolved_links
from reconciler.desired.process import hostname_of
from reconciler.desired.resolving import resolv_conf
from reconciler.desired.shown_files import has_files
from reconciler.desired.wired import Wired
from reconciler.errors import Problem
from reconciler.resources.container_file import HOSTNAME, HOSTS, RESOLV_CONF, ContainerFile
from reconciler.state import Resource

_LONGEST_HOSTNAME = 64
"""Bytes (linux/utsname.h, __NEW_UTS_LEN)."""


def file_resources(wired: Sequence[Wired], known: Known, problems: list[Problem]) -> Iterable[Resource]:
    """hosts, resolv.conf and hostname of every container with a sandbox, or with something of its own to say in them."""
    links = resolved_links(wired, known, problems)
    _check_links_of_others(wired, known, problems)
    for each in wired:
        if has_files(each):
            yield from _files(each, links.get(each.identity, ()), known, problems)


def _files(
    wired: Wired, links: Sequence[ResolvedLink], known: Known, problems: list[Problem]
) -> Iterator[ContainerFile]:
    facts, spec = known.observation.facts, wired.spec
    hostname = hostname_of(spec) if wired.own or spec.hostname else facts.host_name
    if (wired.own or spec.hostname) and len(hostname.encode()) > _LONGEST_HOSTNAME:
        message = f"hostname {hostname} of container {spec.name} has {len(hostname.encode())} bytes"
        problems.append(Problem(message, spec.source, f"{_LONGEST_HOSTNAME} are possible"))
    texts: Mapping[str, str] = {
        HOSTS: hosts(wired, links, facts, problems),
        RESOLV_CONF: resolv_conf(wired, facts),
        HOSTNAME: f"{hostname}\n",
    }
    for file_name, text in texts.items():
        yield ContainerFile(wired.stack, wired.identity, file_name, text, source=spec.source)


def _check_links_of_others(wired: Sequence[Wired], known: Known, problems: list[Problem]) -> None:
    """A container that one of another stack links to cannot go, nor leave the networks that they share."""
    networks = {each.identity: {member.network.name for member in each.members} for each in wired}
    clients: dict[str, list[str]] = {}
    for resource in known.others:
        if isinstance(resource, ContainerFile) and resource.file_name == HOSTS:
            shared = {endpoint.network_name for endpoint in known.endpoints.get(resource.container, ())}
            for target in linked_containers(resource.text):
                if target.partition("/")[0] in known.scope and shared.isdisjoint(networks.get(target, ())):
                    clients.setdefault(target, []).append(resource.container)
    for target, found in sorted(clients.items()):
        message = f"container {target} is linked to by {', '.join(sorted(found))}"
        message += ", and would share no network with it any more" if target in networks else ""
        hint = "remove those links or take those containers down first, or name their manifests in the same run"
        problems.append(Problem(message, hint=hint))
