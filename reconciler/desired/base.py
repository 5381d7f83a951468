"""A host as other manifests would have made it: what a plan is compared with where nobody looked at a host."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

from reconciler.desired.build import desired
from reconciler.desired.scope import Scope
from reconciler.manifest.model import Manifest
from reconciler.observation import Observation
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.sysctl import Sysctl
from reconciler.state import Resource, State


def made_by(base: Sequence[Manifest], under: Observation, *, host_rule: bool = True) -> Observation:
    """The host ``under`` after an `up` of the manifests ``base``, as a look at it would find it.

    Raises NetapplyError with what makes that impossible.
    """
    scope = Scope(frozenset(manifest.stack for manifest in base), tuple(base), host_rule=host_rule)
    made = State(_observed(resource) for resource in desired(scope, under))
    facts = replace(under.facts, interfaces=under.facts.interfaces | frozenset(_links(made)))
    return Observation(made, facts, under.runtimes)


def from_elsewhere(manifests: Iterable[Manifest]) -> tuple[Manifest, ...]:
    """Manifests that speak of a host which is not this one, so that their path here says nothing of whose they are."""
    return tuple(replace(manifest, named=True) for manifest in manifests)


def with_origins_of(base: Iterable[Manifest], manifests: Iterable[Manifest]) -> tuple[Manifest, ...]:
    """The base's manifests as if they stood where those of the same stacks stand now."""
    origins = {manifest.stack: manifest.origin for manifest in manifests}
    return tuple(replace(each, origin=origins.get(each.stack, each.origin)) for each in from_elsewhere(base))


def _observed(resource: Any) -> Resource:
    """The resource without what only a manifest knows."""
    unknown = [field for field in fields(resource) if not field.compare]
    if isinstance(resource, Sysctl) and not resource.namespace:
        unknown = [field for field in unknown if field.name == "source"]  # the host's are seen in their order
    observed: Resource = replace(resource, **{field.name: field.default for field in unknown})
    return observed


def _links(state: State) -> Iterable[str]:
    for resource in state:
        if isinstance(resource, Bridge):
            yield resource.interface
        elif isinstance(resource, Endpoint):
            yield resource.host_interface
