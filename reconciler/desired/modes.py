"""Whose network namespace each container uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from reconciler.desired.jobs import faults_of_relation
from reconciler.desired.known import Known
from reconciler.errors import Problem
from reconciler.manifest.model import Container, Manifest
from reconciler.resources.joined import FOREIGN

HOST_NAMESPACE = ""


@dataclass(slots=True)
class _Modes:
    """The containers of a run by ``stack/name``, and what is known of the others."""

    containers: Mapping[str, Container]
    known: Known
    problems: list[Problem]
    found: dict[str, str] = field(default_factory=dict)

    def namespace_of(self, identity: str, path: tuple[str, ...] = ()) -> str:
        """The namespace that a container of the run uses; a problem, and its own, where that cannot be said."""
        if identity in self.found:
            return self.found[identity]
        container = self.containers[identity]
        if identity in path:
            circle = " -> ".join(name for name in (*path[path.index(identity) :], identity))
            message = f"network_mode goes in a circle: {circle}"
            self.problems.append(Problem(message, container.mode_source, "one of them needs networks"))
            self.found[identity] = identity
            return identity
        namespace = self._resolve(identity, container, (*path, identity))
        return self.found.setdefault(identity, namespace)

    def _resolve(self, identity: str, container: Container, path: tuple[str, ...]) -> str:
        word, _, name = (container.network_mode or "").partition(":")
        if word == "host":
            return HOST_NAMESPACE
        if word not in {"service", "container"}:
            return identity
        stack = identity.partition("/")[0]
        target = self.find(stack, name) if word == "container" else f"{stack}/{name}"
        if target is not None:
            spec, source = self.containers.get(target), container.mode_source or container.source
            what = "joins it (network_mode)"
            self.problems.extend(faults_of_relation(identity, what, target, spec, self.known, source))
        if target is not None and target in self.containers:
            return self.namespace_of(target, path)
        if target is None and word == "container" and name in self.known.observation.facts.namespaces:
            return FOREIGN + name
        present = self.known.namespace_in_use(target) if target else None
        if present is None:
            self._missing(container, name)
            return identity
        return present

    def find(self, stack: str, name: str) -> str | None:
        """``stack/name`` of a container: of the same stack first, then of this run and this host; None: nowhere.

        One name in several other stacks is a problem of whoever does not say which.
        """
        if "/" in name:
            return name if name in self.containers or self.known.namespace_in_use(name) is not None else None
        if f"{stack}/{name}" in self.containers:
            return f"{stack}/{name}"
        everywhere = {*self.containers, *self.known.containers_of_others()}
        matches = sorted(identity for identity in everywhere if identity.partition("/")[2] == name)
        if len(matches) > 1:
            message = f"container {name} is in several stacks: {', '.join(matches)}"
            self.problems.append(Problem(message, None, "write stack/name"))
        return matches[0] if matches else None

    def _missing(self, container: Container, name: str) -> None:
        names = {identity.partition("/")[2] for identity in (*self.containers, *self.known.containers_of_others())}
        names |= self.known.observation.facts.namespaces
        close = get_close_matches(name, sorted(names), 1)
        message = f"network_mode {container.network_mode}: there is no container {name}"
        hint = f"did you mean {close[0]}?" if close else "bring its stack up first, or name both manifests in one run"
        self.problems.append(Problem(message, container.mode_source or container.source, hint))


def namespaces_used(manifests: Sequence[Manifest], known: Known, problems: list[Problem]) -> dict[str, str]:
    """By ``stack/name``, the namespace that each container of the run uses, as in `Wired`."""
    containers = {
        f"{manifest.stack}/{container.name}": container for manifest in manifests for container in manifest.containers
    }
    modes = _Modes(containers, known, problems)
    return {identity: modes.namespace_of(identity) for identity in containers}


def check_in_use(used: Mapping[str, str], known: Known, problems: list[Problem]) -> None:
    """A sandbox that containers of other stacks use cannot go."""
    members: dict[str, list[str]] = {}
    for container, namespace in known.joined_by_others():
        if namespace.partition("/")[0] in known.scope and used.get(namespace) != namespace:
            members.setdefault(namespace, []).append(container)
    for namespace, containers in sorted(members.items()):
        message = f"the network namespace of {namespace} is in use by {', '.join(sorted(containers))}"
        problems.append(
            Problem(message, hint="take those containers down first, or name their manifests in the same run")
        )


def members_of(namespace: str, used: Mapping[str, str], known: Known) -> Iterable[str]:
    """Every container, ``stack/name``, that uses that namespace."""
    yield from sorted(identity for identity, found in used.items() if found == namespace)
    yield from sorted(container for container, found in known.joined_by_others() if found == namespace)
