"""Containers that answer through another container, so that other machines get no answer from them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from reconciler.resources.address import Address
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.route import UNICAST, Route
from reconciler.resources.sub_interface import SubInterface
from reconciler.state import Resource


def behind_gateways(state: Iterable[Resource]) -> frozenset[tuple[str, int]]:
    """Containers (``stack/name``) and families whose answers to other machines go into their ``gateway:``.

    Left out are those with further routes, which may lead back. The host itself is answered in any case.
    """
    ways_out: list[Route] = []
    directed: set[tuple[str, int]] = set()
    segments: dict[tuple[str, str], str] = {}
    places: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for resource in state:
        match resource:
            case Route() if resource.is_way_out:
                ways_out.append(resource)
            case Route() if resource.kind == UNICAST:
                directed.add((resource.container, resource.family))
            case Endpoint():
                segments[resource.container, resource.interface] = resource.bridge
            case SubInterface():
                segments[resource.container, resource.interface] = resource.network
            case Address() if resource.namespace:
                places[resource.address.partition("/")[0]].append((resource.namespace, resource.interface))
            case _:
                pass
    found = set()
    for route in ways_out:
        segment = segments.get((route.container, route.interface), "")
        routers = (segments.get(place) for place in places.get(route.gateway, ()) if place[0] != route.container)
        # Only the way through another container waits for something: that it forwards. What is observed does not tell.
        if route.after or (segment and segment in routers):
            found.add((route.container, route.family))
    return frozenset(found - directed)
