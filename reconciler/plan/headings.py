"""What is made or goes, together with all that goes with it, in one line in the words of the manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.firewall.policy import NetworkPolicy
from reconciler.plan.change import Change, Delete
from reconciler.resources.address import Address
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.joined import Joined
from reconciler.resources.namespace import Namespace
from reconciler.resources.resolver import Resolver
from reconciler.resources.route import Route
from reconciler.resources.router_rules import RouterRules
from reconciler.resources.shim import Shim
from reconciler.resources.sub_interface import SubInterface
from reconciler.resources.sysctl import Sysctl
from reconciler.state import Resource


def heading(changes: Sequence[Change]) -> str:
    """The first change in words, with what matters of the others."""
    resources = [change.before if isinstance(change, Delete) else change.after for change in changes]
    first, others = resources[0], resources[1:]
    match first:
        case Bridge():
            return _network(first, others)
        case Namespace(attached=path) if path:
            return ", ".join([f"container in {first.describe()}", *_names(others)])
        case Namespace():
            return ", ".join(["container with a network of its own", *_names(others)])
        case Joined():
            return ", ".join([f"container in the {first.describe()}", *_names(others)])
        case Endpoint() | SubInterface():
            return ", ".join([_place(first), *_ways(others)])
        case Shim():
            return ", ".join([first.describe(), *_ways(others)])
        case Sysctl():
            return _settings(resources)
        case RouterRules():
            settings = [each for each in others if isinstance(each, Sysctl)]
            return first.describe() + (f", {_settings(settings)}" if settings else "")
        case NetworkPolicy():
            return f"network policy: {first.describe()}"
        case _:
            return first.describe()


def _network(bridge: Bridge, others: Sequence[Resource]) -> str:
    """``network shop_front: 172.18.0.0/16, isolated from other networks``; its bridge where it is that alone."""
    policies = [each for each in others if isinstance(each, NetworkPolicy)]
    if not policies:
        return ", ".join([bridge.describe(), *_ways(others)])
    subnets = ", ".join(policies[0].subnets) or "no subnet"
    return f"network {bridge.network_name}: {subnets}, {policies[0].describe()}"


def _place(link: Endpoint | SubInterface) -> str:
    if isinstance(link, Endpoint) and not (link.interface and link.host_interface):
        return link.describe()
    on = f" ({link.driver} {link.mode} on {link.parent})" if isinstance(link, SubInterface) else ""
    return f"{link.interface} on network {link.network_name}{on}"


def _ways(others: Sequence[Resource]) -> Iterator[str]:
    for each in others:
        if isinstance(each, Address):
            yield each.address
    for each in others:
        if isinstance(each, Route):
            yield f"default route via {each.gateway}" if each.gateway else "default route"


def _names(others: Sequence[Resource]) -> Iterator[str]:
    for each in others:
        if isinstance(each, Resolver):
            yield each.describe()


def _settings(settings: Sequence[Resource]) -> str:
    words = ", ".join(each.describe().removeprefix("sysctl ") for each in settings)
    return f"{'sysctl' if len(settings) == 1 else 'sysctls'} {words}"
