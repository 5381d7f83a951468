"""A published port and a host's opening, as rules of iptables."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.errors import NetapplyError
from reconciler.firewall.iptables_chains import (
    ADDRESS,
    INPUT,
    LABEL,
    PASS,
    PORTS,
    PROTOCOLS,
    ROUTED,
    SOURCES,
    WILDCARDS,
    Placed,
    checked,
    match,
    network_text,
)
from reconciler.firewall.iptables_rules import Rule
from reconciler.firewall.opening import Opening
from reconciler.firewall.policy import PublishedPort


def port_rules(port: PublishedPort) -> Iterator[Placed]:
    """All rules of a published port. Raises NetapplyError for an address that cannot stand in a rule."""
    wildcard = checked(ADDRESS, port.host_address, port.source) == WILDCARDS[port.family]
    rule = Rule(
        "",
        destination="" if wildcard else network_text(port.host_address),
        protocol=_protocol(port),
        matches=match(port.protocol, "dport", str(int(port.host_port))),
        comment=checked(LABEL, port.container, port.source),
    )
    sources = [network_text(checked(ADDRESS, source, port.source)) for source in port.sources]
    if port.routed:
        for source in sources or [""]:
            passed = rule._replace(target=PASS, goto=True, source=source)
            yield Placed(port.family, "mangle", ROUTED, 10, passed)
        return
    for source in sources:
        yield Placed(port.family, "mangle", SOURCES, 10, rule._replace(target="RETURN", source=source))
    if sources:
        yield Placed(port.family, "mangle", SOURCES, 20, rule._replace(target="DROP"))
    target = checked(ADDRESS, port.target_address, port.source)
    host = f"[{target}]" if port.family == 6 else target  # noqa: PLR2004  # the family
    parameters = (("to-destination", f"{host}:{int(port.target_port)}"),)
    # What is published at one address goes before what is published at all of them.
    rank = 20 if wildcard else 10
    yield Placed(port.family, "nat", PORTS, rank, rule._replace(target="DNAT", parameters=parameters))


def opening_rules(opening: Opening) -> Iterator[Placed]:
    """A mark for what is opened; where the host's own rules would drop it, one rule there accepts what bears it."""
    ports = str(int(opening.first)) if opening.first == opening.last else f"{int(opening.first)}:{int(opening.last)}"
    rule = Rule(
        PASS,
        goto=True,
        protocol=_protocol(opening),
        matches=match(opening.protocol, "dport", ports),
        comment=checked(LABEL, opening.container, opening.source),
    )
    for source in opening.sources:
        subnet = network_text(checked(ADDRESS, source, opening.source))
        yield Placed(6 if ":" in subnet else 4, "mangle", INPUT, 10, rule._replace(source=subnet))
    if not opening.sources:
        yield from (Placed(family, "mangle", INPUT, 10, rule) for family in (4, 6))


def _protocol(policy: PublishedPort | Opening) -> str:
    if policy.protocol not in PROTOCOLS:
        message = f"the protocol {policy.protocol!r} cannot be published"
        raise NetapplyError.of(message, policy.source, f"one of: {', '.join(sorted(PROTOCOLS))}")
    return policy.protocol
