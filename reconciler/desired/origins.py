"""Where each stack of the run comes from."""

from __future__ import annotations

from reconciler.desired.known import Known
from reconciler.desired.scope import Scope
from reconciler.errors import Problem
from reconciler.naming import origin_of


def origins_of(scope: Scope, known: Known, problems: list[Problem]) -> dict[str, str]:
    """Where each stack came from; one that stands keeps its origin unless it is adopted.

    A stack whose name was only derived from a file's may be somebody else's of the same
    name, which is a problem; an explicit name is identity enough.
    """
    present = {owner: origin for owner, origin in known.origins() if owner in scope.stacks}
    origins = {}
    for manifest in scope.manifests:
        own = origin_of(manifest.origin)
        found = present.get(manifest.stack)
        origins[manifest.stack] = own if scope.adopt else found or own
        # A watcher marks with its directory what it makes of the files in it.
        watched = origin_of(manifest.origin.rpartition("/")[0])
        if found and found not in {own, watched} and not manifest.named and not scope.adopt:
            message = (
                f"stack {manifest.stack} is on this host already and came from another manifest than {manifest.origin}"
            )
            hint = "give the manifest a name: of its own, or take the stack over with --adopt"
            problems.append(Problem(message, hint=hint))
    return origins
