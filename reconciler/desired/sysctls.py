"""The kernel settings of a container: those of its namespace and interfaces, and what going through a gateway needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconciler.desired.gateways import FORWARDING, Hop, Service
from reconciler.desired.members import Member
from reconciler.desired.wired import Wired
from reconciler.errors import Problem, Source
from reconciler.manifest.model import Container
from reconciler.resources.endpoint import endpoint_key
from reconciler.resources.sysctl import Sysctl


@dataclass(frozen=True, slots=True)
class _Need:
    """``name`` must have ``value``; ``reason`` and ``source`` are for whom the manifest says otherwise.

    ``harmless``: other values that the manifest may give. ``interface``: whose setting it is, empty for none's.
    """

    name: str
    value: str
    reason: str
    source: Source | None
    interface: str = ""
    harmless: frozenset[str] = frozenset()


def sysctl_resources(
    wired: Sequence[Wired],
    hops: Mapping[str, Sequence[Hop]],
    services: Mapping[str, Service],
    problems: list[Problem],
) -> Iterable[Sysctl]:
    """The settings of every sandbox of the run; what the manifest gives against what a gateway needs is a problem."""
    for each in wired:
        if not each.own:
            continue
        found = {setting.name: setting for setting in _given(each.identity, each.spec, each.members, each.interfaces)}
        needs = [
            *_of_router(each, services.get(each.identity)),
            *_of_client(each, hops.get(each.identity, ())),
            *_of_neighbour(each),
            *_of_attached(each),
        ]
        for need in needs:
            given = found.get(need.name)
            if given is None:
                after = (endpoint_key(each.identity, need.interface),) if need.interface else ()
                found[need.name] = Sysctl(each.stack, each.identity, need.name, need.value, after, need.source)
            elif given.value != need.value and given.value not in need.harmless:
                dotted = need.name.replace("/", ".")
                message = (
                    f"sysctl {dotted} = {given.value} of container {each.spec.name}: {need.reason} needs {need.value}"
                )
                problems.append(Problem(message, given.source, "remove that setting"))
        yield from found.values()


def _given(
    identity: str, container: Container, members: Sequence[Member], interfaces: Mapping[str, str]
) -> Iterable[Sysctl]:
    """Each setting once; where several parts of the manifest give it, the one that is nearest to the interface counts."""
    owner = identity.partition("/")[0]
    found = {}
    for name, value in container.sysctls:
        path = name.replace(".", "/")
        found[path] = Sysctl(owner, identity, path, value, source=container.source)
    for member in members:
        interface = interfaces[member.network.network]
        for name, value in member.attachment.sysctls:
            # IFNAME comes last: dots in the interface's own name are no separators.
            path = name.replace(".", "/").replace("IFNAME", interface)
            link = endpoint_key(identity, interface)
            found[path] = Sysctl(owner, identity, path, value, after=(link,), source=member.attachment.source)
    return found.values()


def _of_router(wired: Wired, service: Service | None) -> Iterator[_Need]:
    """Forwarding, and nothing that would drop or turn away what is forwarded (kernel: networking/ip-sysctl)."""
    if service is None:
        return
    source = service.sources[0]
    reason = f"being the gateway of {', '.join(sorted(service.clients))}"
    for family in sorted(service.families):
        yield _Need(FORWARDING[family], "1", reason, source)
    if 4 in service.families:  # noqa: PLR2004  # the family
        # Answers come in by a VPN's interface that the route back does not lead through. Of 'all' and an
        # interface's own the greater counts, so this holds for interfaces that come later too; 2 is loose.
        yield _Need("net/ipv4/conf/all/rp_filter", "2", reason, source, harmless=frozenset({"0"}))
        # Who is told that the network's own gateway is nearer goes there, past us. Either of the two sends.
        yield _Need("net/ipv4/conf/all/send_redirects", "0", reason, source)
        for network in sorted(service.networks):
            interface = wired.interfaces[network]
            yield _Need(f"net/ipv4/conf/{interface}/send_redirects", "0", reason, source, interface)


def _of_neighbour(wired: Wired) -> Iterator[_Need]:
    """On a LAN that is not ours, no addresses and routes but ours, whatever a router there advertises."""
    for member in wired.members:
        if member.network.on_parent and 6 in member.addresses:  # noqa: PLR2004  # the family
            interface = wired.interfaces[member.network.network]
            reason, source = f"a place on network {member.network.name}", member.attachment.source
            yield _Need(f"net/ipv6/conf/{interface}/accept_ra", "0", reason, source, interface)


def _of_attached(wired: Wired) -> Iterator[_Need]:
    """In somebody else's namespace IPv6 is switched for each interface of ours, and no router there is followed."""
    if not wired.spec.attach:
        return
    for member in wired.members:
        interface, source = wired.interfaces[member.network.network], member.attachment.source
        reason = f"a place on network {member.network.name}"
        has_ipv6 = 6 in member.addresses  # noqa: PLR2004  # the family
        yield _Need(f"net/ipv6/conf/{interface}/disable_ipv6", str(int(not has_ipv6)), reason, source, interface)
        if has_ipv6 and not member.network.on_parent:
            yield _Need(f"net/ipv6/conf/{interface}/accept_ra", "0", reason, source, interface)


def _of_client(wired: Wired, hops: Sequence[Hop]) -> Iterator[_Need]:
    """No route but ours: neither by redirects nor, in IPv6, by router advertisements, on any of its networks."""
    if not hops:
        return
    source, reason = hops[0].source, "going through a gateway"
    # Off for a host that does not forward only where both say so.
    yield _Need("net/ipv4/conf/all/accept_redirects", "0", reason, source)
    for interface in sorted(wired.interfaces.values()):
        yield _Need(f"net/ipv4/conf/{interface}/accept_redirects", "0", reason, source, interface)
        if wired.ipv6:
            yield _Need(f"net/ipv6/conf/{interface}/accept_redirects", "0", reason, source, interface)
            yield _Need(f"net/ipv6/conf/{interface}/accept_ra", "0", reason, source, interface)
