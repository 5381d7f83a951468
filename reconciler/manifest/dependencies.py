"""``depends_on``, which has no effect here but must be right, and containers that a ``provider`` makes.

What is checked is what Compose checks: a manifest that it refuses shall not pass here until it is needed there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.manifest.circles import circles
from reconciler.manifest.nodes import Mapping, child

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Mapping as Table

    from reconciler.errors import Source
    from reconciler.manifest.context import Context
    from reconciler.manifest.models import ContainerPart

_NETWORKING = (
    *("networks", "network_mode", "ports", "expose", "publish_all", "mac_address", "attach", "open", "listen"),
    *("links", "external_links", "floating_ip", "egress_ip"),
)
_FALSE = frozenset({"false", "no", "n", "off", "0", "f"})
_MOST_PLACES = 5


def check_dependencies(active: Table[str, ContainerPart], context: Context) -> None:
    """Note dependencies on what there is not, on what is not active, and circles."""
    declared = child(context.root, ("containers",))
    inactive = declared.entries.keys() - active.keys() if isinstance(declared, Mapping) else set()
    graph: dict[str, list[str]] = {}
    for name, part in active.items():
        for other, required in _dependencies(part.depends_on):
            if other in active:
                graph.setdefault(name, []).append(other)
            elif other not in inactive:
                hint = context.faults.nearest(other, active)
                message = f"container '{name}' depends on '{other}', which is not in the stack"
                context.faults.add(message, _place(name, other, context), hint or "remove it")
            elif required:
                message = f"container '{name}' depends on '{other}', which is not active; it stands at "
                message += str(context.key_at("containers", other))
                hint = f"{context.why_absent(other)}, or write required: false"
                context.faults.add(message, _place(name, other, context), hint)
    _check_circles(graph, context)


def _dependencies(value: object) -> Iterator[tuple[str, bool]]:
    """Each with whether it must be there; what has not the right form was noted before."""
    if isinstance(value, list):
        yield from ((each, True) for each in value if isinstance(each, str))
    elif isinstance(value, dict):
        for name, entry in value.items():
            required = entry.get("required") if isinstance(entry, dict) else None
            yield name, str(required).lower() not in _FALSE


def _place(name: str, other: str, context: Context) -> Source:
    return context.at("containers", name, "depends_on", other)


def _check_circles(graph: dict[str, list[str]], context: Context) -> None:
    """One fault for each circle, at its first place; the others' are named."""
    for circle in circles(graph):
        # From the entry that stands first.
        places = {name: _place(name, circle[index - len(circle) + 1], context) for index, name in enumerate(circle)}
        start = circle.index(min(circle, key=places.__getitem__))
        names = circle[start:] + circle[:start]
        message = f"depends_on goes in a circle: {' -> '.join([*names, names[0]])}"
        others = [str(places[name]) for name in names[1:]]
        if others:
            message += f"; also at {', '.join(others[:_MOST_PLACES])}{' …' if len(others) > _MOST_PLACES else ''}"
        context.faults.add(message, places[names[0]], "one of them must be there first: remove its dependency")


def take_provided(active: dict[str, ContainerPart], context: Context) -> dict[str, ContainerPart]:
    """Those that netapply makes; a container with ``provider`` is none, and what its keys of networking say is lost."""
    own = {}
    for name, part in active.items():
        if not part.provider:
            own[name] = part
            continue
        context.provided.add(name)
        for key in _NETWORKING:
            if getattr(part, key):
                message = f"'{key}' of container '{name}' is not used: what its provider makes has no network here"
                context.faults.warn(message, context.key_at("containers", name, key), "remove it")
    return own
