"""Containers of stacks that are not in this run and go through one that is: what serves them, or that nothing would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reconciler.desired.known import Known
from reconciler.desired.members import Member
from reconciler.desired.wired import Wired
from reconciler.errors import Problem
from reconciler.resources.route import DEFAULT_DESTINATION, Route

_Place = tuple[str, str]
"""The real name of a network, and an address there."""


@dataclass(frozen=True, slots=True)
class Passage:
    """The default route of a container of another stack, and the network that it leads over."""

    route: Route
    network_name: str

    @property
    def place(self) -> _Place:
        """Where it leads."""
        return self.network_name, self.route.gateway


def served(wired: Sequence[Wired], known: Known) -> Iterator[tuple[Route, Member]]:
    """Default routes of other stacks that lead through a container of this run: it must go on serving them."""
    members = _members(wired)
    for passage in _passages(known):
        member = members.get(passage.place)
        if member:
            yield passage.route, member


def check_clients(wired: Sequence[Wired], known: Known, problems: list[Problem]) -> None:
    """A container that one of another stack goes through cannot go, nor to another address on that network."""
    members = _members(wired)
    held: dict[_Place, str] = {}
    clients: dict[tuple[str, _Place], list[str]] = {}
    passages = [passage for passage in _passages(known) if passage.place not in members]
    if passages:
        held = {place: container for container, place in _standing(known) if container.partition("/")[0] in known.scope}
    for passage in passages:
        if passage.place in held:
            clients.setdefault((held[passage.place], passage.place), []).append(passage.route.container)
    left = {each.identity for each in wired}
    for (router, (network_name, address)), found in sorted(clients.items()):
        message = f"container {router} is the gateway of {', '.join(sorted(set(found)))}"
        if router in left:
            message += f", and would not be at {address} on network {network_name} any more"
        hint = "remove gateway there or take those containers down first, or name their manifests in the same run"
        problems.append(Problem(message, hint=hint))


def _members(wired: Sequence[Wired]) -> dict[_Place, Member]:
    return {
        (member.network.name, address.partition("/")[0]): member
        for each in wired
        for member in each.members
        for address in member.addresses.values()
    }


def _passages(known: Known) -> Iterator[Passage]:
    """Also such as lead to a network's own gateway, where no container is."""
    names = {(container, interface): name for container, interface, name in _links(known)}
    for route in known.others:
        if isinstance(route, Route) and route.gateway and route.destination in DEFAULT_DESTINATION.values():
            name = names.get((route.container, route.interface))
            if name is not None:
                yield Passage(route, name)


def _standing(known: Known) -> Iterator[tuple[str, _Place]]:
    """Every container with where it is seen."""
    for container, interface, name in _links(known):
        for address in known.addresses.get((container, interface), ()):
            yield container, (name, address.partition("/")[0])


def _links(known: Known) -> Iterator[tuple[str, str, str]]:
    """Container, interface inside and network of all that stands on one, whatever its kind."""
    for endpoints in known.endpoints.values():
        yield from ((each.container, each.interface, each.network_name) for each in endpoints)
    for links in known.sub_interfaces.values():
        yield from ((each.container, each.interface, each.network_name) for each in links)
