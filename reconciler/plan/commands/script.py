"""A plan as the command lines that do the same: to be read, reviewed and learned from, and to be run by a shell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from reconciler import actions as a
from reconciler.plan.change import Change, Delete, actions_of
from reconciler.plan.commands.actions import ActionLines
from reconciler.plan.commands.firewall import FirewallLines
from reconciler.plan.commands.place import Place
from reconciler.plan.commands.words import remark
from reconciler.plan.plan import Plan, Stage, Step, owner_of
from reconciler.plan.text import SIGNS
from reconciler.state import HOST_OWNER, State


def render(plan: Plan, observed: State, place: Place) -> str:
    """The script, ending with a newline: each change as a remark, and under it what makes it.

    ``observed`` is what the plan was made for. Values of environment variables do not stand in it.

    Raises NetapplyError for a name that cannot stand in a firewall rule.
    """
    if not plan.steps:
        return f"{remark('Nothing to do.')}\n"
    firewall = FirewallLines.on(plan.firewall[0] or "nftables", observed)
    blocks = [
        "\n".join([*(remark(_title(step.change)) for step in steps), *_lines(steps, firewall, place)])
        for steps in _together(plan)
    ]
    return "\n\n".join([*blocks, ""]).rstrip("\n") + "\n"


def in_order(plan: Plan) -> Iterator[Step]:
    """The steps as they are made: the host's own part, each stack, then what no stack needs any more."""
    host = plan.of(HOST_OWNER)
    yield from (step for step in host if step.stage == Stage.HOST)
    for owners in plan.transactions:
        yield from plan.of(*owners)
    yield from (step for step in host if step.stage != Stage.HOST)


def _together(plan: Plan) -> Iterator[list[Step]]:
    """Steps one by one, but those together that are one transaction of the firewall."""
    heads = {owner: owners[0] for owners in plan.transactions for owner in owners}
    for (_, _, is_firewall), group in groupby(in_order(plan), key=lambda step: _sort(step, heads)):
        if is_firewall:
            yield list(group)
        else:
            yield from ([step] for step in group)


def _sort(step: Step, heads: Mapping[str, str]) -> tuple[str, Stage, bool]:
    change = step.change
    owner = owner_of(change)
    return heads.get(owner, owner), step.stage, any(isinstance(action, a.Firewall) for action in actions_of(change))


def _lines(steps: Sequence[Step], firewall: FirewallLines, place: Place) -> Iterator[str]:
    changes = [step.change for step in steps]
    yield from firewall.lines([each for each in changes if any(isinstance(x, a.Firewall) for x in actions_of(each))])
    for change in changes:
        if isinstance(change, Delete) and change.implied:
            yield remark("it goes with what it stands in")
        one = ActionLines(place)
        for action in actions_of(change):
            yield from one.lines(action)


def _title(change: Change) -> str:
    resource = change.before if isinstance(change, Delete) else change.after
    return f"{SIGNS[type(change)]} {resource.key.name.partition(':')[0]}: {resource.describe()}"
