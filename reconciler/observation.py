"""What a look at the host gives: the state of what is ours, and the facts about the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from reconciler.errors import Problem
from reconciler.firewall.foreign import Barrier
from reconciler.firewall.policy import HostAccept
from reconciler.state import State


@dataclass(frozen=True, slots=True, order=True)
class Listener:
    """A socket of somebody else's that holds a host port. ``process`` is for people: ``nginx (pid 12)``."""

    protocol: str
    address: str
    port: int
    process: str


@dataclass(frozen=True, slots=True, order=True)
class HostLink:
    """A link of the host that is not ours. ``kind`` is the kernel's word, empty for hardware; ``master`` its bridge."""

    name: str
    kind: str = ""
    mac: str = ""
    mtu: int = 1500
    up: bool = True
    master: str = ""


def inner_links(links: Iterable[HostLink]) -> frozenset[str]:
    """The names of those that lead to no other machine, as far as one can tell: a bridge without hardware on it, say."""
    found = tuple(links)
    outward = {link.master for link in found if not link.kind}
    return frozenset(
        link.name for link in found if link.kind == "dummy" or (link.kind == "bridge" and link.name not in outward)
    )


@dataclass(frozen=True, slots=True, order=True)
class ForeignNamespace:
    """A network namespace of somebody else's that a manifest attaches.

    ``path`` is how the manifest names it, ``identity`` changes when another one stands there, ``fault`` says why it
    cannot be attached. ``interfaces`` are its links, ``routes`` destination and metric of its routes, but for ours.
    """

    path: str
    identity: str = ""
    fault: str = ""
    interfaces: tuple[str, ...] = ()
    routes: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Runtime:
    """How a container's command is: never compared, only shown."""

    pid: int | None
    exit_code: int | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What planning must know of the host beside our own objects.

    ``taken_subnets`` are the destinations of routes and the networks of addresses that are
    not ours; ``interfaces`` the names of all links; ``router_advertised`` the interfaces
    whose accept_ra is 1. ``backend`` is the firewall backend in use, and why. ``nameservers``
    are those of the host's resolv.conf, ``search`` its search domains, ``resolver_options`` its options;
    ``host_name`` is its name, ``hosts`` the text of its hosts file.
    ``namespaces`` are the names below /run/netns that are not ours; ``links`` the host's that are not.
    ``host_networks`` are interface and address, with prefix length, of each of those.
    ``opening_warnings`` count only where ports of the host are opened. ``filtered_bridging`` are the address families
    (4, 6) of which frames within any bridge pass the host's packet rules.
    ``barriers`` are chains of others that drop our traffic and in which no rule of ours helps.
    ``attachable`` are the namespaces that the run's manifests attach; one that is not among them was not looked at.
    """

    host_id: str = ""
    interfaces: frozenset[str] = frozenset()
    taken_subnets: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    listeners: tuple[Listener, ...] = ()
    router_advertised: tuple[str, ...] = ()
    ephemeral_ports: tuple[int, int] = (49153, 65535)
    backend: str = "nftables"
    backend_reason: str = "default"
    wanted_accepts: tuple[HostAccept, ...] = ()
    warnings: tuple[Problem, ...] = ()
    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    host_name: str = ""
    resolver_options: tuple[str, ...] = ()
    hosts: str = ""
    namespaces: frozenset[str] = frozenset()
    links: tuple[HostLink, ...] = ()
    host_networks: tuple[tuple[str, str], ...] = ()
    opening_warnings: tuple[Problem, ...] = ()
    filtered_bridging: tuple[int, ...] = ()
    attachable: tuple[ForeignNamespace, ...] = ()
    barriers: tuple[Barrier, ...] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """The observed state, and the facts that it was observed among."""

    state: State
    facts: Facts = Facts()
    runtimes: dict[str, Runtime] = field(default_factory=dict, compare=False)
