"""What all stacks of a host need together: the firewall's base, forwarding, the agent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.errors import Problem
from reconciler.firewall.policy import FirewallBase, HostAccept, NetworkPolicy, PublishedPort
from reconciler.observation import Observation
from reconciler.resources.agent import Agent, HeldPorts
from reconciler.resources.sysctl import Sysctl
from reconciler.state import HOST_OWNER, Key, Kind, Resource, State

_FORWARD4, _FORWARD6 = "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"

_FAMILY = {"ip": 4, "ip6": 6}


def host_resources(union: State, observation: Observation, *, host_rule: bool = True) -> Iterable[Resource]:
    """What the union of all stacks needs of the host."""
    # Of a stack that is not in this run a part may be lost; what is left of it needs the host all the same.
    if any(isinstance(resource, HeldPorts) for resource in union):
        yield Agent()
    if not any(isinstance(resource, NetworkPolicy | PublishedPort) for resource in union):
        return
    policies = [resource for resource in union if isinstance(resource, NetworkPolicy)]
    facts = observation.facts
    yield FirewallBase(facts.backend)
    if host_rule:
        yield from _needed_accepts(policies, observation)
    outward = [subnet for policy in policies if not policy.internal for subnet in policy.subnets]
    if any(":" not in subnet for subnet in outward):
        yield Sysctl(HOST_OWNER, "", _FORWARD4, "1")
    if any(":" in subnet for subnet in outward):
        yield from _forwarding6(observation)


def _needed_accepts(policies: Sequence[NetworkPolicy], observation: Observation) -> Iterable[HostAccept]:
    """The rules that foreign tables call for, as far as they concern an address family of ours."""
    families = {6 if ":" in subnet else 4 for policy in policies for subnet in policy.subnets}
    for accept in observation.facts.wanted_accepts:
        if _FAMILY.get(accept.family, 0) in {0, *families}:
            yield accept


def blocked(observation: Observation, wanted: State) -> Iterable[Problem]:
    """A warning for each foreign chain that drops our traffic and gets no rule of ours."""
    policies = [resource for resource in wanted if isinstance(resource, NetworkPolicy)]
    for accept in _needed_accepts(policies, observation):
        if accept.key not in wanted:
            where = f"{accept.family} {accept.table} {accept.chain} ({accept.engine})"
            message = f"the host's {where} drops what containers send and receive through the host"
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
