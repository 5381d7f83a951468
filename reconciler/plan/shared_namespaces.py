"""Who uses a network namespace that a plan replaces or removes: they are all named before anything is done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from reconciler.errors import Problem
from reconciler.plan.change import Change, Create, Delete
from reconciler.resources.joined import Joined
from reconciler.resources.namespace import Namespace
from reconciler.resources.process import Process
from reconciler.state import Resource, State


def disturbed_members(changes: Iterable[Change], observed: State) -> Iterator[Problem]:
    """A warning for each sandbox in use that goes or is made anew, with all that use it besides its own container.

    Who goes with it has a line of its own in the plan and is not named.
    """
    changes = list(changes)
    made = {change.key for change in changes if isinstance(change, Create)}
    leaving = {change.key for change in changes if isinstance(change, Delete)} - made
    users = _users(resource for resource in observed if resource.key not in leaving)
    gone = [change for change in changes if isinstance(change, Delete) and isinstance(change.before, Namespace)]
    for change in gone:
        container = change.key.name
        members = sorted(users[container] - {container})
        if members:
            fate = "is made anew" if change.key in made else "is removed"
            message = f"the network namespace of {container} {fate}; it is also used by {', '.join(members)}"
            yield Problem(message, severity="warning")


def _users(resources: Iterable[Resource]) -> Mapping[str, set[str]]:
    """By sandbox, ``stack/name`` of the containers that use it."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for resource in resources:
        if isinstance(resource, Joined | Process):
            found[resource.namespace].add(resource.container)
    return found
