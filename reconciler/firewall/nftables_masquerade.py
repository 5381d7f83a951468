"""Masquerade to a range of ports in the nftables table: a chain for each range that a network asks for.

No map can hold the ranges: nft's ``masquerade`` takes a range of constants only. A chain's name
says all that is in it, so whoever leads to it says its range, and networks with the same one share it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

Ports = tuple[int, int]
"""First and last."""

EVERY_PORT: Final = (1, 65535)
"""The chain of this range always stands: how nft lists it tells how those of other ranges have to be listed."""

_NAME = re.compile(r"masquerade_([1-9][0-9]{0,4})_([1-9][0-9]{0,4})")


def masquerade_chain(ports: Ports) -> str:
    """The name of the chain that masquerades to these ports."""
    first, last = ports
    return f"masquerade_{int(first)}_{int(last)}"


def ports_of(chain: str) -> Ports | None:
    """The ports of the chain of that name; None for any other chain."""
    found = _NAME.fullmatch(chain)
    ports = (int(found[1]), int(found[2])) if found else (0, 0)
    return ports if 1 <= ports[0] <= ports[1] <= EVERY_PORT[1] else None


def masquerade_rules(ports: Ports) -> tuple[str, ...]:
    """The rules of that chain; what has no ports, such as ICMP, is masqueraded without."""
    first, last = ports
    return (f"meta l4proto {{ 6, 17, 132 }} masquerade to :{int(first)}-{int(last)}", "masquerade")


def is_like(rules: Sequence[Any], ports: Ports, pattern: Sequence[Any]) -> bool:
    """Whether listed rules are those of these ports; ``pattern``: those of `EVERY_PORT`, as listed beside them."""
    return bool(rules) and _without_ports(rules, ports) == _without_ports(pattern, EVERY_PORT)


def _without_ports(rules: Iterable[Any], ports: Ports) -> list[Any]:
    first, last = ports
    wanted = [{"port": {"range": [first, last]}}, *([{"port": first}] if first == last else [])]
    return [
        [{"masquerade": "ports"} if statement.get("masquerade") in wanted else statement for statement in rule]
        for rule in rules
    ]
