"""macvlan networks: each container is a host of its own on the LAN of a parent interface, with a MAC of its own."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.desired import sub_interfaces
from reconciler.desired.known import Known
from reconciler.desired.members import Member
from reconciler.desired.networks import PlannedNetwork
from reconciler.state import Resource

PUBLISHES = False
_DEFAULT_MODE = "bridge"


def network_resources(network: PlannedNetwork) -> Iterable[Resource]:
    """Nothing: the network is the LAN's. The host's own way in is made with what is known of the members."""
    del network
    return ()


def member_resources(member: Member, interface: str, known: Known, taken: set[str]) -> Iterable[Resource]:
    """The link inside and its addresses."""
    del taken  # nothing of it stands in the host
    mode = member.network.parent.mode or _DEFAULT_MODE
    return sub_interfaces.member_resources(member, interface, mode, "", known)
