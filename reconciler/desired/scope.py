"""What a run is about."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.desired.listeners import declared_listens
from reconciler.manifest.model import Manifest


@dataclass(frozen=True, slots=True)
class Scope:
    """The stacks of a run: ``stacks`` may change, those without a manifest shall be empty."""

    stacks: frozenset[str]
    manifests: tuple[Manifest, ...] = ()
    adopt: bool = False
    host_rule: bool = True
    patient: bool = False
    """Whether containers whose attached namespace is not there are left out; else that is a problem."""

    @property
    def attachable(self) -> frozenset[str]:
        """Paths of the namespaces that the manifests attach."""
        return frozenset(
            container.attach.path for each in self.manifests for container in each.containers if container.attach
        )

    @property
    def host_ports(self) -> frozenset[tuple[str, int]]:
        """Protocol and number of every fixed host port that the manifests ask for, or listen on in host mode."""
        containers = [container for manifest in self.manifests for container in manifest.containers]
        published = {
            (mapping.protocol, mapping.published[0])
            for container in containers
            for mapping in container.ports
            if mapping.published and mapping.published[0] == mapping.published[1]
        }
        listening = {
            (listen.protocol, listen.port)
            for container in containers
            if container.network_mode
            for listen in declared_listens(container)
        }
        return frozenset(published | listening)
