"""``allow``: which networks' containers may open connections to which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.manifest.faults import FormError
from reconciler.manifest.model import Allowance, Network, PortSpan
from reconciler.manifest.network_models import AllowancePart, NetworkPart
from reconciler.manifest.ports import parse_span
from reconciler.manifest.vocabulary import DOCKER_NETWORKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.manifest.context import Context


def convert_allow(key: str, part: NetworkPart, context: Context) -> tuple[Allowance, ...]:
    """The entries of ``allow``; a network that is named twice counts once, with the ports of both."""
    found: dict[str, Allowance] = {}
    for index, entry in enumerate(part.allow or ()):
        path = ("networks", key, "allow", index)
        given = entry if isinstance(entry, AllowancePart) else AllowancePart(network=entry)
        if not given.network:
            context.faults.add("an allowance without its network", context.at(*path), "write - NETWORK")
            continue
        ports = _ports(given.ports or [], (*path, "ports"), context)
        first = found.get(given.network)
        if first:
            # No ports means all of them.
            ports = tuple(dict.fromkeys((*first.ports, *ports))) if first.ports and ports else ()
        found[given.network] = Allowance(given.network, ports, first.source if first else context.at(*path))
    return tuple(found.values())


def _ports(texts: list[str], path: tuple[str | int, ...], context: Context) -> tuple[PortSpan, ...]:
    found: dict[PortSpan, None] = {}
    for index, text in enumerate(texts):
        source = context.at(*path, index)
        try:
            first, last, protocol = parse_span(text)
        except FormError as error:
            context.faults.add_form(error, source)
            continue
        found.setdefault(PortSpan(first, last, protocol, (), source))
    return tuple(found)


def check_allowances(networks: Mapping[str, Network], context: Context) -> None:
    """Note allowances to networks that there are not, to a network itself, and where no rule could be made."""
    for network in networks.values():
        for each in network.allow:
            other = networks.get(each.network)
            if other is None:
                message = f"network '{network.key}' allows undefined network '{each.network}'"
                hint = (
                    context.faults.nearest(each.network, networks)
                    or f"declare it at the top: networks: {{{each.network}: }}"
                )
                if each.network in DOCKER_NETWORKS:
                    hint = "only networks that the manifest declares can be allowed"
                context.faults.add(message, each.source, hint)
            elif other is network:
                message = f"network '{network.key}' allows itself"
                context.faults.add(message, each.source, "its containers reach each other anyway; remove it")
            else:
                _check_drivers(network, other, each, context)


def _check_drivers(network: Network, other: Network, allowance: Allowance, context: Context) -> None:
    for one in (network, other):
        if one.driver != "bridge" and not one.external:
            message = f"'allow' is between bridge networks; '{one.key}' at {one.source} has driver {one.driver}"
            context.faults.add(
                message, allowance.source, "what goes over its parent interface passes no rule of the host"
            )
