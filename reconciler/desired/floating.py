"""``floating_ip:``: addresses on the host that lead to one container each, and that it leaves the host with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface

from reconciler.desired.egress import can_leave, leaving, owner_fault
from reconciler.desired.known import Known
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
    claims = _Claims(known, problems)
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
            if family not in families_out:
                families_out.add(family)
                yield from leaving(each, given.address, source)


def _family(address: str) -> int:
    return 6 if ":" in address else 4


def _nowhere(wired: Wired, given: FloatingAddress) -> Problem:
    message = f"container {wired.spec.name} has no bridge network that leads outside for {given.address} to lead to"
    return Problem(message, given.source or wired.spec.source, "join a network that is not internal, of that family")


@dataclass(slots=True)
class _Claims:
    """Who has which floating address, in this run and on the host."""

    known: Known
    problems: list[Problem]
    here: dict[str, tuple[str, Source | None]] = field(default_factory=dict)

    def interface_for(self, wired: Wired, given: FloatingAddress) -> str | None:
        """The interface that is to bear the address; None, and a problem, where it cannot be had."""
        fault = owner_fault(wired, "floating_ip") or self._taken(wired, given)
        interface = None
        if fault is None:
            found = list(self._interfaces(given))
            interface = found[0] if found else None
            fault = None if found else self._no_interface(given)
        if fault:
            self.problems.append(Problem(fault[0], given.source or wired.spec.source, fault[1]))
        return interface

    def _taken(self, wired: Wired, given: FloatingAddress) -> tuple[str, str] | None:
        what = f"floating address {given.address} of container {wired.spec.name}"
        first = self.here.setdefault(given.address, (wired.identity, given.source))
        if first[0] != wired.identity:
            return f"{what} is claimed by container {first[0]} too, at {first[1]}", "give one of them another address"
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

    def _foreign(self) -> set[str]:
        ours = {bridge.interface for bridge in self.known.bridges.values()}
        return set(self.known.observation.facts.interfaces) - ours

    def _no_interface(self, given: FloatingAddress) -> tuple[str, str]:
        if given.interface:
            return f"the host has no interface {given.interface} for {given.address}", "see: ip link"
        message = f"{given.address} is in no subnet of the host's interfaces"
        return message, f"say where it belongs: {{address: {given.address}, interface: NAME}}"
