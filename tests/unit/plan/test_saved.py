"""Why a saved plan is refused: what differs, and who did that. What ``up`` does with it: tests/kernel/test_saved_plan.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.desired.assumed import assumed_facts
from reconciler.desired.scope import Scope
from reconciler.errors import NetapplyError, Problem
from reconciler.firewall.policy import HostAccept
from reconciler.library import load_manifest
from reconciler.observation import Observation
from reconciler.plan.saved import from_document, objection, saved, to_document
from reconciler.reconcile import make_plan
from reconciler.state import State

SHOP = "{name: shop, containers: {web: {ports: ['8080:80']}, db: }}"
FIREWALL = "the host's own firewall has changed since the plan was made, and needs one rule"
CHAIN = HostAccept("nft", "inet", "f", "fw")
BEFORE = Observation(State(), replace(assumed_facts([]), backend="nftables", backend_reason="default"))
Refusal = Callable[[Observation, str], Problem | None]


def scope_of(path: Path, text: str) -> Scope:
    path.write_text(text)
    manifest = load_manifest(path)
    return Scope(frozenset({manifest.stack}), (manifest,))


@pytest.fixture
def refusal(tmp_path: Path) -> Refusal:
    """What is said of the plan of ``SHOP`` for ``BEFORE`` on that host, with that manifest."""

    def judged(now: Observation, text: str) -> Problem | None:
        scope = scope_of(tmp_path / "shop.yaml", SHOP)
        plan, wanted = make_plan(scope, BEFORE)
        document = to_document(saved(scope, "auto", {}, BEFORE, wanted, plan), b"")
        plan, wanted = make_plan(scope_of(tmp_path / "shop.yaml", text), now)
        return objection("a.plan", from_document(document), now, wanted, plan, b"")

    return judged


def test_the_same_is_not_refused(refusal: Refusal) -> None:
    assert refusal(BEFORE, SHOP) is None


def test_the_hosts_own_firewall_is_no_fault_of_the_manifests(refusal: Refusal) -> None:
    problem = refusal(replace(BEFORE, facts=replace(BEFORE.facts, wanted_accepts=(CHAIN,))), SHOP)
    assert problem is not None
    assert problem.details == (f"{FIREWALL} more: {CHAIN.describe()}",)
    # One that concerns nothing of ours is none.
    chain = replace(CHAIN, hook="input")
    assert refusal(replace(BEFORE, facts=replace(BEFORE.facts, wanted_accepts=(chain,))), SHOP) is None


def test_another_backend_is_named_and_the_hint_is_a_command(refusal: Refusal) -> None:
    facts = replace(BEFORE.facts, backend="iptables", backend_reason="chosen with --firewall")
    problem = refusal(replace(BEFORE, facts=facts), SHOP)
    assert problem is not None
    assert problem.details == ("the plan was made for nftables, this run is for iptables: chosen with --firewall",)
    assert problem.hint.startswith("netapply --firewall nftables up a.plan, or ")


def test_what_the_manifest_changed_is_told_in_its_words_and_the_hint_comes_last(refusal: Refusal) -> None:
    problem = refusal(BEFORE, SHOP.replace("8080", "8081").replace("db:", "dd:"))
    assert problem is not None
    told = str(problem).splitlines()
    assert told[0] == "error: a.plan is not what would be done now, so nothing is"
    assert (
        "  the plan does not have what the manifest asks for now: shop/web: publish 8081/tcp -> web:80, any source"
        in told
    )
    # What is held follows from what is published.
    assert not any("pins" in line or "held" in line for line in told)
    assert [line.startswith("  hint: ") for line in told].index(True) == len(told) - 1


def test_a_plan_of_another_version_is_refused() -> None:
    with pytest.raises(NetapplyError, match="not a plan that this netapply can read"):
        from_document({"netapply_plan": 1})
