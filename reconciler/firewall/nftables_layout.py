"""The fixed part of the table ``inet netapply``: its sets, maps and chains.

Everything that differs from host to host stands in the sets and maps, but for the chains of
`nftables_masquerade`; the others never change, however many networks and ports there are. Every base chain comes one step before
the common priority of its hook and has policy accept: a packet that is none of ours leaves
this table as it came.

Numbers stand for protocols, priorities and ICMP types, since nft looks their names up in
files under /etc that a minimal host lacks.
"""

from __future__ import annotations

from typing import Final

from reconciler.firewall.nftables_masquerade import EVERY_PORT, masquerade_chain, masquerade_rules

FAMILY: Final = "inet"
TABLE: Final = "netapply"
PATH: Final = f"{FAMILY} {TABLE}"
"""The table as nft commands name it."""

COMMENT_MAX: Final = 128
"""The longest comment in bytes that nft keeps with an element (NFTNL_UDATA_COMMENT_MAXLEN)."""

_PORT4: Final = "ipv4_addr . inet_proto . inet_service"
_PORT6: Final = "ipv6_addr . inet_proto . inet_service"
_SERVICE: Final = "inet_proto . inet_service"

SETS: Final[dict[str, str]] = {
    # Every network: its bridge, and the bridge twice (what enters and leaves by the same one).
    "bridges": "type ifname",
    "loops": "type ifname . ifname",
    # Networks whose members are kept apart (icc off), and those without an outside.
    "apart": "type ifname",
    "internal": "type ifname",
    # Host interface . bridge: container addresses may be reached directly from there.
    "trusted": "type ifname . ifname",
    # All subnets; and which bridge each is at home on.
    "networks4": "type ipv4_addr; flags interval",
    "networks6": "type ipv6_addr; flags interval",
    "homes4": "type ifname . ipv4_addr; flags interval",
    "homes6": "type ifname . ipv6_addr; flags interval",
    # Container address . protocol . port that a network of mode routed opens.
    "routed4": f"type {_PORT4}",
    "routed6": f"type {_PORT6}",
    # Published ports that not everybody may use, at one host address and at any; and who may:
    # source . port. The latter name the ports of networks of mode routed too.
    "limited4": f"type {_PORT4}",
    "limited4_any": f"type {_SERVICE}",
    "limited6": f"type {_PORT6}",
    "limited6_any": f"type {_SERVICE}",
    "sources4": f"type ipv4_addr . {_PORT4}; flags interval",
    "sources4_any": f"type ipv4_addr . {_SERVICE}; flags interval",
    "sources6": f"type ipv6_addr . {_PORT6}; flags interval",
    "sources6_any": f"type ipv6_addr . {_SERVICE}; flags interval",
    # Ports of the host that are opened: to anybody, and by source.
    "opened": f"type {_SERVICE}; flags interval",
    "opened4": f"type ipv4_addr . {_SERVICE}; flags interval",
    "opened6": f"type ipv6_addr . {_SERVICE}; flags interval",
    # Who asks for them. Two containers may open the same port, and elements of an interval set
    # may not overlap, so each has elements of its own here, told apart by a digest of its name.
    # No rule looks here; the three sets above hold the union of these.
    "openings": f"type ifname . {_SERVICE}; flags interval",
    "openings4": f"type ifname . ipv4_addr . {_SERVICE}; flags interval",
    "openings6": f"type ifname . ipv6_addr . {_SERVICE}; flags interval",
    # From bridge . to bridge: connections that are allowed between two networks, all or by
    # port; and every such pair, for the answers.
    "allowed": "type ifname . ifname",
    "allowed_ports": f"type ifname . ifname . {_SERVICE}; flags interval",
    "answered": "type ifname . ifname",
}
"""Name and declaration of every set."""

LEDGERS: Final = frozenset({"openings", "openings4", "openings6"})
"""Sets that no rule looks at: who asked for what."""

MAPS: Final[dict[str, str]] = {
    # Published ports: at one host address, and at any.
    "ports4": f"type {_PORT4} : ipv4_addr . inet_service",
    "ports4_any": "type inet_proto . inet_service : ipv4_addr . inet_service",
    "ports6": f"type {_PORT6} : ipv6_addr . inet_service",
    "ports6_any": "type inet_proto . inet_service : ipv6_addr . inet_service",
    # Bridge -> what becomes of new packets from outside; no element: mode nat, dropped.
    "inward4": "type ifname : verdict",
    "inward6": "type ifname : verdict",
    # Bridge -> how sources are translated on the way out; no element: they are not.
    "outward4": "type ifname : verdict",
    "outward6": "type ifname : verdict",
    "snat4": "type ifname : ipv4_addr",
    "snat6": "type ifname : ipv6_addr",
    # Host address -> container: everything that is sent to it.
    "floating4": "type ipv4_addr : ipv4_addr",
    "floating6": "type ipv6_addr : ipv6_addr",
    # Container address -> the host address that it leaves with, before what its network says.
    "egress4": "type ipv4_addr : ipv4_addr",
    "egress6": "type ipv6_addr : ipv6_addr",
}
"""Name and declaration of every map."""

BASE_CHAINS: Final[dict[str, str]] = {
    "guard": "type filter hook prerouting priority -301; policy accept;",
    "prerouting": "type nat hook prerouting priority -101; policy accept;",
    "output": "type nat hook output priority -101; policy accept;",
    "input": "type filter hook input priority -5; policy accept;",
    "forward": "type filter hook forward priority -5; policy accept;",
    "postrouting": "type nat hook postrouting priority 99; policy accept;",
}
"""Name and hook of every base chain."""

RULES: Final[dict[str, tuple[str, ...]]] = {
    # RFC 1122 3.2.1.3: loopback addresses never appear outside a host. The kernel drops
    # them itself, but not on a bridge with route_localnet, and not once DNAT has rewritten them.
    # As a source, a container could claim to be a program of the host.
    "guard": ('iifname != "lo" ip daddr 127.0.0.0/8 drop', 'iifname != "lo" ip saddr 127.0.0.0/8 drop'),
    # A link-local source cannot be forwarded to where DNAT would send it.
    "prerouting": ("ip6 saddr fe80::/10 return", "fib daddr type local jump sources"),
    # The kernel drops an answer to ::1 from a bridge (IPv6 has no route_localnet). Without this
    # a client would wait instead of turning to 127.0.0.1 at once.
    "output": ("ip6 daddr ::1 return", "fib daddr type local jump ports"),
    # What is opened bears our mark; where the host's own chain would drop it, one rule there
    # accepts what bears it.
    "input": (
        "iifname @bridges jump spoofed",
        "meta l4proto . th dport @opened goto pass",
        "ip saddr . meta l4proto . th dport @opened4 goto pass",
        "ip6 saddr . meta l4proto . th dport @opened6 goto pass",
    ),
    "forward": ("iifname @bridges goto judge", "oifname @bridges goto judge"),
    "postrouting": (
        # A member that reaches itself or its neighbour through a host address must see the
        # answer come from the host. By source, since what bridge-netfilter brings here has no
        # input interface.
        "oifname . ip saddr @homes4 ct status dnat masquerade",
        "oifname . ip6 saddr @homes6 ct status dnat masquerade",
        "oifname @bridges ip saddr 127.0.0.0/8 masquerade",
        "iifname @bridges oifname != @bridges jump outward",
    ),
    # Only from outside and from containers: the host itself comes by output. A first packet
    # that is dropped here leaves no connection, so the next one comes here again. What leads on
    # from one address asks nobody who may use a port of all of them: it is not for that one.
    "sources": (
        "ip daddr . meta l4proto . th dport @limited4 ip saddr . ip daddr . meta l4proto . th dport != @sources4 drop",
        "ip6 daddr . meta l4proto . th dport @limited6 ip6 saddr . ip6 daddr . meta l4proto . th dport != @sources6 drop",
        "jump ports_of_one",
        "meta l4proto . th dport @limited4_any ip saddr . meta l4proto . th dport != @sources4_any drop",
        "meta l4proto . th dport @limited6_any ip6 saddr . meta l4proto . th dport != @sources6_any drop",
        "goto ports_of_all",
    ),
    # What is said of one address goes before what is said of all.
    "ports": ("jump ports_of_one", "goto ports_of_all"),
    "ports_of_one": (
        "dnat ip to ip daddr . meta l4proto . th dport map @ports4",
        "dnat ip to ip daddr map @floating4",
        "dnat ip6 to ip6 daddr . meta l4proto . th dport map @ports6",
        "dnat ip6 to ip6 daddr map @floating6",
    ),
    "ports_of_all": (
        "dnat ip to meta l4proto . th dport map @ports4_any",
        "dnat ip6 to meta l4proto . th dport map @ports6_any",
    ),
    "judge": (
        # Within one network. Neighbour discovery (hop limit 255: bridged, never routed, RFC
        # 4861 7.1) passes also between members kept apart, for duplicate address detection.
        "iifname . oifname @loops iifname != @apart goto pass",
        "iifname . oifname @loops icmpv6 type { 135, 136 } ip6 hoplimit 255 goto pass",
        "iifname @bridges jump spoofed",
        # Before internal networks are shut: one may be allowed to reach another, or be reached.
        "iifname . oifname @allowed goto pass",
        "iifname . oifname . meta l4proto . th dport @allowed_ports goto pass",
        "oifname . iifname @answered ct direction reply ct state established,related goto pass",
        # Before anything is let pass as established, so that a network made internal, or icc
        # switched off, also ends what flows already.
        "iifname @internal drop",
        "oifname @internal drop",
        "ct status dnat goto pass",
        "iifname . oifname @loops drop",
        "ct state established,related goto pass",
        # Not translated, so it would leave with a container's address.
        "ct state invalid drop",
        "iifname . oifname @trusted goto pass",
        "meta nfproto ipv4 oifname vmap @inward4",
        "meta nfproto ipv6 oifname vmap @inward6",
        "oifname @bridges drop",
        "goto pass",
    ),
    # A source of another of our networks. Sources that are in none of them pass: a container
    # may route for others. Replies pass: a container on two networks may answer by either.
    "spoofed": (
        "ct direction reply return",
        "iifname . ip saddr @homes4 return",
        "ip saddr @networks4 drop",
        "iifname . ip6 saddr @homes6 return",
        "ip6 saddr @networks6 drop",
    ),
    "unprotected": ("goto pass",),
    "routed": (
        "meta l4proto { 1, 58 } goto pass",
        "ip daddr . meta l4proto . th dport @routed4 goto pass",
        "ip6 daddr . meta l4proto . th dport @routed6 goto pass",
        "ip saddr . ip daddr . meta l4proto . th dport @sources4 goto pass",
        "ip6 saddr . ip6 daddr . meta l4proto . th dport @sources6 goto pass",
        "drop",
    ),
    "pass": ("meta mark set meta mark | %(mark)#x accept",),
    "outward": (
        "snat ip to ip saddr map @egress4",
        "snat ip6 to ip6 saddr map @egress6",
        "meta nfproto ipv4 iifname vmap @outward4",
        "meta nfproto ipv6 iifname vmap @outward6",
    ),
    "translate": (
        "meta nfproto ipv4 snat ip to iifname map @snat4",
        "meta nfproto ipv6 snat ip6 to iifname map @snat6",
        "masquerade",
    ),
    masquerade_chain(EVERY_PORT): masquerade_rules(EVERY_PORT),
}
"""Every chain's rules, in order; ``%(mark)#x`` is the mark bit."""

MODES: Final[dict[str, str]] = {
    "nat-unprotected": "goto unprotected",
    "routed": "goto routed",
    "isolated": "drop",
}
"""Gateway mode -> its verdict in ``inward4`` and ``inward6``; ``nat`` has none."""


def declarations() -> list[str]:
    """The commands that make the table, its sets and maps and its regular chains, where absent."""
    return [
        f"add table {PATH}",
        *(f"add set {PATH} {name} {{ {declaration}; }}" for name, declaration in SETS.items()),
        *(f"add map {PATH} {name} {{ {declaration}; }}" for name, declaration in MAPS.items()),
        *(f"add chain {PATH} {name}" for name in RULES if name not in BASE_CHAINS),
    ]


def chains(mark: int) -> list[str]:
    """The commands that hook the base chains and fill all chains, which are empty before."""
    return [
        *(f"add chain {PATH} {name} {{ {hook} }}" for name, hook in BASE_CHAINS.items()),
        *(f"add rule {PATH} {name} {rule % {'mark': mark}}" for name, rules in RULES.items() for rule in rules),
    ]


def fixed(mark: int) -> str:
    """The script that makes the fixed part where no table of ours stands."""
    return "\n".join([*declarations(), *chains(mark), ""])
