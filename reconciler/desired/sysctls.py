"""The kernel settings of a container: those of its namespace, and those of its interfaces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.desired.members import Member
from reconciler.manifest.model import Container
from reconciler.resources.endpoint import endpoint_key
from reconciler.resources.sysctl import Sysctl


def sandbox_sysctls(
    identity: str, container: Container, members: Sequence[Member], interfaces: dict[str, str]
) -> Iterable[Sysctl]:
    """Each setting once; where several parts of the manifest give it, the one that is nearest to the interface counts."""
    owner = identity.partition("/")[0]
    found = {}
    for name, value in container.sysctls:
        path = name.replace(".", "/")
        found[path] = Sysctl(owner, identity, path, value, source=container.source)
    for member in members:
        interface = interfaces[member.network.network]
        for name, value in member.attachment.sysctls:
            # IFNAME comes last: dots in the interface's own name are no separators.
            path = name.replace(".", "/").replace("IFNAME", interface)
            link = endpoint_key(identity, interface)
            found[path] = Sysctl(owner, identity, path, value, after=(link,), source=member.attachment.source)
    return found.values()
