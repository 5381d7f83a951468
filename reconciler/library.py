"""netapply as a library: read manifests, plan, apply. The package `reconciler` offers these names itself.

Each function imports what it needs when it is called, so that reading a manifest costs nothing
that only the kernel's side needs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.errors import NetapplyError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.manifest.model import Manifest
    from reconciler.observation import Observation
    from reconciler.plan.plan import Plan
    from reconciler.reconcile import Outcome

_NO_HOST: dict[str, Any] = {"format_version": 1, "resources": [], "facts": {}}


def load_manifest(
    *paths: Path | str,
    stack_name: str | None = None,
    environment: Mapping[str, str] | None = None,
    profiles: Sequence[str] | str = (),
    env_files: Sequence[Path | str] | Path | str | None = None,
) -> Manifest:
    """Read one stack from a file, or from several that are merged as Compose does it.

    ``environment`` is where variables are taken from, the process' own if it is None. The
    rest is as on the command line: ``-p``, ``--profile``, ``--env-file``; one name need not be in a list.
    """
    from reconciler import manifest  # noqa: PLC0415  # who only plans need not pay for pydantic

    variables = os.environ if environment is None else environment
    wanted = (profiles,) if isinstance(profiles, str) else profiles
    files = (env_files,) if isinstance(env_files, str | Path) else env_files
    return manifest.load(paths, stack_name=stack_name, environment=variables, profiles=wanted, env_files=files)


def canonical_manifest(manifest: Manifest) -> dict[str, Any]:
    """What ``netapply config --format json`` shows: plain values, long forms, environment values hidden."""
    from reconciler.manifest.canonical import canonical  # noqa: PLC0415  # as above

    return canonical(manifest)


def manifest_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of manifests."""
    from reconciler.manifest.schema import schema  # noqa: PLC0415  # as above

    return schema()


def observe(*, host: str = "", firewall: str = "auto") -> Observation:
    """What stands on this host, as far as it is netapply's, and the facts about the rest. Needs root.

    With ``host`` the calling thread first enters the network namespace of that name, and stays
    there. ``firewall`` is auto, nftables or iptables.
    """
    from reconciler.kernel import host as hosts  # noqa: PLC0415  # as above
    from reconciler.kernel import lock, machine  # noqa: PLC0415  # as above

    entered = hosts.enter(host)
    with lock.held(entered, writing=False):
        return machine.Machine(entered, firewall).observe()


def read_observation(document: Any) -> Observation:
    """The observation that ``netapply snapshot`` wrote, or an empty host's for ``None``."""
    from reconciler.snapshot import observation_from_document  # noqa: PLC0415  # as above

    return observation_from_document(_NO_HOST if document is None else document)


def plan(*manifests: Manifest, observation: Observation, adopt: bool = False, host_rule: bool = True) -> Plan:
    """What would make the observed host like the manifests. Nothing is touched, and no right is needed.

    ``adopt`` takes over stacks of the same name that came from other manifests; without
    ``host_rule`` the host's own firewall is left as it is, with a warning where it is in the way.
    """
    from reconciler.desired.scope import Scope  # noqa: PLC0415  # as above
    from reconciler.reconcile import make_plan  # noqa: PLC0415  # as above

    stacks = _stack_names(manifests)
    return make_plan(Scope(stacks, manifests, adopt, host_rule), observation)[0]


def plan_text(plan: Plan) -> str:
    """The plan as ``netapply plan`` shows it."""
    from reconciler.plan import text  # noqa: PLC0415  # as above

    return text.render(plan)


def plan_document(plan: Plan, *manifests: Manifest) -> dict[str, Any]:
    """The plan as ``netapply plan --format json`` writes it."""
    from reconciler.plan import document  # noqa: PLC0415  # as above

    return document.document(plan, sorted(manifest.stack for manifest in manifests))


def up(
    *manifests: Manifest, host: str = "", firewall: str = "auto", adopt: bool = False, host_rule: bool = True
) -> Outcome:
    """Make the host like the manifests, verify it, roll back what fails. Needs root; the rest as `observe`, `plan`.

    What failed stands in the outcome's ``problems``; a plan that cannot be made raises.
    """
    return _run(_stack_names(manifests), manifests, host, firewall, adopt, host_rule)


def down(*stack_names: str, host: str = "", firewall: str = "auto") -> Outcome:
    """Remove everything of these stacks and nothing else; none of it there is no error. Needs root."""
    return _run(frozenset(stack_names), (), host, firewall, adopt=False, host_rule=True)


def _stack_names(manifests: tuple[Manifest, ...]) -> frozenset[str]:
    origins: dict[str, str] = {}
    for manifest in manifests:
        if manifest.stack in origins:
            message = f"two stacks are named '{manifest.stack}': {origins[manifest.stack]} and {manifest.origin}"
            raise NetapplyError.of(message, hint="give one of them another name:, or load both files as one stack")
        origins[manifest.stack] = manifest.origin
    return frozenset(origins)


def _run(
    stacks: frozenset[str], manifests: tuple[Manifest, ...], host: str, firewall: str, adopt: bool, host_rule: bool
) -> Outcome:
    from reconciler import reconcile  # noqa: PLC0415  # as above
    from reconciler.desired.scope import Scope  # noqa: PLC0415  # as above
    from reconciler.kernel import host as hosts  # noqa: PLC0415  # as above
    from reconciler.kernel import lock, unconfirmed  # noqa: PLC0415  # as above
    from reconciler.kernel.machine import Machine  # noqa: PLC0415  # as above

    scope = Scope(stacks, manifests, adopt, host_rule)
    entered = hosts.enter(host)
    with lock.held(entered, writing=True):
        unconfirmed.refuse(entered)
        machine = Machine(entered, firewall)
        made, wanted = reconcile.make_plan(scope, machine.observe(scope.host_ports, attachable=scope.attachable))
        return reconcile.apply(machine, made, wanted)
