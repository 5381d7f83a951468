"""Containers that others go through: ``gateway: service:vpn`` on a network entry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from reconciler.desired.gateway_clients import served
from reconciler.desired.jobs import faults_of_relation
from reconciler.desired.known import Known
from reconciler.desired.members import Member
from reconciler.desired.networks import PlannedNetwork
from reconciler.desired.subnet import Subnet, parse_interface
from reconciler.desired.wired import Wired
from reconciler.errors import NetapplyError, Problem, Source
from reconciler.resources.joined import place_words
from reconciler.resources.router_rules import RouterRules
from reconciler.resources.sysctl import Sysctl
from reconciler.state import Key, Kind, Resource

FORWARDING = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
"""The setting that lets a namespace send on what is not for itself, by family."""

_TOGETHER = "name both manifests in one run"


@dataclass(frozen=True, slots=True)
class Hop:
    """``client`` sends everything through ``router`` (``stack/name``) on the network of ``member``.

    ``addresses``: the router's there, by family, without prefix length; only of families that both have.
    """

    client: Wired
    member: Member
    router: str
    addresses: Mapping[int, str]

    @property
    def source(self) -> Source | None:
        """The manifest's place."""
        return place_of(self.member)


@dataclass(slots=True)
class Service:
    """What a container of the run does as a router: ``families``, the networks (``stack/key``), and whom it serves."""

    families: set[int] = field(default_factory=set)
    networks: set[str] = field(default_factory=set)
    clients: set[str] = field(default_factory=set)
    sources: list[Source | None] = field(default_factory=list)


def place_of(member: Member) -> Source | None:
    """Where the manifest names the gateway."""
    return member.attachment.gateway_source or member.attachment.source


def hops(wired: Sequence[Wired], known: Known, problems: list[Problem]) -> dict[str, list[Hop]]:
    """By client (``stack/name``), where it goes through, the preferred network first; faults are problems."""
    search = _Search({each.identity: each for each in wired}, known)
    found: dict[str, list[Hop]] = {}
    for each in wired:
        for member in each.members:
            if member.attachment.gateway:
                try:
                    found.setdefault(each.identity, []).append(search.hop(each, member))
                except NetapplyError as error:
                    problems.extend(error.problems)
    _check_circles(found, problems)
    return found


def services(found: Mapping[str, list[Hop]], wired: Sequence[Wired], known: Known) -> dict[str, Service]:
    """By router (``stack/name``) of the run, what it does; also for containers of stacks that are not in the run."""
    result: dict[str, Service] = defaultdict(Service)
    run = {each.identity for each in wired}
    for hop in (hop for own in found.values() for hop in own if hop.router in run):
        service = result[hop.router]
        service.families.update(hop.addresses)
        service.networks.add(hop.member.network.network)
        service.clients.add(hop.client.identity)
        service.sources.append(hop.source)
    for route, member in served(wired, known):
        service = result[member.container]
        service.families.add(6 if ":" in route.gateway else 4)
        service.networks.add(member.network.network)
        service.clients.add(route.container)
        service.sources.append(member.spec.source)
    return dict(result)


def gateway_resources(found: Mapping[str, Service]) -> Iterable[Resource]:
    """The packet rules of every router; its settings are with all other settings, in ``sysctls.py``."""
    for router, service in sorted(found.items()):
        yield RouterRules(router.partition("/")[0], router, source=service.sources[0])


@dataclass(frozen=True, slots=True)
class _Search:
    """Who is meant by a ``gateway:``, and whether it can be one; everything raises NetapplyError where not."""

    run: Mapping[str, Wired]
    known: Known

    def hop(self, client: Wired, member: Member) -> Hop:
        router = self._find(client, member)
        if router == client.identity:
            raise _fault(member, "is the container itself", "name another container of the network")
        apart = _kept_apart(member.network)
        if apart:
            what = f"cannot be reached: network {member.network.name} keeps its members apart ({apart})"
            raise _fault(member, what, "use a network whose members reach each other")
        there = self.run.get(router)
        spec = there.spec if there else None
        what = "goes through it (gateway)"
        passing = list(faults_of_relation(client.identity, what, router, spec, self.known, place_of(member)))
        if passing:
            raise NetapplyError(passing)
        addresses = _of_run(member, there) if there else self._of_others(member, router)
        common = {
            family: address.partition("/")[0]
            for family, address in addresses.items()
            if family in member.addresses and _subnet(address) == _subnet(member.addresses[family])
        }
        # Without any address at all there is another fault, which is said already.
        if not common and addresses and member.addresses:
            what = f"has no address in a subnet of network {member.network.name} that this container is in too"
            raise _fault(member, what, "give both an address of the same subnet")
        return Hop(client, member, router, common)

    def _find(self, client: Wired, member: Member) -> str:
        """``stack/name``: a service of the stack or its only replica; a container of the stack, else of any other."""
        word, _, name = (member.attachment.gateway or "").partition(":")
        own = name if "/" in name else f"{client.stack}/{name}"
        if own in self.run or own in self.known.namespaces or own in self.known.joined:
            return own
        everywhere = sorted({*self.run, *self.known.containers_of_others()})
        if word == "service":
            found = sorted(
                each.identity for each in self.run.values() if (each.stack, each.spec.service) == (client.stack, name)
            )
        else:
            found = [identity for identity in everywhere if identity.partition("/")[2] == name]
        if len(found) == 1:
            return found[0]
        if found:
            raise _fault(member, f"may be any of {', '.join(found)}", "name one of them")
        names = [identity if "/" in name else identity.partition("/")[2] for identity in everywhere]
        close = get_close_matches(name, names, 1)
        raise _fault(member, "does not exist", f"did you mean {close[0]}?" if close else _TOGETHER)

    def _of_others(self, member: Member, router: str) -> dict[int, str]:
        """The addresses of a router whose stack is not in the run: it stays as it is, so it must forward already."""
        stack = router.partition("/")[0]
        if stack in self.known.scope:
            raise _fault(member, "is removed in this run", "keep it, or remove the gateway")
        joined = self.known.joined.get(router)
        if joined:
            raise _without_network(member, joined.owner, joined.namespace)
        interface = self.known.interface(router, member.network.name)
        if interface is None:
            raise _fault(member, f"is not on network {member.network.name}", "add that network to its stack's manifest")
        found = self.known.addresses.get((router, interface), [])
        addresses = {_subnet(address).family: address for address in sorted(found, reverse=True)}
        for family in sorted(addresses.keys() & member.addresses.keys()):
            setting = self.known.others.get(Key(Kind.SYSCTL, f"{router}:{FORWARDING[family]}"))
            if not (isinstance(setting, Sysctl) and setting.value == "1"):
                what = f"does not forward IPv{family}, and its stack {stack} is not part of this run"
                raise _fault(member, what, _TOGETHER)
        return addresses


def _kept_apart(network: PlannedNetwork) -> str:
    """Why members of the network do not reach each other, or not as neighbours; empty: they do."""
    if network.on_parent:
        words = {network.parent.mode, network.parent.flag} & {"private", "passthru", "l3", "l3s"}
        return f"{network.driver}, {words.pop()}" if words else ""
    return "" if network.options.icc else "icc off"


def _of_run(member: Member, router: Wired) -> dict[int, str]:
    """The router's addresses on the network of ``member``, with prefix length."""
    if not router.own:
        raise _without_network(member, router.stack, router.namespace)
    place = next((other for other in router.members if other.network.network == member.network.network), None)
    if place is None:
        hint = f"add that network to container {router.spec.name}"
        raise _fault(member, f"is not on network {member.network.name}", hint)
    return place.addresses


def _subnet(address: str) -> Subnet:
    return parse_interface(address)[1]


def _without_network(member: Member, stack: str, namespace: str) -> NetapplyError:
    whose = place_words(stack, namespace)
    hint = f"write {whose.replace(' ', ':')}" if "/" in namespace else "name a container with a network of its own"
    return _fault(member, f"has no network of its own: it uses that of {whose}", hint)


def _fault(member: Member, what: str, hint: str) -> NetapplyError:
    message = f"gateway {member.attachment.gateway} of container {member.spec.name} {what}"
    return NetapplyError.of(message, place_of(member), hint)


def _check_circles(found: Mapping[str, list[Hop]], problems: list[Problem]) -> None:
    """Who goes through somebody that goes through him reaches nothing."""
    reported: set[str] = set()
    for client in sorted(found):
        circle = _circle(client, found, (client,), set())
        if circle and reported.isdisjoint(circle):
            reported.update(circle)
            way = " -> ".join((*circle, client))
            hint = "one of them needs a way out of its own"
            problems.append(Problem(f"gateways go in a circle: {way}", found[client][0].source, hint))


def _circle(client: str, found: Mapping[str, list[Hop]], path: tuple[str, ...], seen: set[str]) -> tuple[str, ...]:
    """The way from the end of ``path`` back to ``client``, not through those ``seen``; empty: there is none."""
    for hop in found.get(path[-1], ()):
        if hop.router == client:
            return path
        if hop.router not in seen:
            seen.add(hop.router)
            way = _circle(client, found, (*path, hop.router), seen)
            if way:
                return way
    return ()
