"""Host ports that are published twice, judged as the kernel judges two binds.

A wildcard meets every address of its family; the families are apart, because IPv6 sockets
of ours are bound IPv6-only.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from reconciler.errors import Source
from reconciler.manifest.faults import Faults
from reconciler.manifest.model import Container, Network, PortMapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_NOWHERE = Source("", 0, 0)
_WILDCARDS = {"0.0.0.0": 4, "::": 6}  # noqa: S104  # compared, never bound

Use = tuple[Container, PortMapping]
Binding = tuple[int, str | None]
"""Family, and the host's address or None for all of them."""


def check_ports(containers: Iterable[Container], networks: Mapping[str, Network], faults: Faults) -> None:
    """Note every port that is published twice, and every range to choose from that has no free port left."""
    claims: dict[tuple[str, int, int], dict[str | None, Use]] = defaultdict(dict)
    ranges: list[tuple[Use, list[Binding]]] = []
    for container in containers:
        for port in container.ports:
            if port.published is None:
                continue
            use = (container, port)
            if port.published[0] != port.published[1]:
                ranges.append((use, list(_bindings(container, port, networks))))
                continue
            clash = None
            for family, address in _bindings(container, port, networks):
                others = claims[port.protocol, port.published[0], family]
                clash = clash or _meets(others, address)
                others.setdefault(address, use)
            if clash:
                _note_clash(clash, use, faults)
    for use, bindings in ranges:
        _check_range(use, bindings, claims, faults)


def _meets(others: Mapping[str | None, Use], address: str | None) -> Use | None:
    if address is None:
        return next(iter(others.values()), None)
    return others.get(None) or others.get(address)


def _note_clash(one: Use, other: Use, faults: Faults) -> None:
    first, second = sorted((one, other), key=lambda use: use[1].source or _NOWHERE)
    host_port = second[1].published[0] if second[1].published else 0
    message = f"port {host_port}/{second[1].protocol} is published twice; "
    if first[1].source == second[1].source:
        # An anchor, or extends: the line is right, it is only there for both.
        both = " and ".join(f"'{use[0].name}' at {use[0].source}" for use in (first, second))
        hint = "take the ports out of what they share, or write ports: !override [] in one of them"
        faults.add(f"{message}this is the entry of containers {both}", second[1].source, hint)
        return
    again = f", again for container {second[0].name}" if first[0].name != second[0].name else ""
    message += f"first at {first[1].source} (container {first[0].name}){again}"
    faults.add(message, second[1].source, "give one of them another host port")


def _check_range(
    use: Use, bindings: list[Binding], claims: Mapping[tuple[str, int, int], Mapping[str | None, Use]], faults: Faults
) -> None:
    container, port = use
    first, last = port.published or (0, 0)
    for number in range(first, last + 1):
        if not any(_meets(claims.get((port.protocol, number, family), {}), address) for family, address in bindings):
            return
    message = f"every port from {first} to {last}/{port.protocol} is published by others"
    faults.add(f"{message}; container '{container.name}' has none to choose", port.source, "give a longer range")


def _bindings(container: Container, port: PortMapping, networks: Mapping[str, Network]) -> Iterator[Binding]:
    """Where on the host the port is bound: as told, else as the network that leads outside says."""
    given = port.host_address
    if given is not None:
        yield (_WILDCARDS[given], None) if given in _WILDCARDS else (6 if ":" in given else 4, given)
        return
    joined = [(each, networks[each.network]) for each in container.attachments if each.network in networks]
    # Docker's order of gateways: priority, those that lead outside, name.
    joined.sort(key=lambda pair: (-pair[0].gw_priority, pair[1].internal, pair[1].name))
    for family in (4, 6):
        outward = [network for _, network in joined if network.external or _leads_outside(network, family)]
        if not joined:
            yield family, None
        elif outward and _mode(outward[0], family).startswith("nat"):
            binding = outward[0].bridge.host_binding_ipv4
            yield family, None if family != 4 or binding in _WILDCARDS else binding  # noqa: PLR2004  # the family


def _leads_outside(network: Network, family: int) -> bool:
    return not network.internal and (network.enable_ipv6 if family == 6 else network.enable_ipv4)  # noqa: PLR2004  # the family


def _mode(network: Network, family: int) -> str:
    return network.bridge.gateway_mode_ipv6 if family == 6 else network.bridge.gateway_mode_ipv4  # noqa: PLR2004  # the family
