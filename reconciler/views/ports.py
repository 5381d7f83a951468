"""The published ports of containers, as people and programs ask for them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconciler.errors import NetapplyError
from reconciler.firewall.policy import PublishedPort
from reconciler.state import State

_WANTED = re.compile(r"(?P<number>[0-9]{1,5})(?:/(?P<protocol>tcp|udp|sctp))?", re.ASCII)
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True, order=True)
class PublishedView:
    """One way to a container's port ``target`` from outside; the fields are those of the JSON contract.

    ``host_ip`` is ``0.0.0.0`` or ``::`` for every address of the host in that family. Where
    the network routes instead of translating, it is the container's own address.
    """

    host_ip: str
    published: int
    target: int
    protocol: str

    @property
    def inside(self) -> str:
        """``80/tcp``."""
        return f"{self.target}/{self.protocol}"

    @property
    def outside(self) -> str:
        """``0.0.0.0:32768``, ``[::]:32768``."""
        return f"{_bracketed(self.host_ip)}:{self.published}"


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a host port leads to: ``container`` is ``stack/name``."""

    container: str
    port: PublishedView

    @property
    def inside(self) -> str:
        """``shop/web:80/tcp``."""
        return f"{self.container}:{self.port.inside}"


@dataclass(frozen=True, slots=True)
class WantedPort:
    """A port that somebody asks about; ``protocol`` None: of any protocol."""

    number: int
    protocol: str | None

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol}" if self.protocol else str(self.number)

    def is_met_by(self, number: int, protocol: str) -> bool:
        """Whether that port is the one asked about."""
        return number == self.number and self.protocol in {None, protocol}


def wanted_port(text: str) -> WantedPort:
    """``80`` or ``80/tcp``. Raises NetapplyError for anything else."""
    match = _WANTED.fullmatch(text)
    if match is None or not 0 < int(match["number"]) <= _LAST_PORT:
        raise NetapplyError.of(f"{text!r} is not a port", hint="write it as PORT or PORT/PROTOCOL: 80, 53/udp")
    return WantedPort(int(match["number"]), match["protocol"])


def ports_by_container(state: State) -> dict[str, tuple[PublishedView, ...]]:
    """The published ports of every container (``stack/name``) that has any, by target."""
    found: defaultdict[str, list[PublishedView]] = defaultdict(list)
    for port in state:
        if isinstance(port, PublishedPort):
            found[port.container].append(_view(port))
    return {container: tuple(sorted(ports, key=_reading_order)) for container, ports in found.items()}


def holders(state: State, wanted: WantedPort) -> tuple[Holder, ...]:
    """Which containers that port of the host leads to; several where it is published on single addresses."""
    found = [
        Holder(port.container, _view(port))
        for port in state
        if isinstance(port, PublishedPort) and not port.routed and wanted.is_met_by(port.host_port, port.protocol)
    ]
    return tuple(sorted(found, key=lambda holder: (holder.container, _reading_order(holder.port))))


def summary(ports: Sequence[PublishedView]) -> str:
    """``0.0.0.0:8080->80/tcp, [::]:8080->80/tcp``; neighbours are drawn together: ``0.0.0.0:80-99->80-99/tcp``."""
    ordered = sorted(ports, key=lambda port: (port.protocol, port.host_ip, port.target, port.published))
    return ", ".join(_span(first, last) for first, last in _spans(ordered))


def _spans(ordered: Iterable[PublishedView]) -> list[tuple[PublishedView, PublishedView]]:
    spans: list[tuple[PublishedView, PublishedView]] = []
    for port in ordered:
        if spans and _follows(spans[-1][1], port):
            spans[-1] = (spans[-1][0], port)
        else:
            spans.append((port, port))
    return sorted(spans, key=lambda span: _reading_order(span[0]))


def _follows(last: PublishedView, port: PublishedView) -> bool:
    next_one = PublishedView(last.host_ip, last.published + 1, last.target + 1, last.protocol)
    return port == next_one


def _span(first: PublishedView, last: PublishedView) -> str:
    if first == last:
        return f"{first.outside}->{first.inside}"
    return f"{first.outside}-{last.published}->{first.target}-{last.target}/{first.protocol}"


def _view(port: PublishedPort) -> PublishedView:
    return PublishedView(port.host_address, port.host_port, port.target_port, port.protocol)


def _reading_order(port: PublishedView) -> tuple[int, str, bool, str, int]:
    return (port.target, port.protocol, ":" in port.host_ip, port.host_ip, port.published)


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
