"""Links between containers, as the names that one of them alone knows."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.resources.resolver import Resolver
from reconciler.state import State
from reconciler.views.places import Place


def links(state: State, container: str, every: Sequence[Place]) -> dict[str, tuple[str, ...]]:
    """``target:alias`` of each link of ``stack/name``, by the network over which it leads, as Docker writes them.

    A target of the same stack goes by its name, another by ``stack/name``, a lost one by its address.
    """
    found: dict[str, dict[str, None]] = {}
    holders = {(place.network, address): place.container for place in every for address in _addresses(place)}
    own = [place.network for place in every if place.container == container]
    resolvers = [each for each in state if isinstance(each, Resolver) and each.container == container]
    for alias, addresses in (link for resolver in resolvers for link in resolver.links):
        for address in addresses:
            network = next((each for each in own if (each, address) in holders), "")
            target = holders.get((network, address), address)
            found.setdefault(network, {})[f"{_short(target, container)}:{alias}"] = None
    return {network: tuple(texts) for network, texts in found.items()}


def _addresses(place: Place) -> list[str]:
    return [address.partition("/")[0] for address in (place.seen.ipv4, place.seen.ipv6) if address]


def _short(target: str, container: str) -> str:
    stack, slash, name = target.partition("/")
    return name if slash and stack == container.partition("/")[0] else target
