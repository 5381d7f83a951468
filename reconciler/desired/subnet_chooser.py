"""Which subnet a network gets: the given one, the one that is there, or a free one by hash."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from reconciler.desired.known import Known
from reconciler.desired.subnet import Subnet, in_hash_order, parse_subnet
from reconciler.errors import Problem, Source
from reconciler.manifest.model import Network
from reconciler.naming import digest
from reconciler.netlink.sub_interface_kinds import SUB_INTERFACE_KINDS
from reconciler.state import HOST_OWNER

_AUTOMATIC = parse_subnet("172.16.0.0/12")
_DOCKER_DEFAULT = parse_subnet("172.17.0.0/16")
_AUTOMATIC_LENGTH = 24
_IPV6_LENGTH = 64


class SubnetChooser:
    """Subnets for all networks of a run: given ones first, then what is there, then free choices by hash.

    A subnet that a network has already stays, even if a route of the host has come to overlap it since.
    """

    def __init__(self, known: Known, problems: list[Problem]) -> None:
        self._known = known
        self._problems = problems
        self._of_host = [(subnet, "a route or address of the host") for subnet in known.taken_subnets]
        self._of_networks: list[tuple[Subnet, str]] = []
        for network in sorted({*known.bridges, *known.policies, *known.sub_interfaces}):
            stack, _, key = network.partition("/")
            # The host's own network is planned in every run, like those of the stacks in scope.
            if stack not in known.scope and stack != HOST_OWNER:
                holder = f"network {key} of stack {stack}"
                self._of_networks += [(subnet, holder) for subnet in dict.fromkeys(known.subnets_held(network))]

    def claim(self, subnet: Subnet, identity: str, network: Network, source: Source | None) -> None:
        """Take a given subnet for ``stack/key``; who has it already is named in the problem."""
        # One on a parent is the host's own subnet there, by design.
        new = network.driver not in SUB_INTERFACE_KINDS and subnet not in self._known.subnets_bridged(identity)
        overlapped = self._overlapped(subnet, new=new)
        if overlapped:
            taken, holder = overlapped
            message = f"subnet {subnet} of network {network.name} overlaps {taken}, {holder}"
            self._problems.append(Problem(message, source, "choose another subnet"))
        self._of_networks.append((subnet, f"network {network.name}"))

    def automatic(
        self, family: int, identity: str, network: Network, members: int, preferred: tuple[Subnet, ...] = ()
    ) -> Subnet | None:
        """The subnet that is there already while it has room, or a free one with room for ``members`` twice over.

        Of the free ones, ``preferred`` before others. None, and a problem, where all are taken.
        """
        # What it had on a parent is the LAN's, and no bridge's.
        held = [subnet for subnet in self._known.subnets_bridged(identity) if subnet.family == family]
        kept = (subnet for subnet in held if _room(subnet, members) and not self._overlapped(subnet, new=False))
        candidates = chain(preferred, _candidates(family, identity, members))
        free = (subnet for subnet in candidates if not self._overlapped(subnet, new=True))
        chosen = next(chain(kept, free), None)
        if chosen is None:
            message = f"no IPv{family} subnet is free for network {network.name}: routes and networks overlap all"
            hint = "give it one of its own: ipam.config with a subnet"
            self._problems.append(Problem(message, network.source, hint))
        else:
            self._of_networks.append((chosen, f"network {network.name}"))
        return chosen

    def _overlapped(self, subnet: Subnet, *, new: bool) -> tuple[Subnet, str] | None:
        taken = chain(self._of_networks, self._of_host) if new else self._of_networks
        return next((entry for entry in taken if subnet.overlaps(entry[0])), None)


def _room(subnet: Subnet, members: int) -> bool:
    first, last = subnet.usable
    return last - first >= members  # one is the gateway's


def _candidates(family: int, network: str, members: int) -> Iterable[Subnet]:
    if family == 6:  # noqa: PLR2004  # the family
        # A unique local prefix: fd, 40 random bits, 16 for the subnet (RFC 4193, 3.1).
        for attempt in range(1000):
            chosen = digest("subnet6", network, str(attempt)) & ((1 << 56) - 1)
            yield Subnet(6, (0xFD << 120) | (chosen << 64), _IPV6_LENGTH)
        return
    length = min(_AUTOMATIC_LENGTH, 32 - (2 * members + 3).bit_length())
    shift = 32 - length
    for choice in in_hash_order(_AUTOMATIC.base >> shift, _AUTOMATIC.last >> shift, "subnet", network):
        subnet = Subnet(4, choice << shift, length)
        if not subnet.overlaps(_DOCKER_DEFAULT):
            yield subnet
