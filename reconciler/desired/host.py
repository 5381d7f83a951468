"""What all stacks of a host need together: the firewall's base, forwarding, the agent."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.desired.parents import vlan_resources
from reconciler.errors import Problem
from reconciler.firewall.opening import Opening
from reconciler.firewall.policy import FirewallBase, HostAccept, NetworkPolicy, StackPolicy
from reconciler.observation import Observation
from reconciler.resources.agent import Agent, HeldPorts
from reconciler.resources.bridge import Bridge
from reconciler.resources.host_address import HostAddress
from reconciler.resources.job import Job
from reconciler.resources.namespace import Namespace
from reconciler.resources.resolver import Resolver
from reconciler.resources.sysctl import Sysctl
from reconciler.state import HOST_OWNER, Key, Kind, Resource, State

_FORWARD4, _FORWARD6 = "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"

_FAMILY = {"ip": 4, "ip6": 6}


def host_resources(union: State, observation: Observation, *, host_rule: bool = True) -> Iterable[Resource]:
    """What the union of all stacks needs of the host."""
    yield from vlan_resources(union, observation)
    # Of a stack that is not in this run a part may be lost; what is left of it needs the host all the same.
    if any(isinstance(resource, HeldPorts | Resolver | Job) for resource in union):
        yield Agent()
    yield from _kept_addresses(union, observation)
    yield from _forwarding(union, observation)
    if not any(isinstance(resource, StackPolicy) for resource in union):
        return
    yield FirewallBase(observation.facts.backend)
    if host_rule:
        yield from _needed_accepts(union, observation)


def _forwarding(union: State, observation: Observation) -> Iterable[Resource]:
    """Of the families that leave a network; both stay as they are while nobody knows what some network lets out."""
    policies = [resource for resource in union if isinstance(resource, NetworkPolicy)]
    outward = [subnet for policy in policies if not policy.internal for subnet in policy.subnets]
    networks = {policy.network for policy in policies}
    # With the firewall flushed, its containers still talk to the outside through the host.
    is_lost = any(isinstance(resource, Bridge) and resource.network not in networks for resource in union)
    for name, of_family, resources in (
        (_FORWARD4, [subnet for subnet in outward if ":" not in subnet], _forwarding4),
        (_FORWARD6, [subnet for subnet in outward if ":" in subnet], _forwarding6),
    ):
        if of_family or (is_lost and Key(Kind.SYSCTL, f"host:{name}") in observation.state):
            yield from resources(observation)


def _kept_addresses(union: State, observation: Observation) -> Iterable[HostAddress]:
    """Floating addresses of which nothing says any more whose they are stay while anything of ours does.

    With the firewall flushed, say, the next run of whatever stack must not take them away.
    """
    if any(isinstance(resource, Namespace | NetworkPolicy) for resource in union):
        for resource in observation.state:
            if isinstance(resource, HostAddress) and resource.owner == HOST_OWNER and resource.key not in union:
                yield resource


def _needed_accepts(union: State, observation: Observation) -> Iterable[HostAccept]:
    """The rules that foreign tables call for, as far as they concern an address family of ours on that hook."""
    subnets = [subnet for resource in union if isinstance(resource, NetworkPolicy) for subnet in resource.subnets]
    families = {"forward": {6 if ":" in subnet else 4 for subnet in subnets}, "input": _opened_families(union)}
    for accept in observation.facts.wanted_accepts:
        wanted = families[accept.hook]
        if wanted and _FAMILY.get(accept.family, 0) in {0, *wanted}:
            yield accept


def _opened_families(union: State) -> set[int]:
    openings = [resource for resource in union if isinstance(resource, Opening)]
    sources = [source for opening in openings for source in opening.sources]
    everybody = {4, 6} if any(not opening.sources for opening in openings) else set()
    return everybody | {6 if ":" in source else 4 for source in sources}


def blocked(observation: Observation, wanted: State) -> Iterable[Problem]:
    """A warning for each foreign chain that drops our traffic and gets no rule of ours."""
    if _opened_families(wanted):
        yield from observation.facts.opening_warnings
    for accept in _needed_accepts(wanted, observation):
        if accept.key not in wanted:
            where = f"{accept.family} {accept.table} {accept.chain} ({accept.engine})"
            what = "to ports that are opened" if accept.hook == "input" else "through the host"
            message = f"the host's {where} drops what containers send and receive {what}"
            hint = f"accept what bears the mark {accept.mark:#x} there, or run without --no-host-rule"
            yield Problem(message, hint=hint, severity="warning")


def lost_records(observed: State, wanted: State) -> Iterable[Problem]:
    """A warning for each setting that cannot be put back, because what it was before us is not known any more."""
    if any(isinstance(resource, NetworkPolicy) for resource in wanted):
        return
    outward = {
        6 if ":" in subnet else 4
        for policy in observed
        if isinstance(policy, NetworkPolicy) and not policy.internal
        for subnet in policy.subnets
    }
    for family, name in ((4, _FORWARD4), (6, _FORWARD6)):
        if family in outward and Key(Kind.SYSCTL, f"host:{name}") not in observed:
            message = (
                f"what sysctl {name.replace('/', '.')} was before netapply is not known any more; it stays as it is"
            )
            yield Problem(message, hint="set it back by hand if nothing else needs it", severity="warning")


def _forwarding4(_observation: Observation) -> Iterable[Resource]:
    yield Sysctl(HOST_OWNER, "", _FORWARD4, "1")


def _forwarding6(observation: Observation) -> Iterable[Resource]:
    # Forwarding makes a host ignore router advertisements and drop its default route at once,
    # unless accept_ra is 2 (kernel: networking/ip-sysctl, accept_ra).
    names = {
        resource.name
        for resource in observation.state
        if isinstance(resource, Sysctl) and not resource.namespace and resource.name.endswith("/accept_ra")
    }
    if Key(Kind.SYSCTL, f"host:{_FORWARD6}") not in observation.state:
        # Interfaces that come later were never listening, and belong to others.
        names |= {f"net/ipv6/conf/{interface}/accept_ra" for interface in observation.facts.router_advertised}
    for name in sorted(names):
        yield Sysctl(HOST_OWNER, "", name, "2")
    keys = tuple(Key(Kind.SYSCTL, f"host:{name}") for name in sorted(names))
    yield Sysctl(HOST_OWNER, "", _FORWARD6, "1", after=keys)
