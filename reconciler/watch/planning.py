"""A plan for as many stacks as can be planned: one with a fault does not hold up the others."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from reconciler import reconcile
from reconciler.desired.build import desired
from reconciler.desired.scope import Scope
from reconciler.errors import NetapplyError, Problem
from reconciler.manifest.model import Manifest
from reconciler.naming import origin_of
from reconciler.observation import Observation
from reconciler.plan.plan import Plan
from reconciler.state import HOST_OWNER, State
from reconciler.watch.kept import as_kept
from reconciler.watch.manifests import Manifests
from reconciler.watch.pruning import origins
from reconciler.watch.remembered import Place

_CHECKOUT = re.compile(r"/git/[0-9a-f]{16}/current(/|$)")
"""A folder of manifests that netapply itself checks out."""

Faults = dict[str, tuple[Problem, ...]]
"""What is wrong, by stack."""


@dataclass(slots=True)
class Attempt:
    """What a round tries: ``manifests`` by stack, and the stacks that are ``going``. ``fallbacks`` stand in for those at fault."""

    manifests: dict[str, Manifest]
    going: frozenset[str] = frozenset()
    fallbacks: Mapping[str, Manifest] = field(default_factory=dict)
    adopt: bool = False
    host_rule: bool = True
    faults: Faults = field(default_factory=dict)
    kept: Mapping[str, State] = field(default_factory=dict)
    """How other stacks shall stand."""
    places: Mapping[str, Place] = field(default_factory=dict)
    """Where stacks that stand came from."""


def make_plan(attempt: Attempt, known: Manifests, observation: Observation) -> tuple[Plan | None, State]:
    """The plan, None where nothing could be planned at all; what is at fault is noted in ``attempt``, and left out of it.

    A stack at fault is kept as its fallback, the manifest that was applied last.
    """
    standing = origins(observation.state)
    while True:
        manifests = [
            _with_origin(attempt.manifests[name], known, standing, attempt.places) for name in sorted(attempt.manifests)
        ]
        stacks = frozenset(attempt.manifests) | attempt.going
        try:
            scope = Scope(stacks, tuple(manifests), attempt.adopt, attempt.host_rule, patient=True)
            wanted = desired(scope, as_kept(observation, attempt.kept))
            return reconcile.plan_to(wanted, observation), wanted
        except NetapplyError as error:
            problems = tuple(_with_place(problem, attempt.places) for problem in error.problems)
            if not _leave_out(attempt, known, problems, standing):
                attempt.faults.setdefault(HOST_OWNER, problems)
                return None, observation.state


def _leave_out(attempt: Attempt, known: Manifests, problems: tuple[Problem, ...], standing: Mapping[str, str]) -> bool:
    """Take what is to blame out of the attempt; False where there is nothing left to take out."""
    files = {name: known.files_of(name) for name in attempt.manifests}
    blamed: dict[str, list[Problem]] = {}
    for problem in problems:
        for name in _to_blame(problem, files, lambda name: _is_established(name, attempt, standing)):
            blamed.setdefault(name, []).append(problem)
    if not blamed and attempt.going:
        attempt.faults.update(dict.fromkeys(attempt.going, problems))
        attempt.going = frozenset()
        return True
    for name in blamed or list(attempt.manifests):
        attempt.faults.setdefault(name, tuple(blamed.get(name, problems)))
        fallback = attempt.fallbacks.get(name)
        if fallback is None or attempt.manifests[name] == fallback:
            del attempt.manifests[name]
        else:
            attempt.manifests[name] = fallback
    return bool(blamed) or bool(attempt.manifests)


def _to_blame(problem: Problem, files: Mapping[str, set[str]], is_established: Callable[[str], bool]) -> list[str]:
    """Whose place the problem has; but where two want the same, never the one that has it already."""
    message = problem.message
    if problem.source is None:
        return [name for name in files if message.startswith(f"stack {name} ")]
    here = [name for name, own in files.items() if problem.source.file in own]
    there = [name for name, own in files.items() if any(f"{file}:" in message for file in own)]
    rivals = [name for name in there if not is_established(name)]
    return rivals if rivals and all(is_established(name) for name in here) else here


def _is_established(name: str, attempt: Attempt, standing: Mapping[str, str]) -> bool:
    """Whether the stack stands on the host as its manifest says, as far as is known."""
    fallback = attempt.fallbacks.get(name)
    return name in standing if fallback is None else attempt.manifests[name] == fallback


def _with_origin(
    manifest: Manifest, known: Manifests, standing: Mapping[str, str], places: Mapping[str, Place]
) -> Manifest:
    """A stack that was brought up from that very file by hand stays what it is: nobody prunes it.

    One that stands in a watched directory came from the same owner, whatever file in which of them it is made of now.
    """
    name = manifest.stack
    real, origin = known.real_path_of(name), standing.get(name)
    if real and origin == origin_of(real):
        return replace(manifest, origin=real)
    place = places.get(name)
    watched: set[str | None] = {origin_of(directory) for directory in known.directories}
    is_ours = origin in watched or (place and _is_moved(place, known))
    return replace(manifest, named=True) if is_ours else manifest


def _is_moved(place: Place, known: Manifests) -> bool:
    """Whether it was in a directory that is watched, that took another's place, or that is another commit's."""
    if place.directory in known.directories or not os.path.lexists(place.file):
        return True
    return _is_checkout(place.directory) and any(map(_is_checkout, known.directories))


def _is_checkout(directory: str) -> bool:
    return _CHECKOUT.search(directory) is not None


def _with_place(problem: Problem, places: Mapping[str, Place]) -> Problem:
    """What is known of where a stack came from that somebody else seems to have made."""
    for name, place in places.items():
        if problem.message.startswith(f"stack {name} is on this host already and came from another manifest"):
            return replace(problem, message=f"{problem.message}: {place.file}")
    return problem
