"""Declared listeners of containers that share one network namespace: no two can have one port."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reconciler.desired.known import Known
from reconciler.desired.wired import Wired
from reconciler.errors import Problem, Source
from reconciler.manifest.model import Container, Listen
from reconciler.resources.process import process_key

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
    for each in wired:
        for claim in _claims(each):
            holders = taken[each.namespace, claim.listen.protocol, claim.listen.port]
            other = next((held for held in holders if held.wired is not each and _meet(held, claim)), None)
            if other:
                problems.append(_collision(claim, other))
            holders.append(claim)
    for (namespace, protocol, port), claims in taken.items():
        if not namespace:
            _check_foreign(protocol, port, claims, known, problems)


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
    if (":" in first.address) != (":" in second.address):
        return False
    return first.address == second.address or bool({first.address, second.address} & set(_ANY))


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
            same = listener.address == claim.address or listener.address in _ANY or claim.address in _ANY
            family = (":" in listener.address) == (":" in claim.address)
            if same and family and not runs:
                message = f"port {port}/{protocol} of the host, where container {claim.wired.spec.name} is to listen, "
                message += f"is in use by {listener.process}"
                problems.append(Problem(message, claim.place, "stop it, or let one of them listen elsewhere"))
                return
