"""Where commands run: what tells a sandbox that lost its name from one that is gone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace

from reconciler.kernel import runtime
from reconciler.kernel.runtime import Workload
from reconciler.resources.namespace import Namespace
from reconciler.state import Resource


def homes(workloads: Iterable[Workload]) -> dict[str, str]:
    """Paths of the namespaces of commands that are not where a name leads, by the sandbox that it should be."""
    return {
        workload.process.namespace: f"/proc/{workload.pid}/ns/net"
        for workload in workloads
        if workload.pid and workload.process.namespace and workload.process.fault == runtime.ELSEWHERE
    }


def at_home(workloads: Iterable[Workload], resources: Iterable[Resource]) -> list[Workload]:
    """The same; one in a sandbox that lost only its name runs where it should, and has no fault."""
    lost = {each.container: each.where for each in resources if isinstance(each, Namespace) and each.where}
    return [_without_fault(workload) if _is_in(workload, lost) else workload for workload in workloads]


def without_restart(workloads: Sequence[Workload]) -> list[Workload]:
    """The same; that one which has ended is to run again is no fault: it may have ended at once, as often before."""
    return [
        _without_fault(workload) if workload.process.fault.startswith(runtime.ENDED) else workload
        for workload in workloads
    ]


def _is_in(workload: Workload, lost: dict[str, str]) -> bool:
    where = lost.get(workload.process.namespace)
    if where is None or not workload.pid or workload.process.fault != runtime.ELSEWHERE:
        return False
    try:
        return os.path.samefile(where, f"/proc/{workload.pid}/ns/net")  # noqa: PTH121  # no Path is at hand
    except (FileNotFoundError, ProcessLookupError):
        return False


def _without_fault(workload: Workload) -> Workload:
    return replace(workload, process=replace(workload.process, fault=""))
