"""Host ports: fixed ones first, then what is there, then free choices by hash; conflicts judged as the kernel does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from reconciler.desired.known import Known
from reconciler.desired.members import Member
from reconciler.desired.subnet import in_hash_order
from reconciler.errors import Problem, Source
from reconciler.firewall.policy import PublishedPort
from reconciler.manifest.model import PortMapping

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


@dataclass(slots=True)
class _Claims:
    """Who holds which host port. Two claims meet where one address is the other's or a wildcard."""

    holders: dict[tuple[int, str, int], list[tuple[str, str, Source | None]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def conflict(self, family: int, protocol: str, address: str, port: int) -> tuple[str, Source | None] | None:
        for held, holder, source in self.holders.get((family, protocol, port), ()):
            if held == address or _WILDCARD[family] in {held, address}:
                return holder, source
        return None

    def add(self, family: int, protocol: str, address: str, port: int, holder: str, source: Source | None) -> None:
        self.holders[family, protocol, port].append((address, holder, source))


def publish(wishes: Iterable[Wish], known: Known, problems: list[Problem]) -> list[PublishedPort]:
    """Every published port of the run, host ports dealt out."""
    claims = _claims_of_others(known)
    foreign = _foreign(known)
    present = {port.key for ports in known.ports.values() for port in ports}
    fixed, free = [], []
    for wish in sorted(wishes, key=lambda wish: (wish.container, wish.mapping.target, wish.mapping.protocol)):
        span = wish.mapping.published
        (fixed if span and span[0] == span[1] else free).append(wish)
    chosen: list[tuple[Wish, int]] = []
    for wish in fixed:
        port = wish.mapping.published[0] if wish.mapping.published else 0
        if _claim_fixed(wish, port, claims, foreign, present, problems):
            chosen.append((wish, port))
    waiting = []
    for wish in free:
        kept = _present_port(wish, known, claims)
        if kept:
            _claim(wish, kept, claims)
            chosen.append((wish, kept))
        else:
            waiting.append(wish)
    for wish in waiting:
        port = _choose(wish, known, claims, foreign, problems)
        if port:
            chosen.append((wish, port))
    return [published for wish, port in chosen for published in _resources(wish, port)]


def _claims_of_others(known: Known) -> _Claims:
    claims = _Claims()
    for ports in known.ports.values():
        for port in ports:
            if port.owner not in known.scope and not port.routed:
                claims.add(port.family, port.protocol, port.host_address, port.host_port, port.container, None)
    return claims


def _foreign(known: Known) -> _Claims:
    claims = _Claims()
    for listener in known.observation.facts.listeners:
        family = 6 if ":" in listener.address else 4
        claims.add(family, listener.protocol, listener.address, listener.port, listener.process, None)
    return claims


def _claim(wish: Wish, port: int, claims: _Claims) -> None:
    for family, address in wish.hosts():
        holder = f"container {wish.container.partition('/')[2]}"
        claims.add(family, wish.mapping.protocol, address, port, holder, wish.mapping.source)


def _claim_fixed(
    wish: Wish, port: int, claims: _Claims, foreign: _Claims, present: set[object], problems: list[Problem]
) -> bool:
    mapping = wish.mapping
    for family, address in wish.hosts():
        found = claims.conflict(family, mapping.protocol, address, port)
        if found:
            holder, source = found
            where = f"; first at {source} ({holder})" if source else f" by {holder}"
            message = f"port {port}/{mapping.protocol} is published twice{where}" if source else (
                f"port {port}/{mapping.protocol} is already published{where}"
            )
            problems.append(Problem(message, mapping.source, "give one of them another host port"))
            return False
        taken = foreign.conflict(family, mapping.protocol, address, port)
        if taken and not any(published.key in present for published in _resources(wish, port)):
            message = f"port {port}/{mapping.protocol} of the host is in use by {taken[0]}"
            problems.append(Problem(message, mapping.source, "stop it, or publish another host port"))
            return False
    _claim(wish, port, claims)
    return True


def _free(wish: Wish, port: int, *claims: _Claims) -> bool:
    return not any(
        held.conflict(family, wish.mapping.protocol, address, port) for held in claims for family, address in wish.hosts()
    )


def _present_port(wish: Wish, known: Known, claims: _Claims) -> int | None:
    """The host port that this very mapping has already."""
    hosts = {address for _, address in wish.hosts()}
    first, last = wish.mapping.published or (1, 65535)
    for port in known.ports.get(wish.container, ()):
        same = (port.target_port, port.protocol) == (wish.mapping.target, wish.mapping.protocol)
        inside = port.host_address in hosts and first <= port.host_port <= last
        if same and inside and not port.routed and _free(wish, port.host_port, claims):
            return port.host_port
    return None


def _choose(
    wish: Wish, known: Known, claims: _Claims, foreign: _Claims, problems: list[Problem]
) -> int | None:
    mapping = wish.mapping
    if not wish.hosts():
        return mapping.target
    first, last = mapping.published or known.observation.facts.ephemeral_ports
    names = (wish.container, str(mapping.target), mapping.protocol, mapping.host_address or "")
    # A range that was given is filled from its beginning; a dynamic port is a hash of names.
    order = range(first, last + 1) if mapping.published else in_hash_order(first, last, "port", *names)
    for port in order:
        if _free(wish, port, claims, foreign):
            _claim(wish, port, claims)
            return port
    message = f"no free host port between {first} and {last} for {mapping.target}/{mapping.protocol}"
    problems.append(Problem(message, mapping.source, "widen the range"))
    return None


def _resources(wish: Wish, port: int) -> list[PublishedPort]:
    mapping = wish.mapping
    return [
        PublishedPort(
            owner=wish.container.partition("/")[0],
            container=wish.container,
            protocol=mapping.protocol,
            host_address=exit_.address if exit_.routed else mapping.host_address or exit_.binding,
            host_port=mapping.target if exit_.routed else port,
            target_address=exit_.address,
            target_port=mapping.target,
            routed=exit_.routed,
            source=mapping.source,
        )
        for exit_ in wish.exits
    ]


def exits_of(members: list[Member], mapping: PortMapping) -> tuple[Exit, ...]:
    """The ways to reach a container's port: in each family through its first network that leads outside."""
    exits = []
    wanted = _family_of(mapping.host_address)
    for family in (4, 6):
        if wanted not in {None, family}:
            continue
        member = next((m for m in members if family in m.addresses and not m.network.internal), None)
        if member is None:
            continue
        options = member.network.options
        mode = options.gateway_mode_ipv4 if family == 4 else options.gateway_mode_ipv6  # noqa: PLR2004  # the family
        if mode == "isolated":
            continue
        binding = options.host_binding_ipv4 if family == 4 and options.host_binding_ipv4 else _WILDCARD[family]  # noqa: PLR2004  # the family
        exits.append(Exit(family, member.addresses[family].partition("/")[0], binding, mode == "routed"))
    return tuple(exits)


def _family_of(address: str | None) -> int | None:
    if address is None:
        return None
    return 6 if ":" in address else 4
