"""Ports that cannot be published: what to do about it."""

from __future__ import annotations

import pytest

from tests.unit.desired.runs import message

STACK = "name: s\nnetworks: {n: {%s}}\ncontainers: {c: {networks: [n], ports: ['%s']}}\n"
SIX = "enable_ipv4: false, enable_ipv6: true"


@pytest.mark.parametrize(
    ("network", "port", "hint"),
    [
        ("internal: true", "80:80", "join a network that is not internal"),
        ("internal: true", "127.0.0.1:80:80", "join a network that is not internal"),
        (SIX, "127.0.0.1:80:80", "give its network enable_ipv4: true"),
        ("", "[2001:db8::1]:80:80", "give its network enable_ipv6: true"),
    ],
)
def test_a_port_without_a_way_out(network: str, port: str, hint: str) -> None:
    told = message(STACK % (network, port))
    assert "but has no network that leads outside" in told
    assert f"hint: {hint}" in told
