"""Rules of iptables as data, in the words of iptables itself, and what of ours stands in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

PREFIX: Final = "NETAPPLY-"
"""How the name of every chain of ours begins."""

Parameters = tuple[tuple[str, str], ...]
"""Options with their values, without the dashes: ``(("dport", "80"),)``."""


class Rule(NamedTuple):
    """One rule. Empty text: not given.

    ``source`` and ``destination`` are networks with their length; a leading ``!`` in them
    and in the interfaces means 'not'. ``matches`` are extensions with their parameters,
    without the comment; ``parameters`` are the target's.
    """

    target: str
    goto: bool = False
    in_interface: str = ""
    out_interface: str = ""
    source: str = ""
    destination: str = ""
    protocol: str = ""
    matches: tuple[tuple[str, Parameters], ...] = ()
    parameters: Parameters = ()
    comment: str = ""

    def text(self) -> str:
        """The rule as ``iptables -S`` shows it, for messages."""
        words = [
            *_option("-s", self.source),
            *_option("-d", self.destination),
            *_option("-i", self.in_interface),
            *_option("-o", self.out_interface),
            *_option("-p", self.protocol),
        ]
        for name, parameters in self.matches:
            words += ["-m", name, *_long(parameters)]
        if self.comment:
            words += ["-m", "comment", "--comment", f'"{self.comment}"']
        return " ".join([*words, "-g" if self.goto else "-j", self.target, *_long(self.parameters)])


def _option(flag: str, value: str) -> list[str]:
    return ["!", flag, value[1:]] if value.startswith("!") else [flag, value] if value else []


def _long(parameters: Parameters) -> list[str]:
    return [word for name, value in parameters for word in (f"--{name}", value) if word]


def rule_of(words: Sequence[Any]) -> Rule:
    """The rule for what JSON made of one."""
    target, goto, into, out, source, destination, protocol, matches, parameters, comment = words
    return Rule(
        target,
        goto,
        into,
        out,
        source,
        destination,
        protocol,
        tuple((name, _pairs(given)) for name, given in matches),
        _pairs(parameters),
        comment,
    )


def _pairs(found: Sequence[Sequence[str]]) -> Parameters:
    return tuple((name, value) for name, value in found)


class Jump(NamedTuple):
    """A rule in a base chain that leads to a chain of ours; ``position`` counts from 0."""

    position: int
    rule: Rule


@dataclass(frozen=True, slots=True)
class Table:
    """What is ours in one table of one family: our chains, and the ways into them from the base chains."""

    chains: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    jumps: Mapping[str, tuple[Jump, ...]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing of ours is there."""
        return not self.chains and not any(self.jumps.values())


Place = tuple[int, str]
"""Address family (4 or 6) and table."""

Tables = Mapping[Place, Table]
"""What is ours on a host; a table that does not exist is missing."""


def table_of(found: Mapping[str, Any]) -> Table:
    """The table for what the helper process said of it."""
    return Table(
        {name: tuple(rule_of(rule) for rule in rules) for name, rules in found["chains"].items()},
        {
            base: tuple(Jump(position, rule_of(rule)) for position, rule in jumps)
            for base, jumps in found["jumps"].items()
        },
    )
