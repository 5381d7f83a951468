"""Plans that need no host, no right and no Linux: against a snapshot, other manifests, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reconciler.cli import base as bases
from reconciler.cli.arguments import Arguments
from reconciler.desired.assumed import assumed_facts
from reconciler.desired.base import from_elsewhere, made_by, with_origins_of
from reconciler.desired.build import desired
from reconciler.desired.scope import Scope
from reconciler.errors import NetapplyError, Problem
from reconciler.manifest.model import Manifest
from reconciler.observation import Observation
from reconciler.plan.plan import Plan
from reconciler.reconcile import plan_to
from reconciler.snapshot import comparable, has_concealed
from reconciler.state import State


@dataclass(frozen=True, slots=True)
class Instead:
    """What stands for the host: the file of a snapshot, a base (`cli.base`), or both. Empty: the host itself."""

    observed: str = ""
    base: str = ""

    def __bool__(self) -> bool:
        return bool(self.observed or self.base)


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, from where to where, and what else there is to say."""

    plan: Plan
    before: Observation
    after: State
    warnings: tuple[Problem, ...] = ()


def planned(instead: Instead, scope: Scope, arguments: Arguments, firewall: str) -> Planned:
    """The plan for ``scope``, read from ``arguments``, against what stands for the host.

    ``firewall`` as on the command line. Raises NetapplyError: neither can be read, or no plan is possible.
    """
    try:
        return _planned(instead, scope, arguments, firewall)
    except ValueError as error:
        if not instead.observed:
            raise
        # Its fields have the right types; what an address is only those find out who use it.
        message = f"{instead.observed}: this value is none that netapply writes: {error}"
        hint = "write it on the host: netapply snapshot >snapshot.json"
        raise NetapplyError.of(message, hint=hint) from None


def _planned(instead: Instead, scope: Scope, arguments: Arguments, firewall: str) -> Planned:
    base: tuple[Manifest, ...] = ()
    if instead.base:
        base = with_origins_of(bases.manifests_of(instead.base, arguments, scope.manifests), scope.manifests)
    under = _host(instead, (*base, *scope.manifests), firewall)
    before = made_by(base, under, host_rule=scope.host_rule) if instead.base else under
    scope = replace(scope, manifests=from_elsewhere(scope.manifests))
    wanted = desired(scope, before)
    warnings = [*_left_alone(base, scope)]
    if has_concealed(before.state, scope.stacks):
        message = "a snapshot has no values of environment variables, so changes of values alone are not in this plan"
        warnings.append(Problem(message, severity="warning"))
    plan = plan_to(comparable(wanted, before.state), before)
    return Planned(plan, before, wanted, tuple(warnings))


def _host(instead: Instead, manifests: Sequence[Manifest], firewall: str) -> Observation:
    empty = Observation(State(), assumed_facts(manifests))
    found = bases.snapshot_of(instead.observed) if instead.observed else empty
    if firewall == "auto":
        return found
    return replace(found, facts=replace(found.facts, backend=firewall, backend_reason="chosen with --firewall"))


def _left_alone(base: Sequence[Manifest], scope: Scope) -> list[Problem]:
    """A warning for each stack that only the base has: `up` would not remove it."""
    names = sorted({each.stack for each in base} - scope.stacks)
    hint = "what no manifest of the run names stays as it is: netapply down -p NAME removes it, and so does a watcher"
    return [Problem(f"stack {name} is in the base only", hint=hint, severity="warning") for name in names]
