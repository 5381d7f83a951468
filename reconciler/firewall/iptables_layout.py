"""Our chains in the tables of iptables, and what each policy is in them.

The same decisions as in the nftables table, in rules one after another, since iptables has
neither maps nor sets. What is forwarded is judged in ``mangle``: it comes before every
common filter chain, so what we accept carries our mark by the time that others filter it,
and its RETURN leaves the host's own rules in force. ``nat`` translates; ``raw`` guards
loopback addresses before any translation. Nothing of ours stands in ``filter`` but the one
rule of ``foreign``, where the host's rules there would drop our traffic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from reconciler.firewall.iptables_chains import (
    ARRIVED,
    CHAINS,
    GUARD,
    JUDGE,
    OUTPUT,
    OWNER_COMMENT,
    PASS,
    PORTS,
    PREROUTING,
    ROUTED,
    SOURCES,
    SPOOFED,
    Placed,
    match,
    places,
    state,
)
from reconciler.firewall.iptables_network import network_rules
from reconciler.firewall.iptables_port import opening_rules, port_rules
from reconciler.firewall.iptables_rules import Rule
from reconciler.firewall.opening import Opening
from reconciler.firewall.policy import NetworkPolicy, PublishedPort

Supported = NetworkPolicy | PublishedPort | Opening
"""The policies that this backend can carry out."""

Layout = Mapping[tuple[int, str], Mapping[str, tuple[Rule, ...]]]
"""Family and table -> chain -> rules."""


def layout(policies: Iterable[Supported], mark: int, families: Iterable[int]) -> Layout:
    """All chains that carry out the policies. Raises NetapplyError for a name that cannot stand in a rule."""
    wanted = tuple(families)
    ranked: dict[tuple[int, str, str], list[tuple[int, Rule]]] = defaultdict(list)
    found = [*_fixed(mark), *(placed for policy in policies for placed in rules_of(policy))]
    for family, table, chain, rank, rule in found:
        ranked[family, table, chain].append((rank, rule))
    return {
        (family, table): {
            chain: tuple(rule for _, rule in sorted(set(ranked[family, table, chain])))
            for chain_table, chain in CHAINS
            if chain_table == table
        }
        for family, table in places(wanted)
    }


def rules_of(policy: Supported) -> tuple[Placed, ...]:
    """All rules of one policy, in both families. Raises NetapplyError for a name that cannot stand in a rule."""
    if isinstance(policy, PublishedPort):
        return tuple(port_rules(policy))
    if isinstance(policy, Opening):
        return tuple(opening_rules(policy))
    return tuple(placed for family in (4, 6) for placed in network_rules(policy, family))


def _fixed(mark: int) -> Iterator[Placed]:
    def fixed(family: int, table: str, chain: str, rank: int, rule: Rule) -> Placed:
        return Placed(family, table, chain, rank, rule._replace(comment=OWNER_COMMENT))

    # RFC 1122 3.2.1.3: loopback addresses never appear outside a host. The kernel drops them
    # itself, but not on a bridge with route_localnet, and not once DNAT has rewritten them.
    # As a source, a container could claim to be a program of the host.
    yield fixed(4, "raw", GUARD, 0, Rule("DROP", in_interface="!lo", destination="127.0.0.0/8"))
    yield fixed(4, "raw", GUARD, 1, Rule("DROP", in_interface="!lo", source="127.0.0.0/8"))
    # A link-local source cannot be forwarded to where DNAT would send it.
    yield fixed(6, "nat", PREROUTING, 0, Rule("RETURN", source="fe80::/10"))
    # The kernel drops an answer to ::1 from a bridge, so the client must be refused at once.
    yield fixed(6, "nat", OUTPUT, 0, Rule("RETURN", destination="::1/128"))
    for family, icmp in ((4, "icmp"), (6, "icmpv6")):
        for chain in (PREROUTING, OUTPUT):
            yield fixed(family, "nat", chain, 1, Rule(PORTS, matches=match("addrtype", "dst-type", "LOCAL")))
        # New connections to the host from elsewhere: what comes over lo was judged when it was sent.
        arrived = (*state("NEW"), *match("addrtype", "dst-type", "LOCAL"))
        yield fixed(family, "mangle", ARRIVED, 0, Rule("RETURN", in_interface="lo"))
        yield fixed(family, "mangle", ARRIVED, 1, Rule(SOURCES, matches=arrived))
        # Replies pass: a container on two networks may answer by either.
        yield fixed(family, "mangle", SPOOFED, 0, Rule("RETURN", matches=match("conntrack", "ctdir", "REPLY")))
        yield fixed(family, "mangle", JUDGE, 50, Rule(PASS, goto=True, matches=state("DNAT")))
        yield fixed(family, "mangle", JUDGE, 70, Rule(PASS, goto=True, matches=state("RELATED,ESTABLISHED")))
        # Not translated, so it would leave with a container's address.
        yield fixed(family, "mangle", JUDGE, 71, Rule("DROP", matches=state("INVALID")))
        yield fixed(family, "mangle", JUDGE, 99, Rule(PASS, goto=True))
        yield fixed(family, "mangle", ROUTED, 0, Rule(PASS, goto=True, protocol=icmp))
        yield fixed(family, "mangle", ROUTED, 99, Rule("DROP"))
        # Its end returns to the host's own rules in FORWARD, which an ACCEPT would skip.
        yield fixed(family, "mangle", PASS, 0, Rule("MARK", parameters=(("set-xmark", f"{mark:#x}/{mark:#x}"),)))
