"""Host ports: fixed ones first, then what is there, then free choices by hash; conflicts judged as the kernel does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from reconciler.desired.drivers import DRIVERS
from reconciler.desired.known import Known
from reconciler.desired.members import Member
from reconciler.desired.subnet import in_hash_order
from reconciler.errors import Problem, Source
from reconciler.firewall.policy import PublishedPort
from reconciler.firewall.spans import of_family
from reconciler.manifest.model import PortMapping

_LAST_PORT = 65535
_WILDCARD = {4: "0.0.0.0", 6: "::"}  # noqa: S104  # what a port is published on, nothing is bound here


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container meets the outside in one family: its address there, and what the network says of ports."""

    family: int
    address: str
    binding: str
    routed: bool


@dataclass(frozen=True, slots=True)
class Wish:
    """One port mapping of one container with the ways that it is to be reached."""

    container: str
    mapping: PortMapping
    exits: tuple[Exit, ...]

    def hosts(self) -> list[tuple[int, str]]:
        """Family and host address of each binding that it asks for."""
        return [(exit_.family, self.mapping.host_address or exit_.binding) for exit_ in self.exits if not exit_.routed]

    def published(self, port: int) -> list[PublishedPort]:
        """What it becomes with that port of the host."""
        return [
            PublishedPort(
                owner=self.container.partition("/")[0],
                container=self.container,
                protocol=self.mapping.protocol,
                host_address=exit_.address if exit_.routed else self.mapping.host_address or exit_.binding,
                host_port=self.mapping.target if exit_.routed else port,
                target_address=exit_.address,
                target_port=self.mapping.target,
                routed=exit_.routed,
                source=self.mapping.source,
                sources=of_family(self.mapping.sources, exit_.family),
            )
            for exit_ in self.exits
        ]


@dataclass(frozen=True, slots=True)
class _Holder:
    """Who has a port on which address, in words, and the place where it is asked for."""

    address: str
    name: str
    source: Source | None = None


class _Claims:
    """Who holds which host port. Two claims meet where one address is the other's or a wildcard."""

    def __init__(self) -> None:
        self._holders: dict[tuple[int, str, int], list[_Holder]] = defaultdict(list)

    def conflict(self, family: int, protocol: str, address: str, port: int) -> _Holder | None:
        for holder in self._holders.get((family, protocol, port), ()):
            if holder.address == address or _WILDCARD[family] in {holder.address, address}:
                return holder
        return None

    def add(self, family: int, protocol: str, port: int, holder: _Holder) -> None:
        self._holders[family, protocol, port].append(holder)


def publish(
    wishes: Iterable[Wish], known: Known, problems: list[Problem], listening: Iterable[tuple[str, str, int]] = ()
) -> list[PublishedPort]:
    """Every published port of the run, host ports dealt out.

    No free choice falls on what containers of the run say that they listen on in the host's network: ``listening`` are
    protocol, address and port. A fixed port that meets one of them is judged elsewhere.
    """
    dealer = _Dealer(known, problems, listening)
    fixed: list[Wish] = []
    free: list[Wish] = []
    for wish in sorted(wishes, key=_order):
        span = wish.mapping.published
        (fixed if span and span[0] == span[1] else free).append(wish)
    dealt = [(wish, dealer.take(wish)) for wish in fixed]
    kept = [(wish, dealer.keep(wish)) for wish in free]
    waiting = [wish for wish, port in kept if port is None]
    dealt += [*kept, *((wish, dealer.choose(wish)) for wish in waiting)]
    # Two mappings of one port that is open at its own address are the same.
    found = {published.key: published for wish, port in dealt if port is not None for published in wish.published(port)}
    return list(found.values())


def _order(wish: Wish) -> tuple[int, str, int, str, str]:
    # The range that ends first chooses first: so every range finds a port if any choice serves all of them.
    mapping = wish.mapping
    last = mapping.published[1] if mapping.published else _LAST_PORT + 1
    return (last, wish.container, mapping.target, mapping.protocol, mapping.host_address or "")


class _Dealer:
    """Deals out host ports, beside what other stacks and foreign programs hold."""

    def __init__(self, known: Known, problems: list[Problem], listening: Iterable[tuple[str, str, int]]) -> None:
        self._known = known
        self._problems = problems
        self._claims = _Claims()
        self._foreign = _Claims()
        self._listening = _Claims()
        for protocol, address, number in listening:
            self._listening.add(6 if ":" in address else 4, protocol, number, _Holder(address, "a listener"))
        for ports in known.ports.values():
            for port in ports:
                if port.owner not in known.scope and not port.routed:
                    holder = _Holder(port.host_address, f"container {port.container}")
                    self._claims.add(port.family, port.protocol, port.host_port, holder)
        for listener in known.observation.facts.listeners:
            family = 6 if ":" in listener.address else 4
            holder = _Holder(listener.address, listener.process)
            self._foreign.add(family, listener.protocol, listener.port, holder)

    def take(self, wish: Wish) -> int | None:
        """The fixed port of a mapping; None, and a problem, where somebody else has it."""
        mapping = wish.mapping
        port = mapping.published[0] if mapping.published else mapping.target
        what = f"port {port}/{mapping.protocol}"
        other = self._conflict(self._claims, wish, port)
        if other and other.source:
            message, hint = (
                f"{what} is published twice; first at {other.source} ({other.name})",
                "give one of them another host port",
            )
        elif other:
            message, hint = f"{what} is published already by {other.name}", "give one of them another host port"
        elif foreign := self._conflict(self._foreign, wish, port):
            message, hint = f"{what} of the host is in use by {foreign.name}", "stop it, or publish another host port"
        else:
            return self._claim(wish, port)
        self._problems.append(Problem(message, mapping.source, hint))
        return None

    def keep(self, wish: Wish) -> int | None:
        """The host port that this very mapping has already, if it may stay."""
        hosts = {address for _, address in wish.hosts()}
        first, last = wish.mapping.published or (1, _LAST_PORT)
        for port in self._known.ports.get(wish.container, ()):
            same = (port.target_port, port.protocol) == (wish.mapping.target, wish.mapping.protocol)
            inside = port.host_address in hosts and first <= port.host_port <= last
            if same and inside and not port.routed and self._free(wish, port.host_port):
                return self._claim(wish, port.host_port)
        return None

    def choose(self, wish: Wish) -> int | None:
        """A free port of the mapping's range, or of the kernel's for dynamic ports; None, and a problem, without one."""
        mapping = wish.mapping
        if not wish.hosts():
            return mapping.target
        first, last = mapping.published or self._known.observation.facts.ephemeral_ports
        names = (wish.container, str(mapping.target), mapping.protocol, mapping.host_address or "")
        # A range that was given is filled from its beginning; a dynamic port is a hash of names.
        order = range(first, last + 1) if mapping.published else in_hash_order(first, last, "port", *names)
        port = next((port for port in order if self._free(wish, port)), None)
        if port is None:
            message = f"no free host port between {first} and {last} for {mapping.target}/{mapping.protocol}"
            self._problems.append(Problem(message, mapping.source, "widen the range"))
            return None
        return self._claim(wish, port)

    def _claim(self, wish: Wish, port: int) -> int:
        name = f"container {wish.container.partition('/')[2]}"
        for family, address in wish.hosts():
            self._claims.add(family, wish.mapping.protocol, port, _Holder(address, name, wish.mapping.source))
        return port

    def _free(self, wish: Wish, port: int) -> bool:
        return not any(self._conflict(each, wish, port) for each in (self._claims, self._foreign, self._listening))

    def _conflict(self, claims: _Claims, wish: Wish, port: int) -> _Holder | None:
        for family, address in wish.hosts():
            holder = claims.conflict(family, wish.mapping.protocol, address, port)
            if holder and not (claims is self._foreign and self._is_ours(wish, port, address)):
                return holder
        return None

    def _is_ours(self, wish: Wish, port: int, address: str) -> bool:
        """Whether the container has that very port already: then whoever else is seen there does not hinder it."""
        wanted = (wish.mapping.protocol, address, port)
        ports = self._known.ports.get(wish.container, ())
        return any((held.protocol, held.host_address, held.host_port) == wanted for held in ports)


def exits_of(members: list[Member], mapping: PortMapping) -> tuple[Exit, ...]:
    """The ways to reach a container's port: in each family through its first network that leads outside."""
    exits = []
    wanted = _family_of(mapping.host_address)
    for family in (4, 6):
        if wanted not in {None, family} or not _lets_in(mapping, family):
            continue
        member = _exit_member(family, members)
        if member is None:
            continue
        options = member.network.options
        mode = {4: options.gateway_mode_ipv4, 6: options.gateway_mode_ipv6}[family]
        if mode == "isolated":
            continue
        binding = {4: options.host_binding_ipv4, 6: None}[family] or _WILDCARD[family]
        exits.append(Exit(family, member.addresses[family].partition("/")[0], binding, mode == "routed"))
    return tuple(exits)


def _lets_in(mapping: PortMapping, family: int) -> bool:
    """Whether its sources name anybody of that family; if not, nothing is published there."""
    return not mapping.sources or any((":" in source) == (family == 6) for source in mapping.sources)  # noqa: PLR2004  # the family


def _exit_member(family: int, members: list[Member]) -> Member | None:
    outward = (member for member in members if family in member.addresses and not member.network.internal)
    return next((member for member in outward if DRIVERS[member.network.driver].PUBLISHES), None)


def faults_of_exits(members: list[Member], mapping: PortMapping) -> Iterator[Problem]:
    """Why a port cannot be published as asked, where the container stands on a LAN with an address of its own."""
    if not members:
        return
    name, wanted = members[0].spec.name, _family_of(mapping.host_address)
    families = [family for family in (4, 6) if wanted in {None, family}]
    lan = next((m for m in members if m.network.on_parent and not m.network.internal and m.addresses), None)
    if lan and not any(_exit_member(family, members) for family in families):
        address = next(iter(lan.addresses.values())).partition("/")[0]
        message = f"container {name} cannot publish port {mapping.target}/{mapping.protocol}: on network "
        message += f"{lan.network.name} ({lan.network.driver}) it has an address of its own, and what comes passes by "
        hint = f"remove the port, and ask {address} for {mapping.target}; or join a network of driver bridge too"
        yield Problem(message + "this host", mapping.source, hint)


def _family_of(address: str | None) -> int | None:
    if address is None:
        return None
    return 6 if ":" in address else 4
