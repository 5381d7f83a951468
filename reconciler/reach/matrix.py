"""Who reaches what: every container, the host and outside against every port that something says about.

Containers that stand alike, on the same networks with the same routes, reach alike: each kind is asked once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from reconciler.firewall.opening import Opening
from reconciler.firewall.policy import PublishedPort
from reconciler.observation import Facts
from reconciler.reach.packet import CLIENT_PORT, Packet, bare, network_of, within
from reconciler.reach.parties import HOST_WORD, Origin, destinations
from reconciler.reach.reaching import Reacher
from reconciler.reach.world import HOST, OUTSIDE
from reconciler.resources.joined import FOREIGN
from reconciler.state import State

Port = tuple[int, str]
"""Number and protocol."""

ANY_PORT: Final[Port] = (9, "tcp")
"""What stands for the ports of a container that names none (RFC 863: discard, which nobody publishes)."""


class Cell(NamedTuple):
    """``origin`` asks ``port`` of ``target``; containers as ``stack/name``. Port None: any that nothing is said of."""

    origin: str
    target: str
    port: Port | None

    @property
    def port_text(self) -> str:
        """``80/tcp``."""
        return f"{self.port[0]}/{self.port[1]}" if self.port else "any port"

    def __str__(self) -> str:
        return f"{self.origin} -> {self.target}:{self.port_text}"

    def record(self) -> dict[str, Any]:
        """For JSON."""
        number, protocol = self.port or (None, None)
        return {"from": self.origin, "to": self.target, "port": number, "protocol": protocol}


Matrix = Mapping[Cell, bool]
"""Whether the question of a cell is answered."""


@dataclass(frozen=True, slots=True)
class MatrixDifference:
    """What becomes reachable and what stops being so, sorted."""

    opened: tuple[Cell, ...] = ()
    closed: tuple[Cell, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.opened or self.closed)


def matrix_difference(before: Matrix, after: Matrix) -> MatrixDifference:
    """What changes from one matrix to the other; who or what is only in one of them is not reachable in the other."""
    opened = (cell for cell in after if after[cell] and not _reached(cell, before))
    closed = (cell for cell in before if before[cell] and not _reached(cell, after))
    return MatrixDifference(tuple(sorted(opened, key=str)), tuple(sorted(closed, key=str)))


def _reached(cell: Cell, matrix: Matrix) -> bool:
    """Whether it is so there too; where certain ports are spoken of, nothing is said of any other."""
    if cell.port or cell in matrix:
        return matrix.get(cell, False)
    return any(each.origin == cell.origin and each.target == cell.target for each in matrix)


def matrix(state: State, facts: Facts, declared: Mapping[str, Iterable[Port]] | None = None) -> Matrix:
    """All pairs of containers, host and outside, for all ports that are published or opened, and those ``declared``.

    ``declared``: by container (``stack/name``), what it exposes or listens on beside that.
    """
    return _Table(Reacher(state, facts), declared or {}).cells()


class _Table:
    def __init__(self, reacher: Reacher, declared: Mapping[str, Iterable[Port]]) -> None:
        self._reacher = reacher
        self._world = reacher.world
        self._known: dict[tuple[object, ...], bool] = {}
        self._limits = sorted(_subnets_spoken_of(reacher))
        self._ports = self._ports_by_target(declared)
        self._kinds: dict[str, int] = {}
        self._numbers: dict[tuple[object, ...], int] = {}
        self._routed: defaultdict[str, list[tuple[object, ...]]] = defaultdict(list)
        for (address, *port), published in sorted(reacher.rules.routed.items()):
            self._routed[address].append((*port, published.sources))

    def cells(self) -> dict[Cell, bool]:
        """Every question with its answer."""
        origins = [Origin(self._world.homes[each]) for each in sorted(self._world.homes)]
        named = [
            *zip(sorted(self._world.homes), origins, strict=True),
            (HOST_WORD, Origin(HOST)),
            (OUTSIDE, Origin(OUTSIDE)),
        ]
        found = {}
        for target, ports in self._ports.items():
            for name, origin in named:
                if (name != target or name == HOST_WORD) and not origin.place.startswith(FOREIGN):
                    for port in ports:
                        found[Cell(name, target, port)] = self._answer(origin, target, port)
        return found

    def _ports_by_target(self, declared: Mapping[str, Iterable[Port]]) -> dict[str, list[Port | None]]:
        rules, homes = self._reacher.rules, self._world.homes
        found: defaultdict[str, set[Port]] = defaultdict(set)
        for port in (*rules.ports.values(), *rules.routed.values()):
            found[port.container].add((port.target_port, port.protocol))
            if not port.routed:
                found[HOST_WORD].add((port.host_port, port.protocol))
        for opening in rules.openings:
            found[HOST_WORD].add((opening.first, opening.protocol))
            found[opening.container].add((opening.first, opening.protocol))
        for container, ports in declared.items():
            found[container].update(ports)
        targets = (*(each for each in sorted(homes) if not homes[each].startswith(FOREIGN)), HOST_WORD)
        return {target: [*sorted(found[target])] if found[target] else [None] for target in targets}

    def _answer(self, origin: Origin, target: str, port: Port | None) -> bool:
        """Asked once for all containers that stand alike, on either side."""
        question = (self._kind(origin.place), *self._aim(origin, target, port))
        if question not in self._known:
            self._known[question] = self._asked(origin, target, port or ANY_PORT)
        return self._known[question]

    def _asked(self, origin: Origin, target: str, port: Port) -> bool:
        number, protocol = port
        found = destinations(self._world, self._reacher.rules, origin, target, port)
        questions = (Packet(protocol, "", CLIENT_PORT, address, number) for address in found)
        return any(self._reacher.ask(origin, question).reachable for question in questions)

    def _aim(self, origin: Origin, target: str, port: Port | None) -> tuple[object, ...]:
        """What of the question counts beside who asks."""
        place = self._world.homes.get(target, HOST)
        if place == HOST and port is not None:
            led = self._led(origin, port)
            if led:
                return (*led, port[1])
        return (self._kind(place), place == origin.place, port)

    def _led(self, origin: Origin, port: Port) -> tuple[object, ...]:
        """Where a port of the host leads: ports that lead to the like of each other are reached alike."""
        rules, (number, protocol) = self._reacher.rules, port
        if any(opening.protocol == protocol and opening.first <= number <= opening.last for opening in rules.openings):
            return ()
        return tuple(
            (each.host_address, each.sources, each.target_port, *self._stand(origin, each.target_address))
            for each in rules.by_number.get((protocol, number), ())
        )

    def _stand(self, origin: Origin, address: str) -> tuple[object, ...]:
        """Which kind of container has that address, on which of its interfaces, and whether it asks itself."""
        found = []
        for place in sorted(self._world.owners.get(address, ())):
            names = [
                each.name for each in self._world.interfaces[place].values() if address in map(bare, each.addresses)
            ]
            found.append((self._kind(place), tuple(names), place == origin.place))
        return tuple(found)

    def _kind(self, place: str) -> int:
        """A number for all places that differ in nothing but their very addresses."""
        if place not in self._kinds:
            made = (place,) if place in {HOST, OUTSIDE} else self._made_kind(place)
            self._kinds[place] = self._numbers.setdefault(made, len(self._numbers))
        return self._kinds[place]

    def _made_kind(self, place: str) -> tuple[object, ...]:
        world = self._world
        interfaces = tuple(
            (
                *(each.name, each.segment, each.kind, each.mode, each.trouble, each.hairpin),
                *(number for number, address in enumerate(each.addresses) if self._world.is_unrouted(each, address)),
                tuple(map(self._traits, each.addresses)),
            )
            for each in world.interfaces[place].values()
        )
        routes = sorted((r.destination, r.gateway, r.interface, r.metric, r.kind) for r in world.routes.get(place, ()))
        by_source = tuple(
            (r.interface, r.gateway, r.whole, self._traits(r.address)) for r in world.source_routes.get(place, ())
        )
        forwards = tuple(world.forwards(place, family) is not None for family in (4, 6))
        sandbox, router = world.sandboxes.get(place), world.routers.get(place)
        lives = (place in world.gone, sandbox is None or sandbox.up)
        return (interfaces, tuple(routes), by_source, forwards, lives, router and router.intact)

    def _traits(self, address: str) -> tuple[object, ...]:
        """Its subnet, which of those that anything is said of it lies in, and which of its ports are open there."""
        plain = bare(address)
        return (network_of(address), tuple(within(plain, subnet) for subnet in self._limits), *self._routed[plain])


def _subnets_spoken_of(reacher: Reacher) -> set[str]:
    """What a rule or a route says something of: addresses in and out of them are not treated alike."""
    rules, world = reacher.rules, reacher.world
    limited: list[PublishedPort | Opening] = [*rules.ports.values(), *rules.routed.values(), *rules.openings]
    routes = [route for routes in world.routes.values() for route in routes]
    return {
        *(source for each in limited for source in each.sources),
        *(route.destination for route in routes if not route.destination.endswith("/0")),
    }
