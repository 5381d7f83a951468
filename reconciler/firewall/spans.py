"""Spans of ports with who may use them, and unions of them in which nothing overlaps."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from itertools import pairwise
from typing import NamedTuple


class OpenSpan(NamedTuple):
    """Ports ``first`` to ``last``; ``sources``: subnets, empty: from everywhere."""

    protocol: str
    first: int
    last: int
    sources: tuple[str, ...] = ()


def disjoint(spans: Iterable[OpenSpan]) -> list[OpenSpan]:
    """The same ports to the same sources, in spans of which no two have a port in common.

    Where spans do not overlap they stay as they are. Sorted by protocol and port.
    """
    found: list[OpenSpan] = []
    by_protocol: dict[str, list[OpenSpan]] = {}
    for span in spans:
        by_protocol.setdefault(span.protocol, []).append(span)
    for protocol in sorted(by_protocol):
        found += _of_protocol(protocol, sorted(set(by_protocol[protocol])))
    return found


def _of_protocol(protocol: str, spans: list[OpenSpan]) -> Iterator[OpenSpan]:
    edges = sorted({edge for span in spans for edge in (span.first, span.last + 1)})
    pieces = [(first, end - 1, [s for s in spans if s.first <= first < s.last + 1]) for first, end in pairwise(edges)]
    for first, last, covering in _joined(pieces):
        every = any(not span.sources for span in covering)
        sources = () if every else collapsed(source for span in covering for source in span.sources)
        yield OpenSpan(protocol, first, last, sources)


def _joined(pieces: list[tuple[int, int, list[OpenSpan]]]) -> Iterator[tuple[int, int, list[OpenSpan]]]:
    """The pieces that somebody covers; neighbours that the same ones cover are one."""
    current: tuple[int, int, list[OpenSpan]] | None = None
    for first, last, covering in pieces:
        if current and current[2] == covering:
            current = (current[0], last, covering)
            continue
        if current and current[2]:
            yield current
        current = (first, last, covering)
    if current and current[2]:
        yield current


def outermost(subnets: Collection[str]) -> Iterator[str]:
    """Those that lie in no other of them; neighbours stay two."""
    for version in (4, 6):
        last: IPv4Network | IPv6Network | None = None
        networks = (network for subnet in subnets if (network := ip_network(subnet)).version == version)
        for network in sorted(networks, key=lambda each: (each.network_address, each.prefixlen)):
            # Sorted so, whatever holds others comes right before them.
            if last is None or not network.overlaps(last):
                last = network
                yield str(network)


def collapsed(subnets: Iterable[str]) -> tuple[str, ...]:
    """The same addresses in as few subnets as can be, IPv4 first, each family sorted.

    All of one family is two halves, since iptables does not tell it from no limit at all; all
    of both families is no limit: nothing.
    """
    networks: list[IPv4Network | IPv6Network] = [ip_network(subnet, strict=False) for subnet in subnets]
    four = list(collapse_addresses(n for n in networks if isinstance(n, IPv4Network)))
    six = list(collapse_addresses(n for n in networks if isinstance(n, IPv6Network)))
    if four and six and not four[0].prefixlen and not six[0].prefixlen:
        return ()
    networks = [*four, *six]
    return tuple(str(half) for network in networks for half in _halves(network))


def of_family(subnets: Iterable[str], family: int) -> tuple[str, ...]:
    """Those of one family (4 or 6), as few as can be; all of it is no limit: nothing."""
    found = collapsed(subnet for subnet in subnets if (":" in subnet) == (family == 6))  # noqa: PLR2004  # the family
    return () if sum(1 for subnet in found if subnet.endswith("/1")) == 2 else found  # noqa: PLR2004  # both halves


def ordered(subnets: Iterable[str]) -> tuple[str, ...]:
    """The subnets as they are, in the order of ``collapsed``."""
    found = [ip_network(subnet, strict=False) for subnet in subnets]
    return tuple(
        str(each) for each in sorted(found, key=lambda network: (network.version, int(network[0]), network.prefixlen))
    )


def _halves(network: IPv4Network | IPv6Network) -> list[IPv4Network | IPv6Network]:
    return [network] if network.prefixlen else list(network.subnets())
