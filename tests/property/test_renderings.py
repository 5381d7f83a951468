"""Whatever a plan is: every form of it is complete, of bounded size, the same again, and without secrets."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser

from hypothesis import given, settings

from reconciler.cli.rendering import FORMATS, rendered
from reconciler.desired.build import desired
from reconciler.graph import dot, mermaid, page, svg
from reconciler.graph.topology import Mark, topology
from reconciler.manifest.model import Manifest
from reconciler.observation import Observation
from reconciler.plan import exposure
from reconciler.plan.grouping import entries, resource_of, shown
from reconciler.plan.markdown import LIMIT
from reconciler.plan.plan import Plan
from reconciler.plan.ways import ways
from tests.property.strategies import scope
from tests.property.test_plan import situations, steps_to

CANARY = "zq-canary"
Situation = tuple[Observation, tuple[Manifest, ...]]


class _Balance(HTMLParser):
    """Notices an element that is not closed where it was opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        del attrs  # how it looks is nobody's business here
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@settings(max_examples=40)
@given(situations())
def test_no_form_of_a_plan_shows_a_secret_and_each_is_whole(situation: Situation) -> None:
    observation, manifests = situation
    secret = [
        replace(each, containers=tuple(replace(one, environment=(("KEY", CANARY),)) for one in each.containers))
        for each in manifests
    ]
    wanted = desired(scope(*secret), observation)
    plan = Plan(steps_to(wanted, observation.state))
    for output_format in FORMATS:
        for detail in (False, True):
            text = rendered(plan, observation.state, wanted, ["shop", "blog"], output_format, detail=detail)
            assert CANARY not in text
            assert text.endswith("\n")
            assert text == rendered(plan, observation.state, wanted, ["blog", "shop"], output_format, detail=detail)
    json.loads(rendered(plan, observation.state, wanted, ["shop"], "json"))
    assert len(rendered(plan, observation.state, wanted, ["shop"], "markdown").encode()) <= LIMIT
    balance = _Balance()
    balance.feed(rendered(plan, observation.state, wanted, ["shop"], "html"))
    assert balance.open == []
    picture = topology(wanted, observation.state)
    for drawn in (mermaid.render(picture), dot.render(picture), svg.render(picture), page.render(picture, "x")):
        assert CANARY not in drawn


@given(situations())
def test_folding_loses_nothing(situation: Situation) -> None:
    observation, manifests = situation
    plan = Plan(steps_to(desired(scope(*manifests), observation), observation.state))
    found = entries(plan.changes)
    folded = [change for entry in found for change in entry.changes]
    assert sorted(map(id, folded)) == sorted(map(id, shown(plan.changes)))
    for entry in found:
        assert len({type(change) for change in entry.changes}) == 1
        assert len({(resource_of(change).owner, resource_of(change).subject) for change in entry.changes}) == 1
        worst = max(list(type(entry.disruption)).index(change.disruption) for change in entry.changes)
        assert list(type(entry.disruption))[worst] is entry.disruption


@given(situations())
def test_what_is_told_of_reach_adds_up(situation: Situation) -> None:
    observation, manifests = situation
    wanted = desired(scope(*manifests), observation)
    before, after = ways(observation.state), ways(wanted)
    change = exposure.difference(observation.state, wanted)
    for here, there, told in ((after, before, change.opened), (before, after, change.closed)):
        new = {way for way in here if not any(other.covers(way) for other in there)}
        assert {way.target for way in new} == {way.target for way in told}
        assert bool(new) == bool(told)
    assert (exposure.exposed(observation.state) == exposure.exposed(wanted)) <= (not change)
    assert not set(change.opened) & set(change.closed)


@given(situations())
def test_what_is_marked_is_what_changes(situation: Situation) -> None:
    observation, manifests = situation
    wanted = desired(scope(*manifests), observation)
    plan = Plan(steps_to(wanted, observation.state))
    subjects = {(resource_of(each).owner, resource_of(each).subject) for each in plan.changes}
    for container in topology(wanted, observation.state).containers:
        stack, _, name = container.identity.partition("/")
        assert (container.mark is not Mark.SAME) == ((stack, f"container {name}") in subjects)
