"""Declared listeners of containers that share one network namespace: no two can have one port.

In the host's namespace, nor can one have what is published, or an address that leads to a container.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from reconciler.desired.known import Known
from reconciler.desired.wired import Wired
from reconciler.errors import Problem, Source
from reconciler.firewall.policy import PublishedPort
from reconciler.firewall.translation import FloatingPolicy
from reconciler.manifest.model import Container, Listen
from reconciler.resources.process import process_key
from reconciler.state import Resource

_ANY = ("0.0.0.0", "::")  # noqa: S104  # compared, nothing is bound


@dataclass(frozen=True, slots=True)
class _Claim:
    """One declared listener, and whose it is."""

    wired: Wired
    address: str
    listen: Listen

    @property
    def place(self) -> Source | None:
        return self.listen.source or self.wired.spec.source


def check_listeners(wired: Sequence[Wired], known: Known, problems: list[Problem]) -> None:
    """A problem for each pair that wants one address and port, and for a port of the host that somebody else has.

    A wildcard meets every address of its family (bind(2), EADDRINUSE).
    """
    taken: dict[tuple[str, str, int], list[_Claim]] = defaultdict(list)
    told: dict[Problem, None] = {}
    for each in wired:
        for claim in _claims(each):
            holders = taken[each.namespace, claim.listen.protocol, claim.listen.port]
            other = next((held for held in holders if held.wired is not each and _meet(held, claim)), None)
            if other:
                # Two that listen on every address meet in both families.
                told[_collision(claim, other)] = None
            holders.append(claim)
    problems.extend(told)
    for (namespace, protocol, port), claims in taken.items():
        if not namespace:
            _check_foreign(protocol, port, claims, known, problems)


def check_published(
    wired: Sequence[Wired], resources: Iterable[Resource], known: Known, problems: list[Problem]
) -> None:
    """A problem for each listener in the host's network whose port is published or whose address leads elsewhere.

    ``resources`` are those of the run. A published port is held for its container, and what comes to a floating
    address goes to its own.
    """
    claims = [claim for each in wired if not each.namespace for claim in _claims(each)]
    if not claims:
        return
    ports: dict[tuple[str, int], list[PublishedPort]] = defaultdict(list)
    floating: dict[str, FloatingPolicy] = {}
    for resource in (*resources, *known.others):
        if isinstance(resource, PublishedPort) and not resource.routed:
            ports[resource.protocol, resource.host_port].append(resource)
        elif isinstance(resource, FloatingPolicy):
            floating[resource.address] = resource
    told: dict[Problem, None] = {}
    for claim in claims:
        for port in ports[claim.listen.protocol, claim.listen.port]:
            if _overlap(port.host_address, claim.address):
                what = f"port {port.host_port}/{port.protocol} of the host, where container {claim.wired.spec.name} is"
                what = f"{what} to listen, is published for container {port.container}{_at(port.source)}"
                told[Problem(what, claim.place, "let it listen elsewhere, or publish another host port")] = None
        policy = floating.get(claim.address)
        if policy:
            what = f"{claim.address}, where container {claim.wired.spec.name} is to listen, is the floating address"
            what = f"{what} of container {policy.container}{_at(policy.source)}, which gets all that comes there"
            told[Problem(what, claim.place, "let it listen on another address of the host")] = None
    problems.extend(told)


def listening_on_host(wired: Sequence[Wired]) -> Iterator[tuple[str, str, int]]:
    """Protocol, address and port of what is declared to listen in the host's network."""
    for each in wired:
        if not each.namespace:
            yield from ((claim.listen.protocol, claim.address, claim.listen.port) for claim in _claims(each))


def _at(source: Source | None) -> str:
    return f", at {source}" if source else ""


def declared_listens(container: Container) -> Iterator[Listen]:
    """What is declared to listen: ``listen``, and what is exposed, on every address.

    A listener that is given with its address says more exactly what ``expose`` says too.
    """
    yield from container.listen
    exact = {(listen.protocol, listen.port) for listen in container.listen}
    for entry in container.expose:
        span, _, protocol = entry.partition("/")
        first, _, last = span.partition("-")
        for port in range(int(first), int(last or first) + 1):
            if (protocol or "tcp", port) not in exact:
                yield Listen(port, protocol or "tcp", source=container.source)


def _claims(wired: Wired) -> Iterator[_Claim]:
    for listen in declared_listens(wired.spec):
        for address in (listen.address,) if listen.address else _ANY:
            yield _Claim(wired, address, listen)


def _meet(first: _Claim, second: _Claim) -> bool:
    return _overlap(first.address, second.address)


def _overlap(first: str, second: str) -> bool:
    """Whether sockets on both would take the same packets; an address of one family meets none of the other's."""
    same_family = (":" in first) == (":" in second)
    return same_family and (first == second or bool({first, second} & set(_ANY)))


def _collision(claim: _Claim, other: _Claim) -> Problem:
    port = f"{claim.listen.port}/{claim.listen.protocol}"
    where = "the host's network" if not claim.wired.namespace else f"the network of {claim.wired.namespace}"
    first, second = other.wired.spec.name, claim.wired.spec.name
    message = f"containers {first} and {second} both listen on port {port} in {where}; first at {other.place}"
    hint = "let each listen on an address of its own (listen: [ADDRESS:PORT]), or give one another port"
    return Problem(message, claim.place, hint)


def _check_foreign(protocol: str, port: int, claims: list[_Claim], known: Known, problems: list[Problem]) -> None:
    for listener in known.observation.facts.listeners:
        if (listener.protocol, listener.port) != (protocol, port):
            continue
        for claim in claims:
            # Of one that runs already, the listener is most likely its own.
            runs = process_key(claim.wired.identity) in known.observation.state
            if _overlap(listener.address, claim.address) and not runs:
                message = f"port {port}/{protocol} of the host, where container {claim.wired.spec.name} is to listen, "
                message += f"is in use by {listener.process}"
                problems.append(Problem(message, claim.place, "stop it, or let one of them listen elsewhere"))
                return
