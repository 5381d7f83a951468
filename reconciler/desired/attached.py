"""Containers in network namespaces that other programs made: whether these are there, and leave room for what is ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from reconciler.desired.wired import Wired
from reconciler.errors import Problem
from reconciler.manifest.model import Manifest
from reconciler.observation import Facts, ForeignNamespace
from reconciler.resources.address import Address
from reconciler.resources.route import Route
from reconciler.state import Key, Kind, Resource


def absent_namespaces(manifests: Iterable[Manifest], facts: Facts) -> dict[str, Problem]:
    """By ``stack/name``, why the namespace that a container attaches cannot be had.

    One that was not looked at, as in a plan made elsewhere, counts as there.
    """
    found: dict[str, Problem] = {}
    theirs = _by_path(facts)
    for manifest in manifests:
        for container in manifest.containers:
            seen = theirs.get(container.attach.path) if container.attach else None
            if container.attach and seen and seen.fault:
                message = f"container {container.name} cannot be attached: {seen.fault}"
                hint = "start what makes it, or correct the manifest"
                found[f"{manifest.stack}/{container.name}"] = Problem(message, container.attach.source, hint)
    return found


def names_taken(wired_path: str, facts: Facts) -> frozenset[str]:
    """The names of links in the namespace at that path that are not ours."""
    seen = _by_path(facts).get(wired_path)
    return frozenset(seen.interfaces) if seen else frozenset()


def in_order(wired: Wired, resources: Iterable[Resource]) -> Iterator[Resource]:
    """The same; IPv6 addresses wait until IPv6 is on, which in others' namespaces is up to the interface."""
    for resource in resources:
        if wired.spec.attach and isinstance(resource, Address) and ":" in resource.address:
            setting = f"{wired.identity}:net/ipv6/conf/{resource.interface}/disable_ipv6"
            yield replace(resource, after=(Key(Kind.SYSCTL, setting),))
        else:
            yield resource


def check_room(wired: Sequence[Wired], resources: Iterable[Resource], facts: Facts, problems: list[Problem]) -> None:
    """Links and routes that stand in the way inside are theirs, and stay: each is a problem."""
    attached = {each.identity: each for each in wired if each.spec.attach}
    if not attached:
        return
    theirs = _by_path(facts)
    for each in attached.values():
        for member in each.members:
            name = each.interfaces[member.network.network]
            if name in names_taken(_path(each), facts):
                message = f"{_path(each)} has an interface {name} of its own"
                problems.append(Problem(message, member.attachment.source, "give another interface_name"))
    for resource in resources:
        if isinstance(resource, Route) and resource.container in attached:
            each = attached[resource.container]
            seen = theirs.get(_path(each))
            if seen and (resource.destination, resource.metric) in seen.routes:
                message = f"{seen.path} has a {resource.describe().partition(' via ')[0]} of its own"
                hint = "join networks that are internal, or remove that route"
                problems.append(Problem(message, each.spec.attach.source if each.spec.attach else None, hint))


def _path(wired: Wired) -> str:
    return wired.spec.attach.path if wired.spec.attach else ""


def _by_path(facts: Facts) -> Mapping[str, ForeignNamespace]:
    return {each.path: each for each in facts.attachable}
