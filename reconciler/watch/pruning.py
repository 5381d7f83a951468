"""Which stacks go because their manifest is gone, and when that is not taken as an order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reconciler.state import State


@dataclass(frozen=True, slots=True)
class View:
    """What a watched directory holds: ``stacks`` by their manifests; ``unknown`` files cannot be read as any stack."""

    path: str
    origin: str
    stacks: frozenset[str]
    unknown: int = 0
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Stacks to remove; and, by directory, why others that are missing stay."""

    prune: frozenset[str] = frozenset()
    held: tuple[tuple[str, str], ...] = ()


def origins(state: State) -> dict[str, str]:
    """Where each stack on the host came from."""
    found: dict[str, str] = {}
    for resource in state:
        origin = getattr(resource, "origin", "")
        if origin:
            found.setdefault(resource.owner, origin)
    return found


def decide(standing: Mapping[str, str], views: Iterable[View], *, allow_empty: bool = False) -> Decision:
    """``standing`` is what stands on the host, with its origin. Only what came from a directory goes with its file."""
    views = list(views)
    present = frozenset().union(*(view.stacks for view in views))
    prune: set[str] = set()
    held = []
    for view in views:
        missing = {name for name, origin in standing.items() if origin == view.origin} - present
        if not missing:
            continue
        reason = _reason_to_wait(view, missing, allow_empty=allow_empty)
        if reason:
            held.append((view.path, f"{reason}; kept: {', '.join(sorted(missing))}"))
        else:
            prune |= missing
    return Decision(frozenset(prune), tuple(held))


def _reason_to_wait(view: View, missing: set[str], *, allow_empty: bool) -> str:
    if view.fault:
        return view.fault
    if view.unknown:
        return f"{view.path}: {view.unknown} of its files cannot be read, and may be of the stacks that are missing"
    if allow_empty:
        return ""
    if not view.stacks:
        return f"{view.path} is empty; --allow-empty takes that as an order"
    if 2 * len(missing) > len(missing | view.stacks):
        return f"{len(missing)} of {len(missing | view.stacks)} stacks vanished at once; --allow-empty takes that as an order"
    return ""
