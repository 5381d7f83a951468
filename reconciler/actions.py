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
    explained: tuple[tuple[int, str], ...] = ()
    """What a refusal with that errno means here, in place of the kernel's words."""


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
class PinNamespace:
    """Give a sandbox that lost its name, and was found at ``where``, its name again."""

    namespace: str
    where: str


@dataclass(frozen=True, slots=True)
class RemoveNamespace:
    """Unpin it; its links go when its last user does."""

    namespace: str


@dataclass(frozen=True, slots=True)
class AttachNamespace:
    """Pin the namespace at ``path``, which somebody else made, for ``container`` and record it; ``lo`` up in it."""

    container: str
    path: str
    origin: str


@dataclass(frozen=True, slots=True)
class DetachNamespace:
    """Put its ``lo`` back as it was, and take that name and that record away."""

    container: str


@dataclass(frozen=True, slots=True)
class JoinNamespace:
    """Record that ``container`` uses ``namespace`` (as in ``resources/joined.py``), and pin that under its name too."""

    container: str
    namespace: str
    origin: str


@dataclass(frozen=True, slots=True)
class LeaveNamespace:
    """Take that record and that name away."""

    container: str


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
class WriteRouterRules:
    """Make, or make anew, the table of a container that is the gateway of others."""

    namespace: str


@dataclass(frozen=True, slots=True)
class RemoveRouterRules:
    """Remove it."""

    namespace: str


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
    restart: str = ""
    shared: tuple[tuple[str, str], ...] = ()
    files: str = ""
    link_environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)


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
class ServeNames:
    """Give the agent what its resolver answers one container (fields as in ``resources/resolver.py``)."""

    container: str
    registrations: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]
    links: tuple[tuple[str, tuple[str, ...]], ...]
    upstream: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class ForgetNames:
    """Have the agent close what it has open in the container's sandbox, and wait until it says so."""

    container: str


@dataclass(frozen=True, slots=True)
class AwaitEnd:
    """Have the agent remove the container when its command has ended."""

    container: str


@dataclass(frozen=True, slots=True)
class ForgetEnd:
    """Have it no longer do so."""

    container: str


@dataclass(frozen=True, slots=True)
class RecordEndedJob:
    """Write down that a job has ended; ``definition`` is a digest of what it ran."""

    container: str
    definition: str
    exit_code: int | None


@dataclass(frozen=True, slots=True)
class ForgetEndedJob:
    """Remove that record."""

    container: str


@dataclass(frozen=True, slots=True)
class WriteContainerFile:
    """Write ``hosts``, ``resolv.conf`` or ``hostname`` of a container, in place where it stands."""

    container: str
    file_name: str
    text: str


@dataclass(frozen=True, slots=True)
class RemoveContainerFile:
    """Remove it."""

    container: str
    file_name: str


@dataclass(frozen=True, slots=True)
class ClaimAddress:
    """Ask the neighbours on the host's ``interface`` who has ``address``, without prefix length: nobody may."""

    interface: str
    address: str


@dataclass(frozen=True, slots=True)
class AnnounceAddress:
    """Tell the neighbours on ``interface`` of the namespace that ``address``, without prefix length, is there now."""

    namespace: str
    interface: str
    address: str


@dataclass(frozen=True, slots=True)
class AnnounceLink:
    """Tell the neighbours on ``interface`` of the namespace the MAC that its addresses, all of them, have now."""

    namespace: str
    interface: str


@dataclass(frozen=True, slots=True)
class Firewall:
    """Stands for a change that the firewall backend turns into one transaction with its neighbours."""


Action = (
    Netlink
    | MakeNamespace
    | ConfigureNamespace
    | PinNamespace
    | RemoveNamespace
    | AttachNamespace
    | DetachNamespace
    | JoinNamespace
    | LeaveNamespace
    | WriteLinkSysctl
    | WriteSysctl
    | RestoreSysctl
    | WriteRouterRules
    | RemoveRouterRules
    | StartProcess
    | StopProcess
    | StartAgent
    | StopAgent
    | HoldPorts
    | ServeNames
    | ForgetNames
    | AwaitEnd
    | ForgetEnd
    | RecordEndedJob
    | ForgetEndedJob
    | WriteContainerFile
    | RemoveContainerFile
    | ClaimAddress
    | AnnounceAddress
    | AnnounceLink
    | Firewall
)
