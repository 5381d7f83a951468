"""Our one rule in the tables of others: native, iptables-nft and iptables-legacy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.firewall.foreign import Table, observed_accepts, wanted_accepts, warnings
from reconciler.firewall.nftables_layout import PATH
from reconciler.firewall.policy import MARK, HostAccept
from reconciler.kernel import foreign_rules
from reconciler.kernel.libnftables import Nftables, RefusedError
from reconciler.plan.change import Create, Delete, Update
from reconciler.plan.diff import diff
from reconciler.state import State
from tests.kernel.lab import Host
from tests.kernel.nftables_host import BASE, apply, foreign, in_host, nft, repair
from tests.kernel.reachability import policies

NFT_DROP = """table inet mine {
  chain forward { type filter hook forward priority 10; policy accept; ct state established accept; jump rest; }
  chain rest { reject; }
}"""


def test_host_rule_in_a_native_table(host: Host) -> None:
    nft(host, "add table inet mine", "add chain inet mine rest", *NFT_DROP.splitlines())
    wanted = HostAccept("nft", "inet", "mine", "forward")
    assert_accept_heals(host, wanted, lambda: nft(host, "insert rule inet mine forward drop"))
    apply(host, [Delete(wanted)])
    assert "mark" not in host.run(["nft", "list", "table", "inet", "mine"]).stdout


@pytest.mark.parametrize("engine", ["iptables-nft", "iptables-legacy"])
@pytest.mark.parametrize("chain", ["FORWARD", "DOCKER-USER"])
def test_host_rule_in_iptables(host: Host, engine: str, chain: str) -> None:
    host.run([engine, "-w", "-P", "FORWARD", "DROP"])
    if chain != "FORWARD":
        host.run([engine, "-w", "-N", chain])
        host.run([engine, "-w", "-I", "FORWARD", "-j", chain])
    before = host.run([engine, "-w", "-S"]).stdout
    wanted = HostAccept(engine, "ip", "filter", chain)
    insert = [engine, "-w", "-I", "FORWARD", "-p", "tcp", "-j", "REJECT"]
    assert_accept_heals(
        host, wanted, lambda: host.run(insert) if chain == "FORWARD" else host.run([*insert[:3], chain, *insert[4:]])
    )
    bit = f"{MARK:#x}"
    rule = f"-A {chain} -m mark --mark {bit}/{bit} -m comment --comment netapply -j ACCEPT\n"
    listed = host.run([engine, "-w", "-S"]).stdout
    assert listed.count(rule) == 1
    apply(host, [Delete(wanted)])
    host.run([engine, "-w", "-D", chain, "-p", "tcp", "-j", "REJECT"])
    assert host.run([engine, "-w", "-S"]).stdout == before


def assert_accept_heals(host: Host, wanted: HostAccept, disturb: Callable[[], object]) -> None:
    assert wanted_accepts(foreign(host)) == (wanted,)
    assert observed_accepts(foreign(host)) == ()
    apply(host, [Create(wanted)])
    assert observed_accepts(foreign(host)) == wanted_accepts(foreign(host)) == (wanted,)
    disturb()
    (displaced,) = observed_accepts(foreign(host))
    assert displaced == replace(wanted, mark=0)
    apply(host, [Update(displaced, wanted)])
    assert observed_accepts(foreign(host)) == (wanted,)


def test_legacy_tables_are_not_made_by_looking(host: Host) -> None:
    foreign(host)
    assert host.inside(lambda: Path("/proc/thread-self/net/ip_tables_names").read_text()) == ""


def test_a_table_with_an_owner_gives_a_warning_only_and_one_that_sleeps_none(host: Host) -> None:
    def look(opened: Nftables) -> tuple[Table, ...]:
        # The table lives as long as the socket that made it.
        opened.run(
            "table inet firewalld { flags owner\nchain filter_FORWARD { type filter hook forward priority 10; }\n}\n"
            "add rule inet firewalld filter_FORWARD ct state established accept\n"
            "add rule inet firewalld filter_FORWARD reject with icmpx admin-prohibited\n"
            "add table ip asleep { flags dormant; }\n"
            "add chain ip asleep forward { type filter hook forward priority 10; policy drop; }\n"
            "add table ip6 plain\n"
            "add chain ip6 plain forward { type filter hook forward priority 10; policy drop; }\n"
        )
        with Nftables() as second:
            with pytest.raises(RefusedError, match="not permitted"):
                second.run("add rule inet firewalld filter_FORWARD accept")
            # Version 1.0.6 of the library spoils its memory when it prints such a table in JSON, mostly by the tenth time.
            return [foreign_rules.read(second) for _ in range(20)][-1]

    found = in_host(host, look)
    assert wanted_accepts(found) == (HostAccept("nft", "ip6", "plain", "forward"),)
    (warning,) = warnings(found)
    assert "firewall-cmd" in warning.hint


def test_foreign_tables_stay_as_they_are(host: Host) -> None:
    nft(host, "add table inet mine", "add chain inet mine rest", *NFT_DROP.splitlines())
    host.run(["iptables-nft", "-w", "-A", "FORWARD", "-s", "10.0.0.0/8", "-j", "DROP"])
    before = host.run(["nft", "-a", "list", "ruleset"]).stdout
    wanted = State([BASE, *policies()])
    apply(host, diff(State(), wanted))
    nft(host, f"insert rule {PATH} judge accept")
    repair(host, wanted)
    apply(host, [Delete(BASE)])
    assert host.run(["nft", "-a", "list", "ruleset"]).stdout == before
