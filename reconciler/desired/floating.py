"""``floating_ip:``: addresses on the host that lead to one container each, and that it leaves the host with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface

from reconciler.desired.egress import can_leave, leaves_by_another, leaving, owner_fault
from reconciler.desired.known import Known
from reconciler.desired.subnet import number, parse_interface
from reconciler.desired.wired import Wired
from reconciler.errors import Problem, Source
from reconciler.firewall.translation import FloatingPolicy
from reconciler.manifest.model import FloatingAddress
from reconciler.resources.host_address import HostAddress
from reconciler.state import Resource


def floating_resources(wired: Sequence[Wired], known: Known, problems: list[Problem]) -> Iterable[Resource]:
    """The address on the host's interface, the way in, and the way out, for each floating address of the run.

    Where a container has several of one family it leaves with the first; an ``egress_ip`` goes before.
    """
    claims = _Claims(known, problems, dict(_on_parents(wired, known)))
    for each in wired:
        families_out = {_family(given.address) for given in each.spec.egress_addresses}
        for given in each.spec.floating_addresses:
            family = _family(given.address)
            interface = claims.interface_for(each, given)
            if interface is None:
                continue
            member = next(can_leave(each, family), None)
            if member is None:
                problems.append(_nowhere(each, given))
                continue
            source = given.source or each.spec.source
            target = member.addresses[family].partition("/")[0]
            yield HostAddress(each.stack, each.identity, interface, given.address, source=source)
            yield FloatingPolicy(each.stack, each.identity, given.address, target, source=source)
            if family not in families_out and not leaves_by_another(each, family):
                families_out.add(family)
                yield from leaving(each, given.address, source)


def _family(address: str) -> int:
    return 6 if ":" in address else 4


def _nowhere(wired: Wired, given: FloatingAddress) -> Problem:
    message = f"container {wired.spec.name} has no bridge network that leads outside for {given.address} to lead to"
    return Problem(message, given.source or wired.spec.source, "join a network that is not internal, of that family")


def _on_parents(wired: Sequence[Wired], known: Known) -> Iterator[tuple[str, str]]:
    """Addresses on networks that are one with the host's own, and whose they are: the host's, other stacks' containers'.

    Of containers of this run it is found where they get their addresses.
    """
    for network in {member.network.network: member.network for each in wired for member in each.members}.values():
        for address in network.host_addresses:
            yield address, f"is the host's on network {network.name}, at {network.source}"
    for links in known.sub_interfaces.values():
        for link in links:
            if link.owner not in known.scope:
                for address in known.addresses.get((link.container, link.interface), ()):
                    yield address.partition("/")[0], f"is {link.container}'s on network {link.network_name} already"
    for identity, shim in known.shims.items():
        if shim.owner not in known.scope:
            for address in known.addresses.get((identity, shim.interface), ()):
                yield address.partition("/")[0], f"is the host's on network {shim.network_name} already"


@dataclass(slots=True)
class _Claims:
    """Who has which floating address, in this run and on the host.

    ``on_parents``: addresses that cannot float, because they stand on a network that is one with the host's.
    """

    known: Known
    problems: list[Problem]
    on_parents: Mapping[str, str]
    here: dict[str, tuple[str, Source | None]] = field(default_factory=dict)

    def interface_for(self, wired: Wired, given: FloatingAddress) -> str | None:
        """The interface that is to bear the address; None, and a problem, where it cannot be had."""
        fault = owner_fault(wired, "floating_ip") or self._taken(wired, given)
        interface = None
        if fault is None:
            interface = next(self._interfaces(given), None)
            fault = self._edge(given, interface) if interface else self._no_interface(given)
        if fault:
            self.problems.append(Problem(fault[0], given.source or wired.spec.source, fault[1]))
        return interface

    def _taken(self, wired: Wired, given: FloatingAddress) -> tuple[str, str] | None:
        what = f"floating address {given.address} of container {wired.spec.name}"
        first = self.here.setdefault(given.address, (wired.identity, given.source))
        if first[0] != wired.identity:
            return f"{what} is claimed by container {first[0]} too, at {first[1]}", "give one of them another address"
        if given.address in self.on_parents:
            return f"{what} {self.on_parents[given.address]}", "choose another address"
        for resource in self.known.others:
            if isinstance(resource, FloatingPolicy) and resource.address == given.address:
                return f"{what} belongs to container {resource.container} already", "take it off there first"
        for interface, address in self.known.observation.facts.host_networks:
            if address.partition("/")[0] == given.address:
                message = f"{what} is an address of the host on {interface} already, and not netapply's"
                return message, f"remove it there (ip address delete {address} dev {interface}), or choose another one"
        return None

    def _interfaces(self, given: FloatingAddress) -> Iterator[str]:
        """The given interface, or those in whose subnet the address is, the narrowest first."""
        networks = self.known.observation.facts.host_networks
        if given.interface:
            if given.interface in self._foreign():
                yield given.interface
            return
        address = ip_address(given.address)
        fitting = [
            (-network.network.prefixlen, interface)
            for interface, network in ((interface, ip_interface(text)) for interface, text in networks)
            if address in network.network and interface != "lo"
        ]
        yield from (interface for _, interface in sorted(fitting))

    def _edge(self, given: FloatingAddress, interface: str) -> tuple[str, str] | None:
        """That no machine of the interface's subnet can have the address, as it stands for the subnet or for all."""
        for name, of_host in self.known.observation.facts.host_networks:
            (own, subnet), address = parse_interface(of_host), number(given.address)
            if name != interface or subnet.family != _family(given.address) or address not in subnet:
                continue
            first, last = subnet.usable
            # A host that has the first address itself is an assumed one, and so is the length of its subnets.
            if first <= own and not first <= address <= last:
                return f"{given.address} is the first or last of {subnet}, no machine can have it", "choose another one"
        return None

    def _foreign(self) -> set[str]:
        ours = {bridge.interface for bridge in self.known.bridges.values()}
        return set(self.known.observation.facts.interfaces) - ours

    def _no_interface(self, given: FloatingAddress) -> tuple[str, str]:
        if given.interface:
            return f"the host has no interface {given.interface} for {given.address}", "see: ip link"
        message = f"{given.address} is in no subnet of the host's interfaces"
        return message, f"say where it belongs: {{address: {given.address}, interface: NAME}}"
