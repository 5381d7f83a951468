"""Our chains in the tables of iptables, and what each policy is in them.

The same decisions as in the nftables table, in rules one after another, since iptables has
neither maps nor sets. What is forwarded is judged in ``mangle``: it comes before every
common filter chain, so what we accept carries our mark by the time that others filter it,
and its RETURN leaves the host's own rules in force. ``nat`` translates; ``raw`` guards
loopback addresses before any translation. Nothing of ours stands in ``filter`` but the one
rule of ``foreign``, where the host's rules there would drop our traffic.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network
from typing import Final, NamedTuple

from reconciler.errors import NetapplyError
from reconciler.firewall.iptables_rules import PREFIX, Parameters, Rule
from reconciler.firewall.opening import Opening
from reconciler.firewall.policy import NetworkPolicy, PublishedPort

OWNER_COMMENT: Final = "netapply"
"""The comment of rules that belong to no single policy."""

GUARD: Final = f"{PREFIX}GUARD"
PREROUTING: Final = f"{PREFIX}PREROUTING"
OUTPUT: Final = f"{PREFIX}OUTPUT"
POSTROUTING: Final = f"{PREFIX}POSTROUTING"
PORTS: Final = f"{PREFIX}PORTS"
INPUT: Final = f"{PREFIX}INPUT"
FORWARD: Final = f"{PREFIX}FORWARD"
JUDGE: Final = f"{PREFIX}JUDGE"
SPOOFED: Final = f"{PREFIX}SPOOFED"
ARRIVED: Final = f"{PREFIX}ARRIVED"
SOURCES: Final = f"{PREFIX}SOURCES"
ROUTED: Final = f"{PREFIX}ROUTED"
PASS: Final = f"{PREFIX}PASS"

TABLES: Final = ("raw", "mangle", "nat")
"""In the order in which they are written: what drops stands before what leads there."""

CHAINS: Final[Mapping[tuple[str, str], str]] = {
    ("raw", GUARD): "PREROUTING",
    ("mangle", ARRIVED): "PREROUTING",
    ("mangle", SOURCES): "",
    ("mangle", INPUT): "INPUT",
    ("mangle", FORWARD): "FORWARD",
    ("mangle", JUDGE): "",
    ("mangle", SPOOFED): "",
    ("mangle", ROUTED): "",
    ("mangle", PASS): "",
    ("nat", PREROUTING): "PREROUTING",
    ("nat", OUTPUT): "OUTPUT",
    ("nat", POSTROUTING): "POSTROUTING",
    ("nat", PORTS): "",
}
"""Every chain of ours, and the base chain that jumps to it; empty: only our own chains do."""

PROTOCOLS: Final = frozenset({"tcp", "udp", "sctp"})
WILDCARDS: Final = {4: "0.0.0.0", 6: "::"}  # noqa: S104  # a policy's word, never bound

_LABEL = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")
_ADDRESS = re.compile(r"[0-9a-f:][0-9a-f:.]*(/[0-9]{1,3})?")
# iptables reads a '+' at the end of an interface's name as 'and whatever follows'.
_INTERFACE = re.compile(r"[A-Za-z0-9_.@+=-]{0,14}[A-Za-z0-9_.@=-]")
_COMMENT_MAX = 255


class Placed(NamedTuple):
    """A rule with its place: within a chain, rules stand by ``rank``, then by their text."""

    family: int
    table: str
    chain: str
    rank: int
    rule: Rule


Supported = NetworkPolicy | PublishedPort | Opening
"""The policies that this backend can carry out."""

Layout = Mapping[tuple[int, str], Mapping[str, tuple[Rule, ...]]]
"""Family and table -> chain -> rules."""


def is_label(comment: str) -> bool:
    """Whether the comment is one that we write: ``stack/container`` or ``stack/network``."""
    return _LABEL.fullmatch(comment) is not None


def jump_to(chain: str) -> Rule:
    """The one rule in a base chain that leads to a chain of ours."""
    return Rule(chain, comment=OWNER_COMMENT)


def places(families: Iterable[int]) -> list[tuple[int, str]]:
    """The tables that we stand in: there is no IPv6 loopback to guard, since it cannot be routed."""
    return [(family, table) for family in families for table in TABLES if (family, table) != (6, "raw")]


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
        return tuple(_of_port(policy))
    if isinstance(policy, Opening):
        return tuple(_of_opening(policy))
    return tuple(placed for family in (4, 6) for placed in _of_network(policy, family))


def words_of(network: NetworkPolicy, family: int) -> tuple[str, ...]:
    """What a network is, as words in the comment of its first rule: what the other rules do not say by themselves."""
    masquerade, snat, mode = _choice(network, family)
    ports = f"={_range(network.masquerade_ports)}" if network.masquerade_ports else ""
    return (
        *(["internal"] if network.internal else []),
        *([] if network.icc else ["apart"]),
        *([f"masquerade{ports}"] if masquerade else []),
        *([f"mode={mode}"] if mode != "nat" else []),
        *([f"snat={snat}"] if snat else []),
    )


def _choice(network: NetworkPolicy, family: int) -> tuple[bool, str, str]:
    if family == 4:  # noqa: PLR2004  # the family
        return network.masquerade4, network.snat4, network.mode4
    return network.masquerade6, network.snat6, network.mode6


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
            yield fixed(family, "nat", chain, 1, Rule(PORTS, matches=_match("addrtype", "dst-type", "LOCAL")))
        # New connections to the host from elsewhere: what comes over lo was judged when it was sent.
        arrived = (*_state("NEW"), *_match("addrtype", "dst-type", "LOCAL"))
        yield fixed(family, "mangle", ARRIVED, 0, Rule("RETURN", in_interface="lo"))
        yield fixed(family, "mangle", ARRIVED, 1, Rule(SOURCES, matches=arrived))
        # Replies pass: a container on two networks may answer by either.
        yield fixed(family, "mangle", SPOOFED, 0, Rule("RETURN", matches=_match("conntrack", "ctdir", "REPLY")))
        yield fixed(family, "mangle", JUDGE, 50, Rule(PASS, goto=True, matches=_state("DNAT")))
        yield fixed(family, "mangle", JUDGE, 70, Rule(PASS, goto=True, matches=_state("RELATED,ESTABLISHED")))
        # Not translated, so it would leave with a container's address.
        yield fixed(family, "mangle", JUDGE, 71, Rule("DROP", matches=_state("INVALID")))
        yield fixed(family, "mangle", JUDGE, 99, Rule(PASS, goto=True))
        yield fixed(family, "mangle", ROUTED, 0, Rule(PASS, goto=True, protocol=icmp))
        yield fixed(family, "mangle", ROUTED, 99, Rule("DROP"))
        # Its end returns to the host's own rules in FORWARD, which an ACCEPT would skip.
        yield fixed(family, "mangle", PASS, 0, Rule("MARK", parameters=(("set-xmark", f"{mark:#x}/{mark:#x}"),)))


def _match(name: str, option: str, value: str) -> tuple[tuple[str, Parameters], ...]:
    return ((name, ((option, value),)),)


def _state(states: str) -> tuple[tuple[str, Parameters], ...]:
    return _match("conntrack", "ctstate", states)


def _of_port(port: PublishedPort) -> Iterator[Placed]:
    wildcard = _checked(_ADDRESS, port.host_address, port) == WILDCARDS[port.family]
    rule = Rule(
        "",
        destination="" if wildcard else _network(port.host_address),
        protocol=_protocol(port),
        matches=_match(port.protocol, "dport", str(int(port.host_port))),
        comment=_checked(_LABEL, port.container, port),
    )
    sources = [_network(_checked(_ADDRESS, source, port)) for source in port.sources]
    if port.routed:
        for source in sources or [""]:
            passed = rule._replace(target=PASS, goto=True, source=source)
            yield Placed(port.family, "mangle", ROUTED, 10, passed)
        return
    for source in sources:
        yield Placed(port.family, "mangle", SOURCES, 10, rule._replace(target="RETURN", source=source))
    if sources:
        yield Placed(port.family, "mangle", SOURCES, 20, rule._replace(target="DROP"))
    target = _checked(_ADDRESS, port.target_address, port)
    host = f"[{target}]" if port.family == 6 else target  # noqa: PLR2004  # the family
    parameters = (("to-destination", f"{host}:{int(port.target_port)}"),)
    # What is published at one address goes before what is published at all of them.
    rank = 20 if wildcard else 10
    yield Placed(port.family, "nat", PORTS, rank, rule._replace(target="DNAT", parameters=parameters))


def _of_opening(opening: Opening) -> Iterator[Placed]:
    """A mark for what is opened; where the host's own rules would drop it, one rule there accepts what bears it."""
    ports = str(int(opening.first)) if opening.first == opening.last else f"{int(opening.first)}:{int(opening.last)}"
    rule = Rule(
        PASS,
        goto=True,
        protocol=_protocol(opening),
        matches=_match(opening.protocol, "dport", ports),
        comment=_checked(_LABEL, opening.container, opening),
    )
    for source in opening.sources:
        subnet = _network(_checked(_ADDRESS, source, opening))
        yield Placed(6 if ":" in subnet else 4, "mangle", INPUT, 10, rule._replace(source=subnet))
    if not opening.sources:
        yield from (Placed(family, "mangle", INPUT, 10, rule) for family in (4, 6))


def _protocol(policy: PublishedPort | Opening) -> str:
    if policy.protocol not in PROTOCOLS:
        message = f"the protocol {policy.protocol!r} cannot be published"
        raise NetapplyError.of(message, policy.source, f"one of: {', '.join(sorted(PROTOCOLS))}")
    return policy.protocol


def _of_network(network: NetworkPolicy, family: int) -> Iterator[Placed]:
    label = _checked(_LABEL, network.network, network)
    bridge = _checked(_INTERFACE, network.interface, network)
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
        yield judge(80, out._replace(in_interface=_checked(_INTERFACE, interface, network)))
    mode = _choice(network, family)[2]
    yield judge(90, out, {"nat-unprotected": PASS, "routed": ROUTED}.get(mode, "DROP"))
    yield from _of_subnets(network, family, (into, out))
    yield from _outward(network, family, (into, out))


def _discovery(within: Rule) -> Iterator[Rule]:
    """Neighbour discovery between members kept apart, for duplicate address detection.

    Hop limit 255: bridged, never routed (RFC 4861 7.1).
    """
    for kind in ("135", "136"):
        matches = (*_match("icmp6", "icmpv6-type", kind), *_match("hl", "hl-eq", "255"))
        yield within._replace(protocol="icmpv6", matches=matches)


def _of_subnets(network: NetworkPolicy, family: int, ways: tuple[Rule, Rule]) -> Iterator[Placed]:
    into, out = ways
    anywhere = Rule("DROP", comment=into.comment)
    for text in network.subnets:
        subnet = _network(_checked(_ADDRESS, text, network))
        if (":" in subnet) != (family == 6):  # noqa: PLR2004  # the family
            continue
        # A source of another of our networks is dropped. Sources that are in none of them
        # pass: a container may route for others.
        yield Placed(family, "mangle", SPOOFED, 10, into._replace(target="RETURN", source=subnet))
        yield Placed(family, "mangle", SPOOFED, 20, anywhere._replace(source=subnet))
        # A member that reaches itself or its neighbour through a host address must see the
        # answer come from the host. By source: what bridge-netfilter brings has no input interface here.
        hairpin = out._replace(target="MASQUERADE", source=subnet, matches=_state("DNAT"))
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
        ports = str(int(first)) if first == last else _range((first, last))
        # What has no ports, such as ICMP, goes by the rule after these.
        ported = into._replace(target="MASQUERADE", parameters=(("to-ports", ports),))
        yield from (Placed(family, "nat", POSTROUTING, 40, ported._replace(protocol=each)) for each in PROTOCOLS)
        yield Placed(family, "nat", POSTROUTING, 41, into._replace(target="MASQUERADE"))
    elif snat:
        parameters = (("to-source", _checked(_ADDRESS, snat, network)),)
        yield Placed(family, "nat", POSTROUTING, 40, into._replace(target="SNAT", parameters=parameters))
    else:
        yield Placed(family, "nat", POSTROUTING, 40, into._replace(target="MASQUERADE"))


def _range(ports: tuple[int, int]) -> str:
    return f"{int(ports[0])}-{int(ports[1])}"


def _network(address: str) -> str:
    """An address or a network as iptables lists it."""
    return ip_network(address, strict=False).with_prefixlen


def _checked(form: re.Pattern[str], text: str, policy: Supported) -> str:
    """The text, once it is sure that it cannot mean anything else in a rule."""
    if form.fullmatch(text) is None:
        message = f"{text!r} cannot stand in a rule of iptables"
        hint = "use letters, digits, '_', '.' and '-'"
        if text.endswith("+"):
            hint = "a '+' at the end means any ending there: choose another name, or use --firewall nftables"
        raise NetapplyError.of(message, policy.source, hint)
    return text
