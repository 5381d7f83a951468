"""The kinds of network: one module each, and the line that registers it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from reconciler.desired.drivers import bridge, ipvlan, macvlan
from reconciler.desired.known import Known
from reconciler.desired.members import Member
from reconciler.desired.networks import PlannedNetwork
from reconciler.state import Resource


class Driver(Protocol):
    """What a driver's module offers. ``PUBLISHES``: ports of containers on it can be ports of the host."""

    PUBLISHES: bool

    def network_resources(self, network: PlannedNetwork) -> Iterable[Resource]:
        """What the network itself needs."""
        ...

    def member_resources(self, member: Member, interface: str, known: Known, taken: set[str]) -> Iterable[Resource]:
        """What one container's place on it needs; ``taken`` are host interface names that are in use."""
        ...


DRIVERS: dict[str, Driver] = {"bridge": bridge, "ipvlan": ipvlan, "macvlan": macvlan}
