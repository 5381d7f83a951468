"""Gateways and routes: what is decided, and what is refused with its place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.desired.build import desired
from reconciler.desired.scope import Scope
from reconciler.errors import NetapplyError, Problem, Source
from reconciler.firewall.policy import PublishedPort
from reconciler.manifest.model import (
    Attachment,
    BridgeOptions,
    Container,
    Manifest,
    Network,
    Pool,
    PortMapping,
    StaticRoute,
)
from reconciler.observation import Observation
from reconciler.plan.diff import diff
from reconciler.resources.route import Route
from reconciler.resources.router_rules import RouterRules
from reconciler.resources.sysctl import Sysctl
from reconciler.state import Key, Kind, State

EMPTY = Observation(State())


def at(line: int) -> Source:
    return Source("stack.yaml", line, 1)


def network(key: str, *subnets: str, icc: bool = True, internal: bool = False, external: bool = False) -> Network:
    pools = tuple(Pool(subnet) for subnet in subnets)
    ipv6 = any(":" in subnet for subnet in subnets)
    options = BridgeOptions(icc=icc)
    return Network(key, key, pools=pools, enable_ipv6=ipv6, bridge=options, internal=internal, external=external)


def container(name: str, *places: Attachment, **fields: Any) -> Container:
    return Container(name, attachments=places, source=at(1), **fields)


def through(where: str, gateway: str, **fields: Any) -> Attachment:
    return Attachment(where, gateway=gateway, gateway_source=at(9), source=at(8), **fields)


def stack(name: str, networks: tuple[Network, ...], *containers: Container) -> Manifest:
    return Manifest(name, named=True, origin=f"/{name}.yaml", networks=networks, containers=containers)


A = network("a", "10.1.0.0/24", "fd01::/64")
B = network("b", "10.2.0.0/24", "fd02::/64")
FOUR = network("four", "10.4.0.0/24")
VPN = container("vpn", Attachment("a", ipv4_address="10.1.0.2", ipv6_address="fd01::2"), Attachment("b"))


def decided(*manifests: Manifest, on: Observation = EMPTY) -> State:
    return desired(Scope(frozenset(each.stack for each in manifests), manifests), on)


def refused(*manifests: Manifest, on: Observation = EMPTY) -> Problem:
    with pytest.raises(NetapplyError) as caught:
        decided(*manifests, on=on)
    (problem,) = caught.value.problems
    return problem


def ways_out(state: State, name: str) -> dict[str, str]:
    """Destination and gateway of every route of a container."""
    return {each.destination: each.gateway for each in state if isinstance(each, Route) and each.container == name}


def settings(state: State, name: str) -> dict[str, str]:
    return {each.name: each.value for each in state if isinstance(each, Sysctl) and each.namespace == name}


def routers(state: State) -> set[str]:
    return {each.container for each in state if isinstance(each, RouterRules)}


def test_everything_goes_through_the_router_and_nothing_by_any_other_network() -> None:
    web = container("web", through("a", "service:vpn"), Attachment("b", gw_priority=9))
    state = decided(stack("s", (A, B), VPN, web))
    assert ways_out(state, "s/web") == {"0.0.0.0/0": "10.1.0.2", "::/0": "fd01::2"}
    assert routers(state) == {"s/vpn"}
    assert settings(state, "s/vpn") == {
        "net/ipv4/ip_forward": "1",
        "net/ipv6/conf/all/forwarding": "1",
        "net/ipv4/conf/all/rp_filter": "2",
        "net/ipv4/conf/all/send_redirects": "0",
        "net/ipv4/conf/eth0/send_redirects": "0",
    }
    interfaces = ("eth0", "eth1")
    assert settings(state, "s/web") == {
        "net/ipv4/conf/all/accept_redirects": "0",
        **{f"net/ipv4/conf/{name}/accept_redirects": "0" for name in interfaces},
        **{f"net/ipv6/conf/{name}/{what}": "0" for name in interfaces for what in ("accept_redirects", "accept_ra")},
    }


def test_a_family_that_the_router_does_not_have_has_no_way_out() -> None:
    vpn = container("vpn", Attachment("four", ipv4_address="10.4.0.2"))
    web = container("web", through("four", "service:vpn"), Attachment("a"))
    state = decided(stack("s", (A, FOUR), vpn, web))
    assert ways_out(state, "s/web") == {"0.0.0.0/0": "10.4.0.2"}
    assert "net/ipv6/conf/all/forwarding" not in settings(state, "s/vpn")


def test_two_gateways_go_by_priority() -> None:
    other = container("other", Attachment("b", ipv4_address="10.2.0.2", ipv6_address="fd02::2"))
    web = container("web", through("a", "service:vpn"), through("b", "service:other", gw_priority=1))
    state = decided(stack("s", (A, B), VPN, other, web))
    assert ways_out(state, "s/web") == {"0.0.0.0/0": "10.2.0.2", "::/0": "fd02::2"}


def test_a_gateway_leads_out_of_an_internal_network() -> None:
    inner = network("a", "10.1.0.0/24", "fd01::/64", internal=True)
    state = decided(stack("s", (inner, B), VPN, container("web", through("a", "service:vpn"))))
    assert ways_out(state, "s/web")["0.0.0.0/0"] == "10.1.0.2"


def test_the_only_replica_is_meant_by_its_service() -> None:
    vpn = replace(VPN, name="vpn-1", service="vpn")
    state = decided(stack("s", (A, B), vpn, container("web", through("a", "service:vpn"))))
    assert routers(state) == {"s/vpn-1"}
    second = container("vpn-2", Attachment("a"), service="vpn")
    problem = refused(stack("s", (A, B), vpn, second, container("web", through("a", "service:vpn"))))
    assert "any of s/vpn-1, s/vpn-2" in problem.message


CLIENT = container("web", through("a", "service:vpn"))
FAULTS: dict[str, tuple[Manifest, str, str]] = {
    "unknown": (
        stack("s", (A,), container("vpm", Attachment("a")), CLIENT),
        "gateway service:vpn of container web does not exist",
        "did you mean vpm?",
    ),
    "not on the network": (
        stack("s", (A, B), container("vpn", Attachment("b")), CLIENT),
        "gateway service:vpn of container web is not on network a",
        "add that network to container vpn",
    ),
    "a joiner": (
        stack("s", (A,), container("owner", Attachment("a")), container("vpn", network_mode="service:owner"), CLIENT),
        "gateway service:vpn of container web has no network of its own: it uses that of container owner",
        "write container:owner",
    ),
    "on the host": (
        stack("s", (A,), container("vpn", network_mode="host"), CLIENT),
        "gateway service:vpn of container web has no network of its own: it uses that of the host",
        "name a container with a network of its own",
    ),
    "without network": (
        stack("s", (A,), container("vpn", network_mode="none"), CLIENT),
        "gateway service:vpn of container web is not on network a",
        "add that network to container vpn",
    ),
    "members apart": (
        stack("s", (network("a", "10.1.0.0/24", icc=False),), container("vpn", Attachment("a")), CLIENT),
        "gateway service:vpn of container web cannot be reached: network a keeps its members apart (icc off)",
        "use a network whose members reach each other",
    ),
    "itself": (
        stack("s", (A,), container("vpn", through("a", "service:vpn"))),
        "gateway service:vpn of container vpn is the container itself",
        "name another container of the network",
    ),
    "a circle": (
        stack("s", (A,), container("vpn", through("a", "container:web")), CLIENT),
        "gateways go in a circle: s/vpn -> s/web -> s/vpn",
        "one of them needs a way out of its own",
    ),
    "different subnets": (
        stack(
            "s",
            (network("a", "10.1.0.0/24", "10.5.0.0/24"),),
            container("vpn", Attachment("a", ipv4_address="10.5.0.2")),
            container("web", through("a", "service:vpn", ipv4_address="10.1.0.9")),
        ),
        "gateway service:vpn of container web has no address in a subnet of network a that this container is in too",
        "give both an address of the same subnet",
    ),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_gateway_that_cannot_be_one_is_refused_at_its_place(what: str) -> None:
    manifest, message, hint = FAULTS[what]
    assert refused(manifest) == Problem(message, at(9), hint)


def test_a_setting_that_the_gateway_cannot_do_with_is_refused() -> None:
    vpn = replace(VPN, sysctls=(("net.ipv4.ip_forward", "0"),))
    problem = refused(stack("s", (A, B), vpn, CLIENT))
    assert problem.message == ("sysctl net.ipv4.ip_forward = 0 of container vpn: being the gateway of s/web needs 1")
    web = replace(
        CLIENT, attachments=(replace(CLIENT.attachments[0], sysctls=(("net.ipv6.conf.IFNAME.accept_ra", "2"),)),)
    )
    problem = refused(stack("s", (A, B), VPN, web))
    assert "net.ipv6.conf.eth0.accept_ra = 2 of container web" in problem.message
    assert problem.source == at(8)


def test_what_the_manifest_says_already_stays_as_it_is() -> None:
    given = (("net.ipv4.ip_forward", "1"), ("net.ipv4.conf.all.rp_filter", "0"))
    state = decided(stack("s", (A, B), replace(VPN, sysctls=given), CLIENT))
    assert settings(state, "s/vpn")["net/ipv4/conf/all/rp_filter"] == "0"
    assert settings(state, "s/vpn")["net/ipv4/ip_forward"] == "1"


SHARED = stack("owner", (A, B), VPN)
OUTSIDE = stack("other", (network("a", external=True),), container("web", through("a", "container:vpn")))


def test_a_router_of_another_stack_must_forward_already() -> None:
    alone = Observation(decided(SHARED))
    problem = refused(OUTSIDE, on=alone)
    assert problem.message == (
        "gateway container:vpn of container web does not forward IPv4, and its stack owner is not part of this run"
    )
    assert problem.hint == "name both manifests in one run"
    both = Observation(decided(SHARED, OUTSIDE))
    assert diff(both.state, decided(OUTSIDE, on=both)) == ()
    # The router's own stack knows of the client in the other.
    assert diff(both.state, decided(SHARED, on=both)) == ()
    assert routers(decided(SHARED, on=both)) == {"owner/vpn"}


def test_a_router_in_another_stack_that_is_going_is_refused() -> None:
    both = Observation(decided(SHARED, OUTSIDE))
    less = stack("owner", (A, B), container("rest", Attachment("a")))
    assert refused(less, OUTSIDE, on=both).message == "gateway container:vpn of container web does not exist"
    web = replace(CLIENT, attachments=(through("a", "container:owner/vpn"),))
    named = refused(less, replace(OUTSIDE, containers=(web,)), on=both)
    assert named.message == "gateway container:owner/vpn of container web is removed in this run"


def with_routes(*routes: StaticRoute, **fields: Any) -> Manifest:
    web = container(
        "web", Attachment("a", ipv4_address="10.1.0.9", routes=routes, source=at(8), **fields), Attachment("b")
    )
    return stack("s", (A, B), VPN, web)


def test_routes_of_every_kind() -> None:
    state = decided(
        with_routes(
            StaticRoute("10.9.0.0/16", "10.1.0.2"),
            StaticRoute("10.9.0.0/16", None, "unreachable", 99),
            StaticRoute("fd99::/64", "fd01::2", metric=0),
            StaticRoute("fd98::/64", None, "blackhole"),
            StaticRoute("fd97::/64", "fe80::1"),
        )
    )
    found = {each.key.name: each.describe() for each in state if isinstance(each, Route) and each.container == "s/web"}
    assert found == {
        "s/web:0.0.0.0/0": "default route via 10.1.0.1 on eth0",
        "s/web:::/0": "default route via fd01::1 on eth0",
        "s/web:10.9.0.0/16": "route to 10.9.0.0/16 via 10.1.0.2 on eth0",
        "s/web:10.9.0.0/16 metric 99": "unreachable route to 10.9.0.0/16 metric 99",
        "s/web:fd99::/64": "route to fd99::/64 via fd01::2 on eth0",
        "s/web:fd98::/64": "blackhole route to fd98::/64",
        "s/web:fd97::/64": "route to fd97::/64 via fe80::1 on eth0",
    }


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        ([StaticRoute("10.9.0.0/16", "10.2.0.2")], "10.2.0.2 is not in the subnet of network a which"),
        ([StaticRoute("10.9.0.0/16", "10.1.0.9")], "10.1.0.9 is its own address"),
        ([StaticRoute("10.9.0.0/16", "10.1.0.0")], "10.1.0.0 is the first or last of 10.1.0.0/24, no machine"),
        ([StaticRoute("10.9.0.0/16", "10.1.0.255")], "10.1.0.255 is the first or last of 10.1.0.0/24, no machine"),
        ([StaticRoute("10.9.0.0/16", "fd01::2")], "is of the other address family"),
        (
            [
                StaticRoute("10.9.0.0/16", "10.1.0.2", source=at(3)),
                StaticRoute("10.9.0.0/16", "10.1.0.3", source=at(4)),
            ],
            "there are two routes to 10.9.0.0/16 of one metric; first at stack.yaml:3:1",
        ),
    ],
)
def test_a_route_that_leads_nowhere_is_refused(routes: list[StaticRoute], message: str) -> None:
    problem = refused(with_routes(*routes))
    assert problem.message.startswith("container web: ")
    assert message in problem.message
    assert problem.source == (routes[-1].source or at(8))


def test_an_ipv6_route_needs_ipv6() -> None:
    lone = container("web", Attachment("four", routes=(StaticRoute("fd98::/64", None, "blackhole"),)))
    assert "it has no IPv6 at all" in refused(stack("s", (FOUR,), lone)).message
    web = container("web", Attachment("four", routes=(StaticRoute("fd98::/64", None, "blackhole"),)), Attachment("a"))
    decided(stack("s", (A, FOUR), web))


@pytest.mark.parametrize("kind", ["unicast", "blackhole"])
def test_a_default_route_of_the_manifest_takes_the_place_of_ours(kind: str) -> None:
    via = "10.1.0.2" if kind == "unicast" else None
    state = decided(with_routes(StaticRoute("0.0.0.0/0", via, kind)))
    assert ways_out(state, "s/web")["0.0.0.0/0"] == (via or "")
    problem = refused(with_routes(StaticRoute("0.0.0.0/0", via, kind, source=at(5)), gateway="service:vpn"))
    assert "everything goes through its gateway (stack.yaml:8:1)" in problem.message
    assert problem.source == at(5)


def test_a_published_port_stays_where_it_was_when_a_network_is_joined() -> None:
    web = container("web", Attachment("b"), ports=(PortMapping(80, (8080, 8080)),))
    before = Observation(decided(stack("s", (B,), web)))
    after = decided(stack("s", (A, B), replace(web, attachments=(Attachment("a"), Attachment("b")))), on=before)
    ports = {each.key: each for each in after if isinstance(each, PublishedPort)}
    assert ports
    assert ports == {each.key: each for each in before.state if isinstance(each, PublishedPort)}


def order_of(state: State) -> list[str]:
    return [each.interface for each in state if isinstance(each, Route) and each.container == "s/web"]


@pytest.mark.parametrize("first", ["four", "six"])
def test_a_network_that_is_joined_takes_no_default_route_over_at_the_next_run(first: str) -> None:
    six = replace(network("six", "fd06::/64"), enable_ipv4=False)
    standing = FOUR if first == "four" else six
    both = network("alpha", "10.1.0.0/24", "fd01::/64")
    before = Observation(decided(stack("s", (standing,), container("web", Attachment(first)))))
    joined = stack("s", (standing, both), container("web", Attachment(first), Attachment("alpha")))
    after = decided(joined, on=before)
    kept = "0.0.0.0/0" if first == "four" else "::/0"
    assert after.get(Key(Kind.ROUTE, f"s/web:{kept}")) == before.state.get(Key(Kind.ROUTE, f"s/web:{kept}"))
    assert diff(after, decided(joined, on=Observation(after))) == ()
    assert order_of(decided(joined, on=Observation(after))) == order_of(after)
