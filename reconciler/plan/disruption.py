"""What a change does to traffic that flows already."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.firewall.allow import AllowPolicy
from reconciler.firewall.policy import NetworkPolicy
from reconciler.firewall.translation import EgressPolicy, FloatingPolicy
from reconciler.plan.change import Disruption
from reconciler.resources.namespace import namespace_key
from reconciler.resources.route import DEFAULT_DESTINATION, DEFAULT_METRIC, UNICAST, Route, route_key
from reconciler.state import Kind, Resource, State

_REMOVAL = {
    Kind.NAMESPACE: Disruption.RECREATE,
    Kind.PROCESS: Disruption.RECREATE,
    Kind.LINK: Disruption.FLAP,
    Kind.ADDRESS: Disruption.RESET,
    Kind.PORT: Disruption.RESET,
}
_FLAPPING = frozenset({"mac", "bridge"})
"""What takes an interface down for a moment."""


def of_creation(after: Resource, observed: State) -> Disruption:
    """What is made for a container that there is already.

    A route takes traffic away from where it goes now, or drops it; what has left the host with another address
    is cut off, for its answers would come to that one.
    """
    if not isinstance(after, Route | FloatingPolicy | EgressPolicy):
        return Disruption.NONE
    if namespace_key(after.container) not in observed:
        return Disruption.NONE
    if not isinstance(after, Route):
        return Disruption.RESET
    if after.destination in DEFAULT_DESTINATION.values():
        # Where there was another one, its end is a change of its own.
        return Disruption.NONE
    if after.kind != UNICAST:
        return Disruption.RESET
    family = 6 if ":" in after.destination else 4
    everything = route_key(after.container, DEFAULT_DESTINATION[family], DEFAULT_METRIC[family])
    return Disruption.RESET if everything in observed else Disruption.NONE


def of_removal(before: Resource) -> Disruption:
    """What goes with the object: whoever used it."""
    if isinstance(before, AllowPolicy) or (isinstance(before, Route) and before.kind == UNICAST):
        return Disruption.RESET
    return _REMOVAL.get(before.key.kind, Disruption.NONE)


def of_update(before: Resource, after: Resource, names: Iterable[str]) -> Disruption:
    """The worst that the change of these fields does."""
    found = (_of_field(before, after, name) for name in names)
    return max(found, key=list(Disruption).index, default=Disruption.NONE)


def _of_field(before: Resource, after: Resource, name: str) -> Disruption:
    kind, disturbs = after.key.kind, False
    if kind is Kind.LINK:
        return Disruption.FLAP if name in _FLAPPING else Disruption.NONE
    if kind is Kind.PORT:
        # Who may no longer come is cut, as asked for; nobody else is.
        disturbs = name != "sources"
    elif kind is Kind.ROUTE:
        # What goes another way bears another address there, or passes another translation.
        disturbs = name != "protocol"
    elif isinstance(before, NetworkPolicy) and isinstance(after, NetworkPolicy):
        # Both judge every packet, not only those that begin a connection; all else lets established ones pass.
        disturbs = (name == "internal" and after.internal) or (name == "icc" and before.icc)
    elif isinstance(before, AllowPolicy) and isinstance(after, AllowPolicy):
        disturbs = not _covers(after, before)
    return Disruption.RESET if disturbs else Disruption.NONE


def _covers(after: AllowPolicy, before: AllowPolicy) -> bool:
    """Whether all that was allowed still is."""
    if not after.ports or not before.ports:
        return not after.ports
    return all(
        any(protocol == other and low <= first and last <= high for other, low, high in after.ports)
        for protocol, first, last in before.ports
    )
