"""The nftables backend, as tests work it in a throwaway host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from reconciler.firewall.foreign import Table
from reconciler.firewall.policy import FirewallBase
from reconciler.kernel import foreign_rules, nftables
from reconciler.kernel.libnftables import Nftables
from reconciler.plan.change import Change
from reconciler.plan.diff import diff
from reconciler.state import State
from tests.kernel.lab import Machine

BASE = FirewallBase("nftables")
Result = TypeVar("Result")


def in_host(host: Machine, work: Callable[[Nftables], Result]) -> Result:
    def opened() -> Result:
        with Nftables() as made:
            return work(made)

    return host.inside(opened)


def apply(host: Machine, changes: Sequence[Change]) -> None:
    def work(opened: Nftables) -> None:
        nftables.apply(opened, changes)
        foreign_rules.apply(opened, changes)

    in_host(host, work)


def observed(host: Machine) -> State:
    return State(in_host(host, nftables.observe))


def foreign(host: Machine) -> tuple[Table, ...]:
    return in_host(host, foreign_rules.read)


def repair(host: Machine, wanted: State) -> tuple[Change, ...]:
    changes = diff(observed(host), wanted)
    apply(host, changes)
    assert observed(host) == wanted
    return changes


def nft(host: Machine, *commands: str) -> None:
    host.run(["nft", "-f", "-"], stdin="\n".join(commands))
