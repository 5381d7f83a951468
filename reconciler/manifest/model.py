"""The manifest after reading and checking: what the user said, in one form only.

Addresses and subnets are canonical text (``172.18.0.2``, ``fd00::2``, ``172.18.0.0/16``).
Every part carries the place where it stands. Nothing here is unchecked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.errors import Problem, Source


@dataclass(frozen=True, slots=True)
class Pool:
    """One entry of ``ipam.config``: a subnet, and what of it is for whom."""

    subnet: str
    gateway: str | None = None
    ip_range: str | None = None
    aux_addresses: tuple[tuple[str, str], ...] = ()
    source: Source | None = field(default=None, compare=False)

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.subnet else 4


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """``driver_opts`` of a bridge network (names: Docker's bridge driver)."""

    bridge_name: str | None = None
    mtu: int | None = None
    icc: bool = True
    masquerade: bool = True
    host_binding_ipv4: str | None = None
    gateway_mode_ipv4: str = "nat"
    gateway_mode_ipv6: str = "nat"
    inhibit_ipv4: bool = False
    trusted_host_interfaces: tuple[str, ...] = ()
    interface_prefix: str = "eth"
    snat_ipv4: str | None = None
    snat_ipv6: str | None = None


@dataclass(frozen=True, slots=True)
class ParentOptions:
    """``driver_opts`` of a macvlan or ipvlan network (names: Docker's drivers).

    ``parent`` is an interface of the host, with ``.VLAN`` behind it a sub-interface of that; None: the network
    has no way out. ``mode`` is macvlan's (bridge, private, vepa, passthru) or ipvlan's (l2, l3, l3s), None the
    driver's default; ``flag`` (bridge, private, vepa) is ipvlan's.
    """

    parent: str | None = None
    mode: str | None = None
    flag: str | None = None
    mtu: int | None = None
    interface_prefix: str = "eth"


@dataclass(frozen=True, slots=True)
class Network:
    """A network of the stack. ``key`` is its name in the file, ``name`` its real name.

    An ``external`` network is made elsewhere and only joined; of it, only ``key`` and
    ``name`` are meaningful. No pools of a family that is enabled: netapply chooses a subnet.
    ``bridge`` belongs to the driver bridge, ``parent`` to macvlan and ipvlan, ``options`` as
    they are written to any other.
    """

    key: str
    name: str
    driver: str = "bridge"
    external: bool = False
    internal: bool = False
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    pools: tuple[Pool, ...] = ()
    bridge: BridgeOptions = BridgeOptions()
    source: Source | None = field(default=None, compare=False)
    parent: ParentOptions = ParentOptions()
    options: tuple[tuple[str, str], ...] = ()
    allow: tuple[Allowance, ...] = ()
    host_addresses: tuple[str, ...] = ()
    """The host's own addresses on a macvlan or ipvlan network, at most one of each family."""
    masquerade_ports: tuple[int, int] | None = None
    """First and last of the host's ports that masqueraded connections leave with; None: the kernel chooses."""


@dataclass(frozen=True, slots=True)
class PortSpan:
    """Ports ``first`` to ``last`` of ``tcp``, ``udp`` or ``sctp``; ``sources`` (subnets): from there only, empty: any."""

    first: int
    last: int
    protocol: str = "tcp"
    sources: tuple[str, ...] = ()
    source: Source | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Allowance:
    """Members of the network it stands on may open connections to those of ``network`` (a key); no ports: to all."""

    network: str
    ports: tuple[PortSpan, ...] = ()
    source: Source | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class StaticRoute:
    """A route of a container: to ``destination`` (a subnet) through ``via``, an address on the attachment's network.

    ``kind`` is ``unicast``, ``blackhole``, ``unreachable`` or ``prohibit``; the last three have no ``via``.
    """

    destination: str
    via: str | None = None
    kind: str = "unicast"
    metric: int | None = None
    source: Source | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A container's place on a network: ``network`` is the network's key.

    ``gateway`` is ``service:NAME`` or ``container:NAME`` (also ``container:stack/name``): the container on the same
    network that everything goes through, in place of the network's own gateway.
    """

    network: str
    aliases: tuple[str, ...] = ()
    ipv4_address: str | None = None
    ipv6_address: str | None = None
    mac_address: str | None = None
    interface_name: str | None = None
    gw_priority: int = 0
    priority: int = 0
    sysctls: tuple[tuple[str, str], ...] = ()
    source: Source | None = field(default=None, compare=False)
    link_local_ips: tuple[str, ...] = ()
    gateway: str | None = None
    gateway_source: Source | None = field(default=None, compare=False)
    routes: tuple[StaticRoute, ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """Another container that this one knows by ``alias``: of the stack, or, as an external link, of any stack.

    An external link's ``container`` is ``name`` or ``stack/name``.
    """

    container: str
    alias: str
    source: Source | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ExtraHost:
    """One more line of the hosts file. ``address`` is canonical, or `HOST_GATEWAY`: the host as containers see it."""

    host: str
    address: str
    source: Source | None = field(default=None, compare=False)


HOST_GATEWAY = "host-gateway"
"""The word that stands for the host's address in ``extra_hosts``."""


@dataclass(frozen=True, slots=True)
class Dns:
    """What the container's resolver is told; nothing: as netapply and the host have it.

    ``search`` of ``.`` alone means no search domains at all. ``options`` are resolv.conf(5)'s.
    """

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    source: Source | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class PortMapping:
    """One published port, ranges already dealt out to single target ports.

    ``published`` is None for a dynamic host port, else the first and last host port to
    choose from (equal for a fixed one). ``host_address`` None: every address of the host.
    """

    target: int
    published: tuple[int, int] | None = None
    host_address: str | None = None
    protocol: str = "tcp"
    name: str | None = None
    source: Source | None = field(default=None, compare=False)
    sources: tuple[str, ...] = ()
    """Who may use it: subnets, matched before any translation; empty: anybody."""


@dataclass(frozen=True, slots=True)
class Listen:
    """A declared listener of a container in a shared namespace; no ``address``: every address, of both families."""

    port: int
    protocol: str = "tcp"
    address: str | None = None
    source: Source | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class FloatingAddress:
    """An address that leads to one container, and that the container leaves the host with.

    ``interface`` is the host's that bears it; None: the one whose subnet holds it.
    """

    address: str
    interface: str | None = None
    source: Source | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class SharedNamespace:
    """Another namespace of another container: ``kind`` is ``ipc``, ``pid`` or ``uts``.

    ``target`` is ``service:NAME``, ``container:NAME`` or ``host``.
    """

    kind: str
    target: str
    source: Source | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class AttachedNamespace:
    """A network namespace that another program made: ``path`` leads to it, of a process by way of /proc."""

    path: str
    source: Source | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Container:
    """A container: its place on networks, its ports and, with ``command``, its process.

    ``network_mode`` is None (networks decide), ``none``, ``host``, ``bridge``,
    ``service:NAME`` or ``container:NAME``. ``environment``, ``sysctls`` keep file order;
    an environment value is a secret and never shown. ``mode_source`` is the place of
    ``network_mode``.
    """

    name: str
    hostname: str | None = None
    domainname: str | None = None
    network_mode: str | None = None
    attachments: tuple[Attachment, ...] = ()
    ports: tuple[PortMapping, ...] = ()
    expose: tuple[str, ...] = ()
    command: tuple[str, ...] | None = None
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    working_dir: str | None = None
    user: str | None = None
    rootfs: str | None = None
    sysctls: tuple[tuple[str, str], ...] = ()
    source: Source | None = field(default=None, compare=False)
    links: tuple[Link, ...] = ()
    external_links: tuple[Link, ...] = ()
    extra_hosts: tuple[ExtraHost, ...] = ()
    dns: Dns = Dns()
    mode_source: Source | None = field(default=None, compare=False)
    open: tuple[PortSpan, ...] = ()
    """What the host's firewall lets in to a container in host mode."""
    listen: tuple[Listen, ...] = ()
    floating_addresses: tuple[FloatingAddress, ...] = ()
    egress_addresses: tuple[FloatingAddress, ...] = ()
    """At most one of each family: the host address that the container's own connections bear outside."""
    shared: tuple[SharedNamespace, ...] = ()
    remove: bool = False
    """``rm``: gone with all that it had as soon as its command has ended."""
    restart: str = "no"
    """``no``, ``always``, ``on-failure`` or ``unless-stopped``."""
    restart_limit: int | None = None
    """Of ``on-failure``: how often at most, None: always again."""
    service: str | None = None
    """The key in the file that this is a replica of, where there are several; its name ends in ``-NUMBER``."""

    attach: AttachedNamespace | None = None

    @property
    def key(self) -> str:
        """The key under which it stands in the file."""
        return self.service or self.name


@dataclass(frozen=True, slots=True)
class Manifest:
    """One stack.

    ``origin`` is the real path of the (first) file, or ``-`` for standard input;
    ``named`` says whether the stack's name was given (``name:``, ``-p``, environment)
    rather than derived from a file or folder name.
    """

    stack: str
    named: bool
    origin: str
    networks: tuple[Network, ...] = ()
    containers: tuple[Container, ...] = ()
    warnings: tuple[Problem, ...] = ()
