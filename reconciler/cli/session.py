"""What most commands begin with: manifests read, the host entered, its lock held."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.cli import diagnostics
from reconciler.cli.main import Settings
from reconciler.desired.scope import Scope
from reconciler.errors import NetapplyError, Problem
from reconciler.manifest.model import Manifest

if TYPE_CHECKING:
    from reconciler.kernel.machine import Machine
    from reconciler.plan.plan import Plan


def scope_of(manifests: Sequence[Manifest], *, adopt: bool = False, host_rule: bool = True) -> Scope:
    """The scope of a run over these manifests."""
    return Scope(frozenset(manifest.stack for manifest in manifests), tuple(manifests), adopt, host_rule)


@contextmanager
def machine_of(settings: Settings, *, writing: bool) -> Iterator[Machine]:
    """The host, entered, under its lock: alone when ``writing``, beside other readers otherwise."""
    if sys.platform != "linux":
        hint = "to plan elsewhere: --observed with a snapshot, or --base with other manifests"
        raise NetapplyError.of("looking at the host needs Linux", hint=hint)
    from reconciler.kernel import host, lock, machine  # noqa: PLC0415  # plans without a host must not need Linux

    if os.geteuid() != 0:
        raise NetapplyError.of("looking at the host needs root (CAP_NET_ADMIN and CAP_SYS_ADMIN)", hint="run with sudo")
    entered = host.enter(settings.host_name)
    with lock.held(entered, writing=writing):
        yield machine.Machine(entered, settings.firewall)


def show_warnings(warnings: Sequence[Problem]) -> None:
    """Warnings and notes, on standard error."""
    diagnostics.show(
        warning if warning.severity == "note" else replace(warning, severity="warning") for warning in warnings
    )


def warnings_of(scope: Scope, plan: Plan) -> tuple[Problem, ...]:
    """What the manifests and the host give cause to say."""
    return (*(warning for manifest in scope.manifests for warning in manifest.warnings), *plan.warnings)
