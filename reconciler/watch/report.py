"""What ``netapply status`` says of the running watcher."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from reconciler.errors import Problem
from reconciler.watch.git_follower import Follower
from reconciler.watch.keeper import Keeper
from reconciler.watch.records import StackRecord

_MOST_REASONS = 5
"""Of what fails in one stack so much is given as the reason; ``last_error`` has all."""


def document(keeper: Keeper, started: float, rounds: int, follower: Follower | None = None) -> dict[str, Any]:
    """As plain data; ``started`` is seconds since the epoch."""
    manifests = keeper.manifests
    held = dict(keeper.decision.held) if keeper.policy.prune else {}
    return {
        "format_version": 1,
        "pid": os.getpid(),
        "started": _instant(started),
        "reconciles": rounds,
        "directories": [
            {
                "path": directory.path,
                "manifests": len(directory.files),
                "error": directory.fault or None,
                "held": held.get(directory.path),
            }
            for directory in manifests.directories.values()
        ],
        "git": _git(follower) if follower else None,
        "unconfirmed": _problem(keeper.standstill.problem) if keeper.standstill.problem else None,
        "stacks": list(stacks(keeper)),
        "manifest_errors": [
            {"file": path, "problems": [_problem(problem) for problem in problems]}
            for path, problems in sorted(manifests.problems().items())
        ],
        "fights": [
            {"kind": str(fight.key.kind), "name": fight.key.name, "what": fight.description, "times": fight.times}
            for fight in keeper.fights.all(time.monotonic())
        ],
    }


def _git(follower: Follower) -> dict[str, Any]:
    origin = follower.repository.origin
    return {
        "url": origin.shown,
        "ref": origin.ref,
        "path": origin.path,
        "commit": follower.commit or None,
        "updated": _instant(follower.updated) if follower.updated else None,
        "error": follower.problem.message if follower.problem else None,
    }


def stacks(keeper: Keeper) -> Iterator[dict[str, Any]]:
    """How each watched stack is, as plain data."""
    broken, unusable = keeper.manifests.problems(), keeper.manifests.unusable()
    for name in sorted({*keeper.manifests.stacks(), *unusable, *keeper.held}):
        record = keeper.records.get(name, StackRecord())
        files = unusable.get(name) or (keeper.file_of(name),)
        faults = tuple(problem for file in files for problem in broken.get(file, ()))
        problems = faults or keeper.errors_of(name)
        if name in unusable:
            state, reason = "out of sync", _why_unusable(keeper, name, faults)
        elif name not in keeper.manifests.stacks():
            state, reason = "out of sync", _why_held(keeper, name)
        else:
            state, reason = _state(keeper, name, is_broken=bool(faults))
        yield {
            "name": name,
            "file": files[0],
            "state": state,
            "reason": reason or None,
            "last_error": [_problem(problem) for problem in problems] or None,
            "last_apply": _instant(record.applied_time) if record.applied_time else None,
            "healed": record.healed,
            "held": name in keeper.held and name not in keeper.manifests.stacks(),
        }


def _state(keeper: Keeper, name: str, *, is_broken: bool) -> tuple[str, str]:
    if keeper.lock_wait.reason:
        return "out of sync", keeper.lock_wait.reason
    if keeper.fights.stack_waits(name, time.monotonic()):
        return "out of sync", "another program undoes what is healed"
    errors = keeper.errors_of(name)
    if errors:
        return "out of sync", _all(errors)
    if keeper.is_pending(name):
        return "out of sync", "not applied yet"
    dead = keeper.dead_commands_of(name)
    if dead:
        return "out of sync", "; ".join(dead)
    if is_broken:
        return "in sync", "its manifest is broken; the last good one is kept"
    return "in sync", ""


def _all(errors: Sequence[Problem]) -> str:
    messages = list(dict.fromkeys(error.message for error in errors))
    more = len(messages) - _MOST_REASONS
    return "; ".join([*messages[:_MOST_REASONS], *([f"and {more} more"] if more > 0 else [])])


def _why_unusable(keeper: Keeper, name: str, faults: Sequence[Problem]) -> str:
    """Of a stack whose files do not say what it shall be."""
    errors = keeper.errors_of(name)
    words = faults[0].message if faults else "its manifest cannot be used"
    stands = "no good manifest is known, " + ("it is kept as it stood" if keeper.is_kept(name) else "nothing is done")
    return errors[0].message if errors else f"{words}; {stands}"


def _why_held(keeper: Keeper, name: str) -> str:
    """Of a stack whose manifest is gone, which was not taken as an order."""
    errors = keeper.errors_of(name)
    if errors:
        return errors[0].message
    return f"{keeper.held[name]}; it is kept as it stood" if keeper.is_kept(name) else keeper.held[name]


def is_well(status: dict[str, Any]) -> bool:
    """Whether every stack is as its manifest says, and every manifest and directory is good."""
    directories = all(not each["error"] and not each["held"] for each in status["directories"])
    stacks = all(each["state"] == "in sync" for each in status["stacks"])
    git = status.get("git")
    reached = not (git and git["error"])
    return (
        directories
        and stacks
        and reached
        and not status["unconfirmed"]
        and not status["manifest_errors"]
        and not status["fights"]
    )


def render(status: dict[str, Any]) -> str:
    """For people."""
    lines = [f"watcher: process {status['pid']}, since {status['started']}, {status['reconciles']} reconciles"]
    for directory in status["directories"]:
        word = directory["error"] or directory["held"]
        manifests = f"{directory['manifests']} manifest{'' if directory['manifests'] == 1 else 's'}"
        lines.append(f"  {directory['path']}: {manifests}{f'; {word}' if word else ''}")
    git = status.get("git")
    if git:
        error = f"; {git['error']}" if git["error"] else ""
        lines.append(f"  {git['url']} {git['ref']}: commit {(git['commit'] or 'none')[:12]}{error}")
    if status["unconfirmed"]:
        lines.append(f"  nothing is done until this is over: {status['unconfirmed']['message']}")
    width = max((len(stack["name"]) for stack in status["stacks"]), default=0)
    for stack in status["stacks"]:
        reason = f" ({stack['reason']})" if stack["reason"] else ""
        applied = stack["last_apply"] or "never"
        line = f"{stack['name']:{width}}  {stack['state']}{reason}; last applied {applied}; healed {stack['healed']}"
        lines.append(line)
    for broken in status["manifest_errors"]:
        lines += [problem["text"] for problem in broken["problems"]]
    for fight in status["fights"]:
        lines.append(f"fight: {fight['name']} ({fight['what']}) was undone {fight['times']} times")
    return "\n".join([*lines, ""])


def _problem(problem: Problem) -> dict[str, Any]:
    source = str(problem.source) if problem.source else None
    return {"source": source, "message": problem.message, "hint": problem.hint or None, "text": str(problem)}


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
