"""Our chains in the tables of iptables, and the words of which every rule in them is made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from typing import Final, NamedTuple

from reconciler.errors import NetapplyError, Source
from reconciler.firewall.iptables_rules import PREFIX, Parameters, Rule

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

LABEL = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")
ADDRESS = re.compile(r"[0-9a-f:][0-9a-f:.]*(/[0-9]{1,3})?")
# iptables reads a '+' at the end of an interface's name as 'and whatever follows'.
INTERFACE = re.compile(r"[A-Za-z0-9_.@+=-]{0,14}[A-Za-z0-9_.@=-]")


class Placed(NamedTuple):
    """A rule with its place: within a chain, rules stand by ``rank``, then by their text."""

    family: int
    table: str
    chain: str
    rank: int
    rule: Rule


def is_label(comment: str) -> bool:
    """Whether the comment is one that we write: ``stack/container`` or ``stack/network``."""
    return LABEL.fullmatch(comment) is not None


def jump_to(chain: str) -> Rule:
    """The one rule in a base chain that leads to a chain of ours."""
    return Rule(chain, comment=OWNER_COMMENT)


def places(families: Iterable[int]) -> list[tuple[int, str]]:
    """The tables that we stand in: there is no IPv6 loopback to guard, since it cannot be routed."""
    return [(family, table) for family in families for table in TABLES if (family, table) != (6, "raw")]


def match(name: str, option: str, value: str) -> tuple[tuple[str, Parameters], ...]:
    """One match with one option, as a rule holds it."""
    return ((name, ((option, value),)),)


def state(states: str) -> tuple[tuple[str, Parameters], ...]:
    """The match for states of connection tracking, separated by commas."""
    return match("conntrack", "ctstate", states)


def ports_text(ports: tuple[int, int]) -> str:
    """First and last port, as iptables writes a range."""
    return f"{int(ports[0])}-{int(ports[1])}"


def network_text(address: str) -> str:
    """An address or a network as iptables lists it."""
    return ip_network(address, strict=False).with_prefixlen


def checked(form: re.Pattern[str], text: str, source: Source | None) -> str:
    """The text, once it is sure that it cannot mean anything else in a rule."""
    if form.fullmatch(text) is None:
        message = f"{text!r} cannot stand in a rule of iptables"
        hint = "use letters, digits, '_', '.' and '-'"
        if text.endswith("+"):
            hint = "a '+' at the end means any ending there: choose another name, or use --firewall nftables"
        raise NetapplyError.of(message, source, hint)
    return text
