"""Two claims on a host port clash exactly when two sockets cannot both be bound."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from itertools import product

import pytest

from reconciler.firewall.policy import PublishedPort
from tests.kernel.lab import Host
from tests.property.test_port_claims import meet

_ADDRESSES = ("0.0.0.0", "127.0.0.1", "127.0.0.2", "::", "::1", "fd00::1")
_TYPES = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def _bind(stack: ExitStack, port: PublishedPort) -> None:
    family = socket.AF_INET6 if port.family == 6 else socket.AF_INET
    bound = stack.enter_context(socket.socket(family, _TYPES[port.protocol]))
    if family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    bound.bind((port.host_address, port.host_port))


def _both_can_be_bound(one: PublishedPort, other: PublishedPort) -> bool:
    with ExitStack() as stack:
        _bind(stack, one)
        try:
            _bind(stack, other)
        except OSError:
            return False
    return True


def test_the_model_of_port_claims_is_the_kernel_s(host: Host) -> None:
    host.run(["ip", "address", "add", "fd00::1/128", "dev", "lo", "nodad"])
    claims = [
        PublishedPort("", "", protocol, address, port, "", 0)
        for protocol, address, port in product(_TYPES, _ADDRESSES, (40_001, 40_002))
    ]
    pairs = list(product(claims, claims))
    found = host.inside(lambda: [_both_can_be_bound(*pair) for pair in pairs])
    assert found == [not meet(*pair) for pair in pairs]
    assert {True, False} == set(found)


@pytest.mark.parametrize("backend", ["nftables", "iptables"])
def test_ports_of_sctp_are_published_and_not_held(host: Host, backend: str) -> None:
    host.write("stack.yaml", "name: shop\nservices: {web: {ports: ['7014:80/sctp', '7014:80/udp']}}\n")
    said = host.netapply("--firewall", backend, "up", "stack.yaml").stdout
    assert "+ shop/web: publish 7014/sctp -> web:80, any source" in said
    assert host.plan("stack.yaml") == []
    host.write("stack.yaml", "name: shop\nservices: {web: {ports: ['7015:80/sctp']}}\n")
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []
    assert "80/sctp -> 0.0.0.0:7015" in host.netapply("port", "web").stdout
