"""Where the commands are to run, and how namespaces are called there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from reconciler.actions import HOST

_PINNED = PurePosixPath("/run/netns")


@dataclass(frozen=True, slots=True)
class Place:
    """A host. ``run`` is its folder below /run/netapply. ``namespace_path`` gives the path of a namespace as actions name it, save the host's own.

    ``host_id`` stands in the label of sandboxes. ``settings`` are the values that sysctls had before netapply, by
    namespace, then by the setting of ours, then by every setting that changed with it.
    """

    host_id: str
    run: str
    namespace_path: Callable[[str], str]
    settings: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)

    def name(self, namespace: str) -> str:
        """What ``ip netns`` calls it; empty where it is not below /run/netns."""
        path = PurePosixPath(self.namespace_path(namespace))
        return path.name if path.parent == _PINNED else ""

    def ip(self, namespace: str, *words: str) -> tuple[str, ...]:
        """``ip`` in that namespace."""
        name = self.name(namespace) if namespace != HOST else ""
        return ("ip", "-n", name, *words) if name else self.inside(namespace, "ip", *words)

    def inside(self, namespace: str, *words: str) -> tuple[str, ...]:
        """A program in that namespace."""
        if namespace == HOST:
            return words
        name = self.name(namespace)
        enter = ("ip", "netns", "exec", name) if name else ("nsenter", f"--net={self.namespace_path(namespace)}")
        return (*enter, *words)

    def setting(self, namespace: str, name: str, value: str) -> tuple[str, ...]:
        """Set a sysctl; its name has slashes, since dots may stand in an interface's."""
        return self.inside(namespace, "sysctl", "-qw", f"{name}={value}")
