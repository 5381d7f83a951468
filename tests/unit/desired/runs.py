"""Runs over manifests given as texts, on a host that earlier runs left: pure, nothing is touched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler import manifest
from reconciler.desired.build import desired
from reconciler.desired.scope import Scope
from reconciler.errors import NetapplyError, Problem
from reconciler.observation import Facts, HostLink, Observation
from reconciler.resources.host_address import HostAddress
from reconciler.resources.route import Route
from reconciler.state import State
from tests.property.simulation import as_observed

FACTS = Facts(
    interfaces=frozenset({"lan0"}),
    links=(HostLink("lan0"),),
    addresses=("192.0.2.1", "2001:db8::1"),
    host_networks=(("lan0", "192.0.2.1/24"), ("lan0", "2001:db8::1/64")),
)


def plan(*texts: str, on: Observation | None = None, down: str = "") -> State:
    """What the manifests ask for, and without the stack ``down``."""
    read = tuple(manifest.load(["-"], environment={}, stdin=text) for text in texts)
    stacks = {each.stack for each in read} | ({down} if down else set())
    return desired(Scope(frozenset(stacks), read), on or Observation(State(), FACTS))


def up(*texts: str, on: Observation | None = None, down: str = "") -> Observation:
    """The host after a run."""
    before = on or Observation(State(), FACTS)
    state = as_observed(plan(*texts, on=before, down=down))
    floating = tuple(each.address for each in state if isinstance(each, HostAddress))
    return replace(before, state=state, facts=replace(before.facts, addresses=(*FACTS.addresses, *floating)))


def refused(*texts: str, on: Observation | None = None, down: str = "") -> list[Problem]:
    """Why a run cannot be planned."""
    with pytest.raises(NetapplyError) as caught:
        plan(*texts, on=on, down=down)
    return list(caught.value.problems)


def message(*texts: str, on: Observation | None = None, down: str = "") -> str:
    """The one reason why a run cannot be planned, with its place and hint."""
    (problem,) = refused(*texts, on=on, down=down)
    return str(problem)


def routes(state: State, container: str) -> dict[str, str]:
    """Destination and gateway of every route of a container."""
    return {each.destination: each.gateway for each in state if isinstance(each, Route) and each.container == container}
