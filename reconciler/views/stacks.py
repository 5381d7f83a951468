"""The stacks of a host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from reconciler.observation import Observation
from reconciler.state import HOST_OWNER
from reconciler.views import containers as container_views
from reconciler.views import homes
from reconciler.views import networks as network_views
from reconciler.views.homes import Paths
from reconciler.views.table import table


@dataclass(frozen=True, slots=True)
class StackView:
    """One stack, with how much it has; the fields are those of the JSON contract."""

    name: str
    containers: int
    networks: int

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def stacks(observation: Observation) -> tuple[StackView, ...]:
    """Every stack of which anything is there, by name."""
    names = {resource.owner for resource in observation.state} - {HOST_OWNER}
    containers = Counter(name.partition("/")[0] for name in homes.names(observation.state))
    networks = Counter(view.stack for view in network_views.networks(observation.state))
    return tuple(StackView(name, containers[name], networks[name]) for name in sorted(names))


def details(observation: Observation, name: str, paths: Paths) -> dict[str, Any]:
    """What ``inspect`` shows of a stack."""
    state = observation.state
    return {
        "kind": "stack",
        "name": name,
        "containers": [
            container_views.details(observation, view)
            for view in container_views.containers(observation, paths, frozenset({name}))
        ],
        "networks": [
            {"kind": "network", **network_views.details(state, view)}
            for view in network_views.networks(state)
            if view.stack == name
        ],
    }


def render(views: Iterable[StackView]) -> str:
    """A table for people."""
    rows = [(view.name, str(view.containers), str(view.networks)) for view in views]
    return table(("STACK", "CONTAINERS", "NETWORKS"), rows)
