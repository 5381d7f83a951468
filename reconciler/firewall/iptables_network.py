"""A network's isolation and translation, as rules of iptables."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.errors import NetapplyError
from reconciler.firewall.iptables_chains import (
    ADDRESS,
    FORWARD,
    INPUT,
    INTERFACE,
    JUDGE,
    LABEL,
    PASS,
    POSTROUTING,
    PROTOCOLS,
    ROUTED,
    SPOOFED,
    Placed,
    checked,
    match,
    network_text,
    ports_text,
    state,
)
from reconciler.firewall.iptables_rules import Rule
from reconciler.firewall.policy import NetworkPolicy

_COMMENT_MAX = 255


def words_of(network: NetworkPolicy, family: int) -> tuple[str, ...]:
    """What a network is, as words in the comment of its first rule: what the other rules do not say by themselves."""
    masquerade, snat, mode = _choice(network, family)
    ports = f"={ports_text(network.masquerade_ports)}" if network.masquerade_ports else ""
    return (
        *(["internal"] if network.internal else []),
        *([] if network.icc else ["apart"]),
        *([f"masquerade{ports}"] if masquerade else []),
        *([f"mode={mode}"] if mode != "nat" else []),
        *([f"snat={snat}"] if snat else []),
    )


def network_rules(network: NetworkPolicy, family: int) -> Iterator[Placed]:
    """All rules of a network in one family. Raises NetapplyError for a name that cannot stand in a rule."""
    label = checked(LABEL, network.network, network.source)
    bridge = checked(INTERFACE, network.interface, network.source)
    comment = " ".join([label, *words_of(network, family)])
    if len(comment) > _COMMENT_MAX:
        raise NetapplyError.of(f"{label} is too long a name for a firewall rule", network.source)
    into, out = Rule("", in_interface=bridge, comment=label), Rule("", out_interface=bridge, comment=label)
    within = into._replace(out_interface=bridge)

    def judge(rank: int, rule: Rule, target: str = PASS) -> Placed:
        return Placed(family, "mangle", JUDGE, rank, rule._replace(target=target, goto=target in {PASS, ROUTED}))

    yield Placed(family, "mangle", FORWARD, 0, into._replace(target=JUDGE, goto=True, comment=comment))
    yield Placed(family, "mangle", FORWARD, 1, out._replace(target=JUDGE, goto=True))
    yield Placed(family, "mangle", INPUT, 0, into._replace(target=SPOOFED))
    if network.icc:
        yield judge(10, within)
    else:
        if family == 6:  # noqa: PLR2004  # the family
            yield from (judge(20, rule) for rule in _discovery(within))
        yield judge(60, within, "DROP")
    if network.internal:
        # Before anything is let pass as established: a network made internal also ends what flows already.
        yield judge(30, into, "DROP")
        yield judge(30, out, "DROP")
    yield judge(40, into, SPOOFED)
    for interface in network.trusted_interfaces:
        yield judge(80, out._replace(in_interface=checked(INTERFACE, interface, network.source)))
    mode = _choice(network, family)[2]
    yield judge(90, out, {"nat-unprotected": PASS, "routed": ROUTED}.get(mode, "DROP"))
    yield from _of_subnets(network, family, (into, out))
    yield from _outward(network, family, (into, out))


def _choice(network: NetworkPolicy, family: int) -> tuple[bool, str, str]:
    if family == 4:  # noqa: PLR2004  # the family
        return network.masquerade4, network.snat4, network.mode4
    return network.masquerade6, network.snat6, network.mode6


def _discovery(within: Rule) -> Iterator[Rule]:
    """Neighbour discovery between members kept apart, for duplicate address detection.

    Hop limit 255: bridged, never routed (RFC 4861 7.1).
    """
    for kind in ("135", "136"):
        matches = (*match("icmp6", "icmpv6-type", kind), *match("hl", "hl-eq", "255"))
        yield within._replace(protocol="icmpv6", matches=matches)


def _of_subnets(network: NetworkPolicy, family: int, ways: tuple[Rule, Rule]) -> Iterator[Placed]:
    into, out = ways
    anywhere = Rule("DROP", comment=into.comment)
    for text in network.subnets:
        subnet = network_text(checked(ADDRESS, text, network.source))
        if (":" in subnet) != (family == 6):  # noqa: PLR2004  # the family
            continue
        # A source of another of our networks is dropped. Sources that are in none of them
        # pass: a container may route for others.
        yield Placed(family, "mangle", SPOOFED, 10, into._replace(target="RETURN", source=subnet))
        yield Placed(family, "mangle", SPOOFED, 20, anywhere._replace(source=subnet))
        # A member that reaches itself or its neighbour through a host address must see the
        # answer come from the host. By source: what bridge-netfilter brings has no input interface here.
        hairpin = out._replace(target="MASQUERADE", source=subnet, matches=state("DNAT"))
        yield Placed(family, "nat", POSTROUTING, 10, hairpin)


def _outward(network: NetworkPolicy, family: int, ways: tuple[Rule, Rule]) -> Iterator[Placed]:
    into, out = ways
    masquerade, snat, mode = _choice(network, family)
    if family == 4:  # noqa: PLR2004  # the family
        yield Placed(family, "nat", POSTROUTING, 20, out._replace(target="MASQUERADE", source="127.0.0.0/8"))
    # What goes to a network of ours keeps its source.
    yield Placed(family, "nat", POSTROUTING, 30, out._replace(target="RETURN"))
    if not masquerade or mode not in {"nat", "nat-unprotected"}:
        return
    if network.masquerade_ports:
        first, last = network.masquerade_ports
        # As iptables lists it: of two equal ports, one.
        ports = str(int(first)) if first == last else ports_text((first, last))
        # What has no ports, such as ICMP, goes by the rule after these.
        ported = into._replace(target="MASQUERADE", parameters=(("to-ports", ports),))
        yield from (Placed(family, "nat", POSTROUTING, 40, ported._replace(protocol=each)) for each in PROTOCOLS)
        yield Placed(family, "nat", POSTROUTING, 41, into._replace(target="MASQUERADE"))
    elif snat:
        parameters = (("to-source", checked(ADDRESS, snat, network.source)),)
        yield Placed(family, "nat", POSTROUTING, 40, into._replace(target="SNAT", parameters=parameters))
    else:
        yield Placed(family, "nat", POSTROUTING, 40, into._replace(target="MASQUERADE"))
