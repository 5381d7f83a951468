"""How the rules of a host move from one backend to the other."""

from __future__ import annotations

from dataclasses import replace

from reconciler.firewall.pair import Pair
from reconciler.firewall.policy import FirewallBase, NetworkPolicy, PublishedPort
from reconciler.firewall.switching import combined, missing, of_backend, still_valid, with_takeover
from reconciler.firewall.translation import FloatingPolicy

OLD, NEW = FirewallBase("nftables"), FirewallBase("iptables")
WEB = PublishedPort("shop", "shop/web", "tcp", "0.0.0.0", 8080, "10.0.0.2", 80)
FLOATING = FloatingPolicy("blog", "blog/app", "192.0.2.60", "10.0.0.3")
STRANGE = NetworkPolicy("blog", "blog/front", "br+", ("10.0.0.0/24",))
APP = PublishedPort("blog", "blog/app", "tcp", "0.0.0.0", 9090, "10.0.0.3", 80)


def test_what_the_old_backend_holds_is_observed_before_the_switch() -> None:
    assert combined([], [OLD, WEB]) == (OLD, WEB)


def test_both_bases_are_observed_while_both_stand() -> None:
    assert combined([NEW, WEB], [OLD, WEB]) == (NEW, WEB, OLD)


def test_a_new_base_that_lacks_something_is_not_intact() -> None:
    assert combined([NEW, WEB], [OLD, WEB, APP]) == (replace(NEW, intact=False), WEB, OLD, APP)


def test_what_the_new_backend_cannot_do_it_does_not_lack() -> None:
    """It goes with the old one; iptables has no floating addresses, and cannot say some names of links."""
    left = (FLOATING, STRANGE)
    assert combined([NEW, WEB], [OLD, WEB, *left]) == (NEW, WEB, OLD, *left)
    assert with_takeover([(None, NEW)], [], [OLD, *left]) == [(None, NEW)]
    assert combined([OLD, WEB], [NEW, WEB, STRANGE]) == (replace(OLD, intact=False), WEB, NEW, STRANGE)


def test_the_chosen_backend_is_believed() -> None:
    assert combined([NEW, WEB], [OLD, replace(WEB, target_port=1)]) == (NEW, WEB, OLD)


def test_the_new_base_takes_everything_over_but_what_changes_anyway() -> None:
    changed = replace(WEB, target_port=81)
    pairs: list[Pair] = [(None, NEW), (WEB, changed)]
    assert with_takeover(pairs, [], [OLD, WEB, APP]) == [*pairs, (None, APP)]


def test_without_a_new_base_nothing_is_taken_over() -> None:
    assert with_takeover([(None, WEB)], [NEW], [OLD, APP]) == [(None, WEB)]
    assert with_takeover([(NEW, None)], [NEW], [OLD, APP]) == [(NEW, None)]


def test_each_backend_gets_its_own_base() -> None:
    pairs: list[Pair] = [(None, NEW), (OLD, None), (None, WEB)]
    new, old, web = pairs
    assert of_backend(pairs, "iptables") == [new, web]
    assert of_backend(pairs, "nftables") == [old, web]


def test_the_old_backend_follows_with_what_it_has() -> None:
    as_it_has_it, moved = replace(WEB, target_port=1), replace(WEB, host_port=8081)
    pairs = [(WEB, moved), (APP, None), (None, NEW)]
    assert still_valid(pairs, [OLD, as_it_has_it]) == [(as_it_has_it, moved)]


def test_nothing_is_missing_but_policies() -> None:
    assert missing([], [OLD, WEB]) == (WEB,)
