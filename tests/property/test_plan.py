"""What every plan keeps: it leads to the goal, in an order that can be done, and there is no second one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.desired.build import desired
from reconciler.desired.scope import Scope
from reconciler.firewall.policy import PublishedPort
from reconciler.kernel.execute import inverse
from reconciler.manifest.model import Attachment, Container, Manifest, Network
from reconciler.observation import Facts, Listener, Observation
from reconciler.plan.change import Create, Delete, Update
from reconciler.plan.diff import diff
from reconciler.plan.document import document
from reconciler.plan.plan import Plan, Stage, Step, order, owner_of
from reconciler.plan.text import render
from reconciler.resources.process import Process
from reconciler.snapshot import state_to_document
from reconciler.state import HOST_OWNER, Kind, State
from tests.property.simulation import as_observed, simulate
from tests.property.strategies import drifts, manifests, scope, seen, shuffled

NOTHING = Observation(State())


def steps_to(wanted: State, observed: State) -> tuple[Step, ...]:
    return order(diff(observed, wanted), observed, wanted)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Observation, tuple[Manifest, ...]]:
    """A host that was made by two stacks and has drifted since, and what the stacks shall be now."""
    before = (draw(manifests()), draw(manifests("blog")))
    made = as_observed(desired(scope(*before), NOTHING))
    return seen(draw(drifts(made))), (draw(manifests()), draw(st.sampled_from([before[1], draw(manifests("blog"))])))


@given(situations())
def test_a_plan_leads_from_what_is_to_what_shall_be_and_can_be_done_in_its_order(
    situation: tuple[Observation, tuple[Manifest, ...]],
) -> None:
    observation, wanted_manifests = situation
    wanted = desired(scope(*wanted_manifests), observation)
    assert simulate(steps_to(wanted, observation.state), observation.state) == wanted


@given(situations())
def test_a_second_plan_is_empty(situation: tuple[Observation, tuple[Manifest, ...]]) -> None:
    observation, wanted_manifests = situation
    wanted = as_observed(desired(scope(*wanted_manifests), observation))
    again = seen(wanted, observation.facts)
    assert diff(wanted, desired(scope(*wanted_manifests), again)) == ()
    assert render(Plan(())) == "Nothing to do.\n"


@given(situations(), st.sampled_from(["shop", "blog"]))
def test_stacks_out_of_scope_are_not_touched(situation: tuple[Observation, tuple[Manifest, ...]], stack: str) -> None:
    observation, wanted_manifests = situation
    (own,) = (manifest for manifest in wanted_manifests if manifest.stack == stack)
    wanted = desired(scope(own), observation)
    owners = {owner_of(step.change) for step in steps_to(wanted, observation.state)}
    assert owners <= {stack, HOST_OWNER}


@given(situations())
def test_down_leaves_nothing_and_can_be_done_in_its_order(
    situation: tuple[Observation, tuple[Manifest, ...]],
) -> None:
    observation, _ = situation
    nothing = desired(Scope(frozenset({"shop", "blog"})), observation)
    assert not len(nothing)
    assert not len(simulate(steps_to(nothing, observation.state), observation.state))


@given(situations(), st.data())
def test_the_order_of_the_file_says_nothing(
    situation: tuple[Observation, tuple[Manifest, ...]], data: st.DataObject
) -> None:
    observation, wanted_manifests = situation
    others = data.draw(st.permutations([data.draw(_shuffles(manifest)) for manifest in wanted_manifests]))
    first, second = desired(scope(*wanted_manifests), observation), desired(scope(*others), observation)
    assert first == second
    plans = [Plan(steps_to(wanted, observation.state)) for wanted in (first, second)]
    assert render(plans[0]) == render(plans[1])
    assert document(plans[0], ["shop"]) == document(plans[1], ["shop"])


@st.composite
def _shuffles(draw: st.DrawFn, manifest: Manifest) -> Manifest:
    return shuffled(draw, manifest)


@given(situations())
def test_up_then_down_then_up_gives_the_same_again(situation: tuple[Observation, tuple[Manifest, ...]]) -> None:
    _, wanted_manifests = situation
    first = desired(scope(*wanted_manifests), NOTHING)
    gone = desired(Scope(frozenset({"shop", "blog"})), seen(as_observed(first)))
    assert desired(scope(*wanted_manifests), seen(gone)) == first


@given(situations())
def test_what_was_done_can_be_undone(situation: tuple[Observation, tuple[Manifest, ...]]) -> None:
    observation, wanted_manifests = situation
    observed = observation.state
    steps = steps_to(desired(scope(*wanted_manifests), observation), observed)
    reversible = [step for step in steps if step.stage < Stage.STOP]
    for length in (len(reversible), len(reversible) // 2):
        attempted = reversible[:length]
        halfway = simulate(attempted, observed, checked=False)
        assert simulate(inverse(attempted), halfway, checked=False) == observed


@given(situations())
def test_undoing_twice_is_doing(situation: tuple[Observation, tuple[Manifest, ...]]) -> None:
    observation, wanted_manifests = situation
    steps = steps_to(desired(scope(*wanted_manifests), observation), observation.state)
    assert [_bare(step) for step in inverse(inverse(steps))] == [_bare(step) for step in steps]


def _bare(step: Step) -> tuple[object, ...]:
    match step.change:
        case Create(after=after):
            return (step.stage, "create", after)
        case Update(before=before, after=after):
            return (step.stage, "update", before, after)
        case Delete(before=before):
            return (step.stage, "delete", before)


@given(situations())
def test_what_cannot_be_undone_comes_last(situation: tuple[Observation, tuple[Manifest, ...]]) -> None:
    observation, wanted_manifests = situation
    wanted = desired(scope(*wanted_manifests), observation)
    steps = steps_to(wanted, observation.state)
    assert [step.stage for step in steps] == sorted(step.stage for step in steps)
    made_anew = {step.change.key for step in steps if isinstance(step.change, Create)} & {*observation.state.keys()}
    for step in steps:
        change = step.change
        if isinstance(change, Delete) and change.key.kind in {Kind.PROCESS, Kind.NAMESPACE}:
            in_the_way = not made_anew.isdisjoint((change.key, *change.before.needs()))
            assert in_the_way or step.stage >= Stage.STOP


@given(situations())
def test_no_secret_stands_in_a_plan(situation: tuple[Observation, tuple[Manifest, ...]]) -> None:
    observation, wanted_manifests = situation
    canary = "zq-canary"
    exposed = [
        replace(
            manifest,
            containers=tuple(replace(each, environment=(("KEY", canary),)) for each in manifest.containers),
        )
        for manifest in wanted_manifests
    ]
    wanted = desired(scope(*exposed), observation)
    plan = Plan(steps_to(wanted, observation.state))
    told = f"{document(plan, ['shop'])} {state_to_document(wanted)} {plan!r} {render(plan)}"
    processes = [resource for resource in wanted if isinstance(resource, Process)]
    assert all(dict(process.environment)["KEY"] == canary for process in processes)
    assert canary not in told


@given(situations())
def test_a_foreign_listener_does_not_hinder_what_stands(
    situation: tuple[Observation, tuple[Manifest, ...]],
) -> None:
    _, wanted_manifests = situation
    wanted = desired(scope(*wanted_manifests), NOTHING)
    ports = [port for port in wanted if isinstance(port, PublishedPort) and not port.routed]
    listeners = tuple(Listener(port.protocol, port.host_address, port.host_port, "other") for port in ports)
    facts = Facts(listeners=listeners)
    assert desired(scope(*wanted_manifests), seen(as_observed(wanted), facts)) == wanted


def test_the_model_itself_refuses_a_wrong_order() -> None:
    """The properties above are worth as much as the model's eye for what is wrong."""
    manifest = _one_container()
    wanted = desired(scope(manifest), NOTHING)
    steps = steps_to(wanted, State())
    with pytest.raises(AssertionError, match="comes before"):
        simulate(reversed(steps), State())
    with pytest.raises(AssertionError, match="is there already"):
        simulate((*steps, steps[-1]), State())
    with pytest.raises(AssertionError, match="not as the plan says"):
        simulate([*inverse(steps)][1:] * 2, wanted)


def _one_container() -> Manifest:
    network = Network("front", "shop_front")
    return Manifest(
        "shop",
        named=True,
        origin="/x",
        networks=(network,),
        containers=(Container("web", attachments=(Attachment("front"),)),),
    )
