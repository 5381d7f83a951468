"""What our rules on the host do with a packet, in the order in which both backends ask.

The same decisions as in ``firewall/nftables_layout.py`` and ``firewall/iptables_layout.py``, on policies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from reconciler.firewall.allow import AllowPolicy
from reconciler.firewall.foreign import Barrier
from reconciler.firewall.opening import Opening, origins
from reconciler.firewall.policy import FirewallBase, HostAccept, NetworkPolicy, PublishedPort, StackPolicy
from reconciler.firewall.translation import EgressPolicy, FloatingPolicy
from reconciler.observation import Facts
from reconciler.reach.packet import Packet, within
from reconciler.reach.ruling import NO_SAY, NewSource, Passage, Ruling, Track, dropped, passed
from reconciler.resources.bridge import Bridge
from reconciler.state import State

_EVERY: Final = {4: "0.0.0.0", 6: "::"}  # noqa: S104  # compared, never bound
_FAMILIES: Final = {"ip": 4, "ip6": 6}
_IPV6: Final = 6


@dataclass(slots=True)
class Rules:
    """The firewall's policies of a state, indexed. ``base``: our table; None where there is none."""

    base: FirewallBase | None = None
    networks: dict[str, NetworkPolicy] = field(default_factory=dict)
    ports: dict[tuple[str, str, int], PublishedPort] = field(default_factory=dict)
    by_number: dict[tuple[str, int], list[PublishedPort]] = field(default_factory=lambda: defaultdict(list))
    """The same by protocol and port of the host."""
    routed: dict[tuple[str, str, int], PublishedPort] = field(default_factory=dict)
    floating: dict[str, FloatingPolicy] = field(default_factory=dict)
    egress: dict[str, EgressPolicy] = field(default_factory=dict)
    allowed: dict[tuple[str, str], list[AllowPolicy]] = field(default_factory=lambda: defaultdict(list))
    openings: list[Opening] = field(default_factory=list)
    accepts: list[HostAccept] = field(default_factory=list)
    wanted: tuple[HostAccept, ...] = ()
    barriers: tuple[Barrier, ...] = ()
    """Chains of others in which no rule of ours helps."""
    bridges: set[str] = field(default_factory=set)

    def target(self, packet: Packet) -> PublishedPort | FloatingPolicy | None:
        """What leads on what is sent to an address of the host: one address goes before all of them."""
        address, protocol, port = packet.destination, packet.protocol, packet.destination_port
        wildcard = _EVERY[packet.family]
        return (
            self.ports.get((address, protocol, port))
            or self.floating.get(address)
            or self.ports.get((wildcard, protocol, port))
        )

    def arriving(self, packet: Packet) -> Ruling:
        """Whether who sends it to a host address from elsewhere may use the port that is published there."""
        target = self.target(packet)
        # What is for a floating address is nobody's port, also where another has that number at all addresses.
        if isinstance(target, PublishedPort) and target.sources and not _is_from(packet.source, target.sources):
            what = f"drop, port {packet.destination_port}/{packet.protocol} is published {origins(target.sources)} only"
            return dropped(f"{what}, not for {packet.source}", target.source)
        return NO_SAY

    def entering(self, passage: Passage) -> Ruling:
        """What becomes of what is for the host itself."""
        packet = passage.packet
        if passage.track is Track.REPLY or not passage.into:
            return NO_SAY
        if self.base:
            spoofed = self._spoofed(passage)
            if not spoofed.passes:
                return spoofed
        opening = next((each for each in self.openings if _opens(each, packet)), None) if self.base else None
        for chain in self._dropping("input", passage):
            where = _chain(chain)
            if opening is None:
                what = f"input: the host's own {where} drops what its rules, which are not followed, do not accept"
                return dropped(f"{what}; no container opens {packet} with open:")
            if not self._accepts(chain):
                return dropped(f"input: {self._why_dropped(chain)}", opening.source)
        if opening:
            return passed(f"input: {opening.describe()}", opening.source)
        return passed("input: only the host's filter INPUT is passed, no translation and no bridge")

    def published_elsewhere(self, packet: Packet) -> Ruling | None:
        """Of a port that is published, but not at that address of the host: nothing of ours answers there."""
        if self.base is None or any(_opens(opening, packet) for opening in self.openings):
            return None
        asked = (packet.protocol, packet.destination_port)
        others = self.by_number.get(asked)
        if not others:
            return None
        where = ", ".join(sorted({_words(port.host_address) for port in others}))
        what = f"port {asked[1]}/{asked[0]} is published at {where} only, so nothing leads on from {packet.destination}"
        return dropped(what, others[0].source)

    def forwarded(self, passage: Passage) -> Ruling:
        """What becomes of what goes through the host."""
        if not {passage.into, passage.out} & (self.networks.keys() | self.bridges):
            return NO_SAY
        if self.base is None:
            ruling = passed("forward: netapply's firewall table is missing, so nothing keeps networks apart")
        else:
            ruling = self._judged(passage)
        if ruling.passes and passage.track is not Track.REPLY:
            for chain in self._dropping("forward", passage):
                if self.base is None or not self._accepts(chain):
                    return dropped(f"forward: {self._why_dropped(chain)}", ruling.source)
        return ruling

    def _judged(self, passage: Passage) -> Ruling:
        packet, into, out, track, _ = passage
        before, after = self.networks.get(into), self.networks.get(out)
        if before and into == out and before.icc:
            return passed(f"forward: within network {_name(before)}", before.source)
        spoofed = self._spoofed(passage)
        if not spoofed.passes:
            return spoofed
        allowance = next((each for each in self.allowed.get((into, out), ()) if _allows(each, packet)), None)
        if allowance:
            return passed(f"forward: {allowance.describe()}", allowance.source)
        if track is Track.REPLY and (out, into) in self.allowed:
            return passed("forward: answer to what is allowed")
        for network in (before, after):
            if network and network.internal:
                return dropped(f"forward: drop, network {_name(network)} is internal", network.source)
        return self._between(passage, before, after)

    def _between(self, passage: Passage, before: NetworkPolicy | None, after: NetworkPolicy | None) -> Ruling:
        if passage.translated:
            return passed("forward: translated by a published port")
        if before and before is after:
            what = f"forward: drop, members of network {_name(before)} are kept apart (icc off)"
            return dropped(what, before.source)
        if passage.track is Track.REPLY:
            return passed("forward: answer of a connection")
        if passage.track is Track.INVALID:
            return dropped("forward: drop, it belongs to no connection that the host knows: the rest went another way")
        if after is None:
            return passed("forward: outward", before.source if before else None)
        if passage.into in after.trusted_interfaces:
            return passed(f"forward: network {_name(after)} trusts the host's {passage.into}", after.source)
        return self._inward(passage.packet, after)

    def _inward(self, packet: Packet, after: NetworkPolicy) -> Ruling:
        mode = after.mode6 if packet.family == _IPV6 else after.mode4
        if mode == "nat-unprotected":
            return passed(f"forward: network {_name(after)} has gateway mode nat-unprotected", after.source)
        if mode != "routed":
            what = f"forward: drop, addresses of network {_name(after)} are not reached from elsewhere"
            return dropped(f"{what} (gateway mode {mode}); publish the port, or allow the network", after.source)
        port = self.routed.get((packet.destination, packet.protocol, packet.destination_port))
        if port is None:
            what = f"forward: drop, {packet} is not published, and network {_name(after)} has gateway mode routed"
            return dropped(what, after.source)
        if port.sources and not _is_from(packet.source, port.sources):
            what = f"forward: drop, {packet} is open {origins(port.sources)} only, not for {packet.source}"
            return dropped(what, port.source)
        return passed(f"forward: {port.describe()}", port.source)

    def leaving(self, passage: Passage) -> NewSource | None:
        """The address that a new connection leaves with; None: its own."""
        packet, into, out = passage.packet, passage.into, passage.out
        before, after = self.networks.get(into), self.networks.get(out)
        if self.base is None:
            return None
        if after:
            hairpin = passage.translated and _is_from(packet.source, after.subnets)
            if hairpin or packet.source.startswith("127."):
                return NewSource("", "so that the answer comes back through the host", after.source)
            return None
        if before is None:
            return None
        egress = self.egress.get(packet.source)
        if egress:
            return NewSource(egress.address, egress.describe(), egress.source)
        six = packet.family == _IPV6
        masquerade, given, mode = (
            (before.masquerade6, before.snat6, before.mode6)
            if six
            else (before.masquerade4, before.snat4, before.mode4)
        )
        if not masquerade or not mode.startswith("nat"):
            return None
        return NewSource(given, f"network {_name(before)} is masqueraded", before.source)

    def _spoofed(self, passage: Passage) -> Ruling:
        """A source of another of our networks is dropped; answers pass."""
        network, address = self.networks.get(passage.into), passage.packet.source
        if passage.track is Track.REPLY or network is None or _is_from(address, network.subnets):
            return NO_SAY
        if any(_is_from(address, other.subnets) for other in self.networks.values()):
            return dropped(f"drop, {address} is no address of network {_name(network)}", network.source)
        return NO_SAY

    def _dropping(self, hook: str, passage: Passage) -> Iterator[HostAccept]:
        """The host's own chains that would drop what bears no mark."""
        family = passage.packet.family
        closed = (each.chain for each in self.barriers if not {passage.into, passage.out}.intersection(each.named))
        for chain in (*self.wanted, *closed):
            if chain.hook == hook and _FAMILIES.get(chain.family, family) == family:
                yield chain

    def _why_dropped(self, chain: HostAccept) -> str:
        where = f"the host's own {_chain(chain)} drops it"
        if self._is_barrier(chain):
            return f"{where} unless rules of its own, which are not followed, accept it: a rule of netapply's cannot help there"
        return f"{where}: netapply's rule that accepts its mark is missing there"

    def _is_barrier(self, chain: HostAccept) -> bool:
        return any(barrier.chain == chain for barrier in self.barriers)

    def _accepts(self, chain: HostAccept) -> bool:
        """Whether our rule stands in that chain, where it has an effect."""
        return not self._is_barrier(chain) and any(
            each.key == chain.key and each.mark == chain.mark for each in self.accepts
        )


def rules(state: State, facts: Facts) -> Rules:
    """The policies of that state, and what of the host's own firewall is in their way."""
    found = Rules(wanted=facts.wanted_accepts, barriers=facts.barriers)
    for resource in state:
        match resource:
            case FirewallBase():
                # While backends change there are two, which say the same.
                found.base = resource
            case HostAccept():
                found.accepts.append(resource)
            case Bridge():
                found.bridges.add(resource.interface)
            case _ if isinstance(resource, StackPolicy):
                _add_policy(found, resource)
            case _:
                pass
    return found


def _add_policy(found: Rules, policy: StackPolicy) -> None:
    match policy:
        case NetworkPolicy():
            found.networks[policy.interface] = policy
        case PublishedPort():
            ports = found.routed if policy.routed else found.ports
            ports[policy.host_address, policy.protocol, policy.host_port] = policy
            if not policy.routed:
                found.by_number[policy.protocol, policy.host_port].append(policy)
        case FloatingPolicy():
            found.floating[policy.address] = policy
        case EgressPolicy():
            found.egress[policy.target_address] = policy
        case AllowPolicy():
            found.allowed[policy.interface, policy.target_interface].append(policy)
        case Opening():
            found.openings.append(policy)


def _is_from(address: str, subnets: Iterable[str]) -> bool:
    return any(within(address, subnet) for subnet in subnets)


def _opens(opening: Opening, packet: Packet) -> bool:
    meant = opening.protocol == packet.protocol and opening.first <= packet.destination_port <= opening.last
    return meant and (not opening.sources or _is_from(packet.source, opening.sources))


def _allows(allow: AllowPolicy, packet: Packet) -> bool:
    port = packet.destination_port
    spans = allow.ports
    return not spans or any(protocol == packet.protocol and first <= port <= last for protocol, first, last in spans)


def _name(network: NetworkPolicy) -> str:
    return network.network.partition("/")[2]


def _chain(chain: HostAccept) -> str:
    return f"chain {chain.chain} of {chain.family} {chain.table} ({chain.engine})"


def _words(host_address: str) -> str:
    return {"0.0.0.0": "IPv4 addresses", "::": "IPv6 addresses"}.get(host_address, host_address)  # noqa: S104  # not bound
