"""Interfaces of the host that networks stand on: whether they are there, and take what is asked of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from reconciler.desired.known import Known
from reconciler.desired.members import Member
from reconciler.desired.networks import PlannedNetwork
from reconciler.desired.subnet import text
from reconciler.desired.wired import Wired
from reconciler.errors import Problem
from reconciler.observation import HostLink, Observation
from reconciler.resources.shim import Shim
from reconciler.resources.sub_interface import SubInterface
from reconciler.resources.vlan import Vlan, vlan_of
from reconciler.state import HOST_OWNER, Resource, State


@dataclass(slots=True)
class _Use:
    """What stands on one parent: the networks of the run there, and containers of others by network name."""

    networks: dict[str, PlannedNetwork] = field(default_factory=dict)
    members: dict[str, list[Member]] = field(default_factory=lambda: defaultdict(list))
    others: list[SubInterface] = field(default_factory=list)


def hardware_of(parent: str, links: Mapping[str, HostLink]) -> HostLink | None:
    """The link of the host that is the parent, or that a VLAN interface of ours of that name is made on."""
    vlan = vlan_of(parent)
    return links.get(parent) or (links.get(vlan[0]) if vlan else None)


def links_by_name(observation: Observation) -> dict[str, HostLink]:
    """The host's links that are not ours."""
    return {link.name: link for link in observation.facts.links}


def vlan_resources(union: State, observation: Observation) -> Iterator[Resource]:
    """The VLAN interfaces that all stacks of the host need together, where the host has none of that name."""
    links = links_by_name(observation)
    parents = {resource.parent for resource in union if isinstance(resource, SubInterface | Shim)}
    for parent in sorted(parents - links.keys()):
        vlan = vlan_of(parent)
        if vlan and vlan[0] in links:
            yield Vlan(HOST_OWNER, parent, *vlan)


def idle_parents(observation: Observation, wanted: State) -> Iterator[Problem]:
    """A warning for each parent that is switched off, so that nothing passes."""
    links = links_by_name(observation)
    parents = {resource.parent for resource in wanted if isinstance(resource, SubInterface)}
    for name in sorted({link.name for parent in parents if (link := hardware_of(parent, links)) and not link.up}):
        message = f"interface {name} of the host is down; networks on it lead nowhere"
        yield Problem(message, hint=f"ip link set {name} up", severity="warning")


def check_parents(wired: Sequence[Wired], known: Known, problems: list[Problem]) -> None:
    """Every fault of the networks of the run that stand on a parent, and of their members."""
    uses = _uses(wired, known)
    links = links_by_name(known.observation)
    for parent, use in sorted(uses.items()):
        for _, network in sorted(use.networks.items()):
            fault = _fault_of_parent(parent, network, links, known)
            if fault:
                problems.append(Problem(fault[0], network.source, fault[1]))
            problems.extend(_faults_of_gateway(network, known))
        problems.extend(_quarrels(parent, use))
    for use in uses.values():
        for members in use.members.values():
            problems.extend(problem for member in members for problem in _faults_of_member(member))


def _uses(wired: Sequence[Wired], known: Known) -> dict[str, _Use]:
    uses: dict[str, _Use] = defaultdict(_Use)
    for member in (member for each in wired for member in each.members if member.network.on_parent):
        use = uses[member.network.parent.parent or ""]
        use.networks[member.network.network] = member.network
        use.members[member.network.network].append(member)
    for link in (link for found in known.sub_interfaces.values() for link in found):
        if link.owner not in known.scope and link.parent in uses:
            uses[link.parent].others.append(link)
    return uses


def _fault_of_parent(
    parent: str, network: PlannedNetwork, links: Mapping[str, HostLink], known: Known
) -> tuple[str, str] | None:
    """What is wrong with the parent as such, and what to do."""
    what = f"network {network.name} ({network.driver})"
    if not parent:
        hint = "add driver_opts: {parent: eth0}; for containers among themselves, driver bridge with internal: true"
        return f"{what} has no parent, the interface of the host that it stands on", hint
    link = hardware_of(parent, links)
    vlan = vlan_of(parent)
    ours = parent in known.observation.facts.interfaces and parent not in links
    if ours and not (vlan and link):
        return f"{what}: its parent {parent} is netapply's own", "name an interface that leads outside"
    if link is None:
        return _missing(what, parent, links)
    if link.kind in {"macvlan", "ipvlan", "macvtap", "ipvtap"}:
        hint = "name the interface that it stands on"
        return f"{what}: its parent {parent} is a {link.kind} interface itself", hint
    master = links.get(link.master)
    if link.master and link.name == parent and not (master and master.kind == "vrf"):
        return f"{what}: its parent {parent} is a port of {link.master}", f"name {link.master} as the parent"
    if network.parent.mtu and network.parent.mtu > link.mtu:
        hint = "a smaller com.docker.network.driver.mtu, or none"
        return f"{what}: MTU {network.parent.mtu} is more than the {link.mtu} of its parent {parent}", hint
    return None


def _missing(what: str, parent: str, links: Mapping[str, HostLink]) -> tuple[str, str]:
    there = sorted(links.keys() - {"lo"})
    close = get_close_matches(parent, there, 1)
    hint = f"did you mean {close[0]}? " if close else ""
    vlan = vlan_of(parent)
    lacking = f", nor {vlan[0]} to make that VLAN on" if vlan else ""
    return (
        f"{what}: there is no interface {parent} on this host{lacking}",
        f"{hint}There is: {', '.join(there) or 'only lo'}",
    )


def _faults_of_gateway(network: PlannedNetwork, known: Known) -> Iterator[Problem]:
    """A gateway that no member reaches, or that nobody knows."""
    if network.internal or not network.has_router:
        return
    own = set(known.observation.facts.addresses)
    seen = known.gateways_seen(network.network)
    for pool in network.pools:
        gateway = text(pool.subnet.family, pool.gateway)
        if not network.made_here and pool.gateway not in seen:
            message = f"the gateway of network {network.name} ({pool.subnet}) cannot be seen from here"
            yield Problem(message, network.source, "name the manifest that makes it in the same run")
        elif gateway in own:
            message = f"gateway {gateway} of network {network.name} is this host's own address, "
            message += f"which containers on {network.driver} do not reach"
            yield Problem(message, network.source, "name the LAN's router: gateway in ipam.config")


def _quarrels(parent: str, use: _Use) -> Iterator[Problem]:
    """What the kernel does not let stand on one parent together."""
    count = sum(len(members) for members in use.members.values()) + len(use.others)
    names = [m.spec.name for members in use.members.values() for m in members]
    names += [f"{link.container} (stack {link.owner})" for link in use.others]
    for identity, network in sorted(use.networks.items()):
        if network.parent.mode == "passthru" and count > 1:
            place = use.members[identity][-1].attachment.source
            message = f"{parent} takes one container in mode passthru; there are {', '.join(sorted(set(names)))}"
            yield Problem(message, place, "mode bridge takes many")
            return
    drivers = {network.driver: network.name for _, network in sorted(use.networks.items(), reverse=True)}
    drivers = {link.driver: link.network_name for link in use.others} | drivers
    if len(drivers) > 1:
        first, second = (f"{drivers[driver]} ({driver})" for driver in ("ipvlan", "macvlan"))
        place = max(network.source for network in use.networks.values() if network.source)
        message = f"networks {first} and {second} stand on the same parent {parent}"
        yield Problem(message, place, "the kernel takes one of both drivers on an interface")
    ipvlan = [network.parent for network in use.networks.values() if network.driver == "ipvlan"]
    modes = {(options.mode or "l2", options.flag or "bridge") for options in ipvlan}
    if len(modes) > 1:
        listed = ", ".join(sorted(network.name for network in use.networks.values()))
        place = max(network.source for network in use.networks.values() if network.source)
        message = f"networks {listed} stand on the same parent {parent} with different ipvlan modes"
        yield Problem(message, place, "the kernel has one mode and flag for all on an interface")


def _faults_of_member(member: Member) -> Iterable[Problem]:
    network, attachment = member.network, member.attachment
    shared = network.driver == "ipvlan" or network.parent.mode == "passthru"
    if attachment.mac_address and shared:
        how = "ipvlan" if network.driver == "ipvlan" else "mode passthru"
        message = (
            f"container {member.spec.name} has the MAC of {network.parent.parent} on network {network.name} ({how})"
        )
        yield Problem(message, attachment.source, "remove mac_address, or use macvlan in mode bridge")
    if not network.made_here:
        given = {4: attachment.ipv4_address, 6: attachment.ipv6_address}
        for family in sorted({pool.subnet.family for pool in network.pools}):
            if not given[family]:
                message = f"which addresses of network {network.name} are free is not known from here: "
                message += f"container {member.spec.name} needs an ipv{family}_address"
                hint = "give it one, or name the manifest that makes the network in the same run"
                yield Problem(message, attachment.source, hint)
