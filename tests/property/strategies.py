"""Random stacks, and what may happen to the host that they made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from reconciler.desired.scope import Scope
from reconciler.manifest.model import Attachment, BridgeOptions, Container, Manifest, Network, Pool, PortMapping
from reconciler.observation import Facts, Observation
from reconciler.resources.address import Address
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.namespace import Namespace
from reconciler.resources.route import Route
from reconciler.state import Resource, State

NETWORK_KEYS = ("front", "back", "side")
CONTAINER_NAMES = ("web", "app", "db", "front")


@st.composite
def networks(draw: st.DrawFn, stack: str, key: str) -> Network:
    pools: tuple[Pool, ...] = ()
    if draw(st.booleans()):
        second = {"shop": 10, "blog": 20}[stack] + draw(st.sampled_from([0, 100]))
        pools = (Pool(f"10.{second + NETWORK_KEYS.index(key)}.0.0/28"),)
    options = BridgeOptions(
        mtu=draw(st.sampled_from([None, 1400])),
        icc=draw(st.booleans()),
        gateway_mode_ipv4=draw(st.sampled_from(["nat", "nat", "routed"])),
    )
    return Network(
        key,
        f"{stack}_{key}",
        internal=draw(st.integers(0, 3)) == 0,
        enable_ipv6=draw(st.booleans()),
        pools=pools,
        bridge=options,
        masquerade_ports=draw(st.sampled_from([None, None, (40000, 40999)])),
    )


@st.composite
def containers(draw: st.DrawFn, name: str, stack: str, joined: list[Network]) -> Container:
    mine = draw(st.lists(st.sampled_from(joined), unique_by=lambda network: network.key, max_size=3)) if joined else []
    attachments = []
    for network in mine:
        names = draw(st.sampled_from([None, None, f"{network.key}0"]))
        sysctls = draw(st.sampled_from([(), (("net.ipv4.conf.IFNAME.rp_filter", "2"),)]))
        attachments.append(
            Attachment(network.key, interface_name=names, gw_priority=draw(st.integers(0, 1)), sysctls=sysctls)
        )
    outside = any(not network.internal for network in mine)
    first = 1000 * (1 + CONTAINER_NAMES.index(name)) + (20_000 if stack == "blog" else 0)
    published = st.one_of(st.none(), st.integers(first, first + 3).map(lambda port: (port, port)))
    mapping = st.builds(PortMapping, st.sampled_from([80, 81]), published, st.none(), st.sampled_from(["tcp", "udp"]))
    ports = draw(st.lists(mapping, max_size=3, unique_by=lambda m: (m.protocol, m.published or 0))) if outside else []
    return Container(
        name,
        attachments=tuple(attachments),
        ports=tuple(ports),
        command=draw(st.sampled_from([None, ("sleep", "1"), ("sleep", "2")])),
        environment=draw(st.sampled_from([(), (("TOKEN", "one"),), (("TOKEN", "two"),)])),
        sysctls=draw(st.sampled_from([(), (("net.ipv4.ip_unprivileged_port_start", "0"),)])),
    )


@st.composite
def manifests(draw: st.DrawFn, stack: str = "shop") -> Manifest:
    keys = draw(st.lists(st.sampled_from(NETWORK_KEYS), unique=True, min_size=1))
    made = [draw(networks(stack, key)) for key in keys]
    names = draw(st.lists(st.sampled_from(CONTAINER_NAMES), unique=True, min_size=1, max_size=3))
    made_containers = [draw(containers(name, stack, made)) for name in names]
    return Manifest(stack, named=True, origin=f"/{stack}.yaml", networks=tuple(made), containers=tuple(made_containers))


def scope(*wanted: Manifest) -> Scope:
    """The scope of a run over these manifests."""
    return Scope(frozenset(manifest.stack for manifest in wanted), wanted)


def seen(state: State, facts: Facts = Facts()) -> Observation:  # noqa: B008  # immutable
    """A look at a host in that state."""
    names = {link.interface for link in state if isinstance(link, Bridge)}
    names |= {link.host_interface for link in state if isinstance(link, Endpoint)}
    return Observation(state, replace(facts, interfaces=facts.interfaces | names))


def shuffled(draw: st.DrawFn, manifest: Manifest) -> Manifest:
    """The same stack with everything that has no order of its own in another order."""
    made = [
        replace(
            container,
            attachments=tuple(draw(st.permutations(container.attachments))),
            ports=tuple(draw(st.permutations(container.ports))),
        )
        for container in draw(st.permutations(manifest.containers))
    ]
    return replace(manifest, containers=tuple(made), networks=tuple(draw(st.permutations(manifest.networks))))


@st.composite
def drifts(draw: st.DrawFn, state: State) -> State:
    """The state after things happened to the host that the kernel lets happen."""
    kept = []
    for resource in state:
        fate = draw(st.integers(0, 11))
        if fate > 1:
            kept.append(resource)
        elif fate == 1:
            kept.append(_changed(draw, resource))
    return _possible(kept)


def _changed(draw: st.DrawFn, resource: Resource) -> Resource:
    changed: Any = resource
    match resource:
        case Endpoint():
            what: dict[str, Any] = draw(
                st.sampled_from([{"up": False}, {"bridge": ""}, {"mac": "02:00:00:00:00:01"}, {"interface": ""}])
            )
        case Bridge():
            what = draw(st.sampled_from([{"up": False}, {"mtu": 1300}, {"route_localnet": False}]))
        case Namespace():
            what = draw(st.sampled_from([{"pinned": False}, {"up": False}, {"origin": "0" * 16}]))
        case Route():
            what = {"protocol": 3}
        case Address():
            what = {"address": "10.99.0.1/24"}
        case _:
            what = {}
    return replace(changed, **what)  # type: ignore[no-any-return]  # a resource as given


def _possible(resources: list[Resource]) -> State:
    """Without what cannot be there: nothing stands in a sandbox that is not there, or on a link that is gone."""
    found: list[Resource] = []
    whole = {r.container for r in resources if isinstance(r, Namespace) and r.pinned}
    links = {(r.container, r.interface): r for r in resources if isinstance(r, Endpoint) and r.container in whole}
    bridges = {r.interface for r in resources if isinstance(r, Bridge)}
    for resource in resources:
        match resource:
            case Endpoint(interface=""):
                found.append(resource)
            case Endpoint(container=container) if container not in whole:
                found.append(replace(resource, interface=""))
            case Endpoint(bridge=bridge) if bridge not in bridges:
                found.append(replace(resource, bridge=""))
            case Route(container=place, interface=interface) | Address(place=place, interface=interface):
                on_bridge = isinstance(resource, Address) and not resource.namespace and interface in bridges
                if on_bridge or (place, interface) in links:
                    found.append(resource)
            case _ if not resource.sandbox or resource.sandbox in whole or isinstance(resource, Namespace):
                found.append(resource)
    return State({resource.key: resource for resource in found}.values())
