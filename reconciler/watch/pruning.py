"""Which stacks go because their manifest is gone, and when that is not taken as an order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.state import State

_TO_DECIDE = "--allow-empty takes that as an order, netapply down -p NAME removes one"
_EMPTY = f"it is empty; {_TO_DECIDE}"
_WAS_EMPTY = f"it was empty, and not all of its stacks are back; {_TO_DECIDE}"


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
    """Stacks to remove; by directory, why others that are missing stay; and ``stacks_held``, why for each of them.

    Those ``to_remember`` stay, whatever else happens in the directory, until they are there again or somebody decides.
    """

    prune: frozenset[str] = frozenset()
    held: tuple[tuple[str, str], ...] = ()
    stacks_held: Mapping[str, str] = field(default_factory=dict)
    to_remember: Mapping[str, str] = field(default_factory=dict)


def origins(state: State) -> dict[str, str]:
    """Where each stack on the host came from."""
    found: dict[str, str] = {}
    for resource in state:
        origin = getattr(resource, "origin", "")
        if origin:
            found.setdefault(resource.owner, origin)
    return found


def decide(
    standing: Mapping[str, str],
    views: Iterable[View],
    remembered: Mapping[str, str] | None = None,
    *,
    allow_empty: bool = False,
) -> Decision:
    """``standing`` is what stands on the host, with its origin. Only what came from a directory goes with its file.

    ``remembered`` is what an earlier decision said to remember. Of directories that are not watched it stays as it is.
    """
    views = list(views)
    watched = {view.origin for view in views}
    present = frozenset().union(*(view.stacks for view in views))
    remembered = {name: why for name, why in (remembered or {}).items() if name in standing and name not in present}
    kept = {name: why for name, why in remembered.items() if standing[name] not in watched}
    prune: set[str] = set()
    held = []
    stacks_held: dict[str, str] = {}
    for view in views:
        missing = {name for name, origin in standing.items() if origin == view.origin} - present
        if not allow_empty:
            kept |= _not_ordered(view, missing, remembered)
        fault = _fault(view)
        reasons = {name: fault or kept.get(name, "") for name in missing}
        prune |= {name for name, reason in reasons.items() if not reason}
        stacks_held |= {name: f"held: {reason}" for name, reason in reasons.items() if reason}
        texts = [
            f"{reason}; kept: {', '.join(sorted(name for name in missing if reasons[name] == reason))}"
            for reason in sorted(set(reasons.values()) - {""})
        ]
        if texts:
            held.append((view.path, "; ".join(texts)))
    return Decision(frozenset(prune), tuple(held), stacks_held, kept)


def _fault(view: View) -> str:
    """Why nothing at all can be said of what is missing."""
    if view.fault:
        return view.fault
    if view.unknown:
        return f"{view.unknown} of its files cannot be read, and may be of the stacks that are missing"
    return ""


def _not_ordered(view: View, missing: set[str], remembered: Mapping[str, str]) -> dict[str, str]:
    """Why which of the missing stay: too many of them vanished at once, now or earlier."""
    known = {name: remembered[name] for name in missing if name in remembered}
    new = missing - known.keys()
    if view.fault:
        # While it cannot be read, what is in it is what was in it.
        return known
    is_empty = not view.stacks and not view.unknown
    known |= {name: _EMPTY if is_empty else _WAS_EMPTY for name, why in known.items() if why in {_EMPTY, _WAS_EMPTY}}
    if not new:
        return known
    reason = ""
    if is_empty:
        reason = _EMPTY
    elif 2 * len(new) > len(new | view.stacks):
        reason = f"{len(new)} of {len(new | view.stacks)} stacks vanished at once; {_TO_DECIDE}"
    return known | (dict.fromkeys(new, reason) if reason else {})
