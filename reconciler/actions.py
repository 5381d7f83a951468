"""The atomic steps of a plan, as data. ``kernel/execute.py`` is the only one who performs them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from reconciler.naming import Label

HOST = ""
"""As a namespace: the host's own."""


class Netlink(NamedTuple):
    """One rtnetlink request.

    ``body`` is the message without its nlmsghdr; ``fixups`` are offsets in it at which the
    index of the named interface (of the same namespace) stands as a native u32, known only
    when the request is sent. ``tolerate`` are errno values that mean 'already so'.
    """

    namespace: str
    type: int
    flags: int
    body: bytes
    fixups: tuple[tuple[int, str], ...] = ()
    tolerate: frozenset[int] = frozenset()
    peer_namespace: tuple[int, str] | None = None
    """Offset at which a file descriptor of that namespace stands as a native u32."""


@dataclass(frozen=True, slots=True)
class MakeNamespace:
    """A new pinned network namespace with loopback up and ``lo`` carrying ``label``."""

    namespace: str
    label: Label
    ipv6: bool


@dataclass(frozen=True, slots=True)
class ConfigureNamespace:
    """Loopback up and labelled in a namespace that stands; ``ipv6`` None leaves IPv6 as it is."""

    namespace: str
    label: Label
    ipv6: bool | None


@dataclass(frozen=True, slots=True)
class RemoveNamespace:
    """Unpin it; its links go when its last user does."""

    namespace: str


@dataclass(frozen=True, slots=True)
class WriteLinkSysctl:
    """Set ``CLASS/INTERFACE/name`` of a host link of ours; it goes with the link, so nothing is recorded."""

    interface: str
    sysctl_class: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class WriteSysctl:
    """Set ``name`` (slashes, below /proc/sys) in the namespace, recording what was before us."""

    namespace: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class RestoreSysctl:
    """Put back what was before us and forget it."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class StartProcess:
    """Run a container's command through the OCI runtime."""

    container: str
    namespace: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = field(repr=False)
    working_dir: str
    user: str
    rootfs: str
    hostname: str


@dataclass(frozen=True, slots=True)
class StopProcess:
    """End a container's command and remove its bundle and log."""

    container: str


@dataclass(frozen=True, slots=True)
class StartAgent:
    """Start the host's agent and wait for it."""


@dataclass(frozen=True, slots=True)
class StopAgent:
    """Stop the host's agent."""


@dataclass(frozen=True, slots=True)
class HoldPorts:
    """Give the agent a stack's host ports to hold: (protocol, address, port) each; none: forget the stack."""

    stack: str
    pins: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, slots=True)
class Firewall:
    """Stands for a change that the firewall backend turns into one transaction with its neighbours."""


Action = (
    Netlink
    | MakeNamespace
    | ConfigureNamespace
    | RemoveNamespace
    | WriteLinkSysctl
    | WriteSysctl
    | RestoreSysctl
    | StartProcess
    | StopProcess
    | StartAgent
    | StopAgent
    | HoldPorts
    | Firewall
)
