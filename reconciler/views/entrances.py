"""Ways into a container beside its published ports: floating addresses, and openings of the host's firewall."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.firewall.opening import Opening
from reconciler.firewall.translation import FloatingPolicy
from reconciler.state import State


@dataclass(frozen=True, slots=True)
class OpenView:
    """What is opened to a container in host mode; ``ports`` is ``80`` or ``80-90``, no ``sources``: anybody."""

    ports: str
    protocol: str
    sources: tuple[str, ...]

    def __str__(self) -> str:
        limit = f" from {', '.join(self.sources)}" if self.sources else ""
        return f"open {self.ports}/{self.protocol}{limit}"


@dataclass(frozen=True, slots=True)
class Entrances:
    """Those of one container: ``floating`` are addresses of the host that lead to every port of it."""

    floating: tuple[str, ...] = ()
    opened: tuple[OpenView, ...] = ()

    def words(self) -> Iterable[str]:
        """``192.0.2.50->every port``, ``open 80/tcp``."""
        yield from (f"{address}->every port" for address in self.floating)
        yield from map(str, self.opened)


def entrances(state: State) -> dict[str, Entrances]:
    """By container (``stack/name``), of those that have any."""
    floating: defaultdict[str, list[str]] = defaultdict(list)
    opened: defaultdict[str, list[OpenView]] = defaultdict(list)
    for resource in state:
        if isinstance(resource, FloatingPolicy):
            floating[resource.container].append(resource.address)
        elif isinstance(resource, Opening):
            opened[resource.container].append(OpenView(str(resource.ports), resource.protocol, resource.sources))
    return {
        container: Entrances(tuple(sorted(floating[container])), tuple(sorted(opened[container], key=str)))
        for container in {**floating, **opened}
    }
