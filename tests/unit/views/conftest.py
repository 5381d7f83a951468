"""A small host, made by hand: one stack with two networks, three containers, and a neighbour's container."""

from __future__ import annotations

import pytest

from reconciler.firewall.policy import NetworkPolicy, PublishedPort
from reconciler.observation import Observation, Runtime
from reconciler.resources.address import Address
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.namespace import Namespace
from reconciler.resources.process import Process
from reconciler.resources.route import Route
from reconciler.state import Resource, State

FRONT, BACK = "shop/front", "shop/back"


def bridge(network: str, interface: str, real_name: str) -> Bridge:
    return Bridge(network.partition("/")[0], network, real_name, interface, "02:00:00:00:00:01", "origin")


def endpoint(container: str, interface: str, network: str, bridge_name: str, *, host_end: str = "nv-1") -> Endpoint:
    owner = container.partition("/")[0]
    return Endpoint(owner, container, interface, host_end, network, bridge_name, "02:00:00:00:00:02", "origin")


def inside(container: str, interface: str, address: str) -> Address:
    return Address(container.partition("/")[0], container, container, interface, address)


def default_route(container: str, interface: str, gateway: str) -> Route:
    destination = "::/0" if ":" in gateway else "0.0.0.0/0"
    return Route(container.partition("/")[0], container, destination, gateway, interface, 0)


def port(
    container: str, host: str, host_port: int, target: int, protocol: str = "tcp", *, routed: bool = False
) -> PublishedPort:
    target_address = "fd00::2" if ":" in host else "172.18.0.2"
    owner = container.partition("/")[0]
    return PublishedPort(owner, container, protocol, host, host_port, target_address, target, routed=routed)


def resources() -> list[Resource]:
    return [
        bridge(FRONT, "na-front", "shop_front"),
        Address("shop", FRONT, "", "na-front", "172.18.0.1/16"),
        Address("shop", FRONT, "", "na-front", "fd00::1/64"),
        NetworkPolicy("shop", FRONT, "na-front", ("172.18.0.0/16", "fd00::/64")),
        bridge(BACK, "na-back", "data"),
        Address("shop", BACK, "", "na-back", "172.19.0.1/16"),
        NetworkPolicy("shop", BACK, "na-back", ("172.19.0.0/16",), internal=True),
        Namespace("shop", "shop/web", "origin"),
        endpoint("shop/web", "eth10", "data", "na-back"),
        endpoint("shop/web", "eth2", "shop_front", "na-front"),
        inside("shop/web", "eth2", "172.18.0.2/16"),
        inside("shop/web", "eth2", "fd00::2/64"),
        inside("shop/web", "eth10", "172.19.0.2/16"),
        default_route("shop/web", "eth2", "172.18.0.254"),
        default_route("shop/web", "eth2", "fd00::fe"),
        Process("shop", "shop/web", ("serve",), "shop/web", (("KEY", "canary"),), hostname="www.example"),
        port("shop/web", "0.0.0.0", 8080, 80),
        port("shop/web", "::", 8080, 80),
        Namespace("shop", "shop/job", "origin"),
        Process("shop", "shop/job", ("false",), "shop/job"),
        Namespace("shop", "shop/box", "origin"),
        Namespace("blog", "blog/web", "origin"),
        endpoint("blog/web", "eth0", "shop_front", "na-front"),
        inside("blog/web", "eth0", "172.18.0.9/16"),
    ]


@pytest.fixture
def observation() -> Observation:
    runtimes = {"shop/web": Runtime(4242, None), "shop/job": Runtime(None, 1)}
    return Observation(State(resources()), runtimes=runtimes)
