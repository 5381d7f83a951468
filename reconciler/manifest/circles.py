"""Circles in what leads to what: owners of namespaces, gateways, dependencies."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def circles(graph: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """Circles that have no name in common, each begun at the one of its names that is first in ``graph``.

    One pass: what is in a circle, or led to none, is not looked at again.
    """
    order = {name: index for index, name in enumerate(graph)}
    done: set[str] = set()
    for start in graph:
        if start in done:
            continue
        way = {start: iter(graph[start])}
        while way:
            last = next(reversed(way))
            step = next(way[last], None)
            if step is None:
                done.add(last)
                del way[last]
            elif step in way:
                circle = _taken_off(way, step)
                done.update(circle)
                first = circle.index(min(circle, key=order.__getitem__))
                yield circle[first:] + circle[:first]
            elif step in graph and step not in done:
                way[step] = iter(graph[step])


def _taken_off(way: dict[str, Iterator[str]], start: str) -> list[str]:
    """The names from ``start`` on, which are taken off the way."""
    circle: list[str] = []
    while not circle or circle[-1] != start:
        circle.append(way.popitem()[0])
    return circle[::-1]
