"""The nftables backend with real packets."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from reconciler.firewall.foreign import observed_accepts, wanted_accepts
from reconciler.firewall.policy import FirewallBase
from reconciler.kernel import foreign_rules, nftables
from reconciler.kernel.libnftables import Nftables
from reconciler.plan.change import Change, Create
from tests.kernel.lab import Lab, Machine
from tests.kernel.reachability import build, cases, failures, policies

BASE = FirewallBase("nftables")


def apply(host: Machine, changes: Sequence[Change]) -> None:
    def work() -> None:
        with Nftables() as opened:
            nftables.apply(opened, changes)
            foreign_rules.apply(opened, changes)

    host.inside(work)


def set_forward_policy(host: Machine, engine: str) -> None:
    for program in ("iptables", "ip6tables"):
        host.run([f"{program}-{engine}", "-w", "-P", "FORWARD", "DROP"])


@pytest.mark.parametrize("bridge_netfilter", [False, True], ids=["bridge-nf-0", "bridge-nf-1"])
@pytest.mark.parametrize("engine", ["", "nft", "legacy"], ids=["accept", "drop-nft", "drop-legacy"])
def test_reachability(lab: Lab, engine: str, *, bridge_netfilter: bool) -> None:
    world = build(lab, bridge_netfilter=bridge_netfilter)
    if engine:
        set_forward_policy(world.host, engine)
    apply(world.host, [Create(BASE), *(Create(policy) for policy in policies())])

    def accept() -> int:
        with Nftables() as opened:
            wanted = wanted_accepts(foreign_rules.read(opened))
            foreign_rules.apply(opened, [Create(each) for each in wanted])
            assert observed_accepts(foreign_rules.read(opened)) == wanted
            return len(wanted)

    assert world.host.inside(accept) == (2 if engine else 0)
    assert failures(lab, world, cases()) == []
