"""What the firewall shall do, not how: every backend writes these and reads them back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from reconciler.errors import Source
from reconciler.firewall.allow import AllowPolicy
from reconciler.firewall.opening import Opening, origins
from reconciler.firewall.transaction import ByTransaction
from reconciler.firewall.translation import EgressPolicy, FloatingPolicy
from reconciler.resources.parts import PartOfContainer, PartOfHost, PartOfNetwork
from reconciler.state import Key, Kind

MARK = 0x02000000
"""The mark bit of traffic that we accepted, clear of the bits of netavark, CNI and Kubernetes."""

UNSERVED = "::1"
"""The address of the host at which no published port can be reached: the kernel drops what answers there."""


@dataclass(frozen=True, slots=True)
class FirewallBase(ByTransaction, PartOfHost):
    """The shared table's fixed chains. ``intact``: observed chains are what we would write.

    ``strays``: what else was found in our table, in the backend's own words, for the repair.
    """

    backend: str
    intact: bool = True
    mark: int = MARK
    strays: tuple[str, ...] = field(default=(), compare=False)
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset({"intact", "mark"})

    @property
    def key(self) -> Key:
        return Key(Kind.RULE, f"host:firewall/{self.backend}")

    def describe(self) -> str:
        return f"firewall table of netapply ({self.backend})"

    def record(self) -> Mapping[str, Any]:
        return {"backend": self.backend, "intact": self.intact, "mark": f"{self.mark:#x}"}


@dataclass(frozen=True, slots=True)
class HostAccept(ByTransaction, PartOfHost):
    """One rule of ours in a foreign chain, before all that would drop: it accepts what our mark is on.

    ``engine`` is ``nft`` (a native table), ``iptables-nft`` or ``iptables-legacy``;
    ``family`` is nft's word (``ip``, ``ip6``, ``inet``). ``hook`` is ``forward`` for what
    containers send and receive, ``input`` for what is opened to containers in host mode.
    """

    engine: str
    family: str
    table: str
    chain: str
    mark: int = MARK
    hook: str = "forward"
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset({"mark", "hook"})

    @property
    def key(self) -> Key:
        return Key(Kind.RULE, f"host:accept {self.engine} {self.family} {self.table} {self.chain}")

    def describe(self) -> str:
        what = "what is opened" if self.hook == "input" else "our traffic"
        return f"accept {what} in the host's {self.family} {self.table} {self.chain} ({self.engine})"

    def record(self) -> Mapping[str, Any]:
        return {
            "engine": self.engine,
            "family": self.family,
            "table": self.table,
            "chain": self.chain,
            "mark": f"{self.mark:#x}",
        }


@dataclass(frozen=True, slots=True)
class NetworkPolicy(ByTransaction, PartOfNetwork):
    """Who may talk from, to and within one bridge network.

    ``network`` is ``stack/key``; ``subnets`` are its subnets, both families.
    ``masquerade4``/``masquerade6``: what leaves our networks gets the host's address
    (or ``snat4``/``snat6``). ``mode4``/``mode6`` is the gateway mode: ``nat`` (container
    addresses not reachable from outside), ``nat-unprotected`` (reachable, every port),
    ``routed`` (reachable on published ports and ICMP, no NAT), ``isolated``.
    ``trusted_interfaces``: host interfaces from which container addresses are reachable.
    ``masquerade_ports``: first and last of the ports that tcp, udp and sctp are masqueraded to; None:
    any. It needs a family that is masqueraded, and then goes before ``snat4``, ``snat6``.
    """

    owner: str
    network: str
    interface: str
    subnets: tuple[str, ...]
    internal: bool = False
    icc: bool = True
    masquerade4: bool = True
    masquerade6: bool = True
    snat4: str = ""
    snat6: str = ""
    mode4: str = "nat"
    mode6: str = "nat"
    trusted_interfaces: tuple[str, ...] = ()
    source: Source | None = field(default=None, compare=False)
    masquerade_ports: tuple[int, int] | None = None
    live: ClassVar[frozenset[str]] = frozenset(
        {
            "subnets",
            "internal",
            "icc",
            "masquerade4",
            "masquerade6",
            "snat4",
            "snat6",
            "mode4",
            "mode6",
            "trusted_interfaces",
            "masquerade_ports",
        }
    )

    @property
    def key(self) -> Key:
        return Key(Kind.POLICY, f"{self.network}:{self.interface}")

    def describe(self) -> str:
        ports = f" from ports {self._range()}" if self.masquerade_ports else ""
        words = [
            "internal" if self.internal else "isolated from other networks",
            *([] if self.icc else ["members apart (icc off)"]),
            *([f"masqueraded{ports}"] if (self.masquerade4 or self.masquerade6) and not self.internal else []),
        ]
        return ", ".join(words)

    def record(self) -> Mapping[str, Any]:
        return {
            "network": self.network,
            "interface": self.interface,
            "subnets": list(self.subnets),
            "internal": self.internal,
            "icc": self.icc,
            "masquerade4": self.masquerade4,
            "masquerade6": self.masquerade6,
            "snat4": self.snat4,
            "snat6": self.snat6,
            "mode4": self.mode4,
            "mode6": self.mode6,
            "trusted_interfaces": list(self.trusted_interfaces),
            "masquerade_ports": self._range(),
        }

    def _range(self) -> str:
        return "-".join(map(str, self.masquerade_ports or ()))


@dataclass(frozen=True, slots=True)
class PublishedPort(ByTransaction, PartOfContainer):
    """One published port of one family.

    ``container`` is ``stack/name``. ``host_address`` is ``0.0.0.0`` or ``::`` for every
    address of the host. ``routed``: no translation, the target port is opened for direct
    access, and ``host_address``, ``host_port`` are the container's own. ``sources``: subnets
    of that family from which it may be used, disjoint and sorted; empty: from everywhere.
    The host itself may always.
    """

    owner: str
    container: str
    protocol: str
    host_address: str
    host_port: int
    target_address: str
    target_port: int
    routed: bool = False
    source: Source | None = field(default=None, compare=False)
    sources: tuple[str, ...] = ()
    live: ClassVar[frozenset[str]] = frozenset({"target_address", "target_port", "sources"})

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.host_address else 4

    @property
    def key(self) -> Key:
        host = f"[{self.host_address}]" if ":" in self.host_address else self.host_address
        way = " routed" if self.routed else ""
        return Key(Kind.PORT, f"{self.container}:{host}:{self.host_port}/{self.protocol}{way}")

    def describe(self) -> str:
        name = self.container.partition("/")[2]
        if self.routed:
            return f"open {self.target_port}/{self.protocol} of {name} at its own address, {origins(self.sources)}"
        wildcard = self.host_address in {"0.0.0.0", "::"}  # noqa: S104  # compared, never bound
        host = f"[{self.host_address}]" if self.family == 6 else self.host_address  # noqa: PLR2004  # the family
        where = ("[::]:" if self.family == 6 else "") if wildcard else f"{host}:"  # noqa: PLR2004  # the family
        return f"publish {where}{self.host_port}/{self.protocol} -> {name}:{self.target_port}, {origins(self.sources)}"

    def record(self) -> Mapping[str, Any]:
        return {
            "container": self.container,
            "protocol": self.protocol,
            "host_address": self.host_address,
            "host_port": self.host_port,
            "target_address": self.target_address,
            "target_port": self.target_port,
            "routed": self.routed,
            "sources": list(self.sources),
        }


StackPolicy = NetworkPolicy | PublishedPort | Opening | FloatingPolicy | EgressPolicy | AllowPolicy
"""What a stack asks of the firewall; a backend writes these and reads them back."""

Policy = FirewallBase | HostAccept | StackPolicy
