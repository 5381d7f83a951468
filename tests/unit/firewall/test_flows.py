"""Which tracked connections a change of policy ends, and which it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from reconciler.firewall.allow import AllowPolicy
from reconciler.firewall.flows import Ended, Way, ended_by
from reconciler.firewall.opening import Opening
from reconciler.firewall.policy import PublishedPort
from reconciler.firewall.translation import EgressPolicy, FloatingPolicy
from reconciler.state import Resource

HOST, WEB, APP, NEAR, FAR = "192.0.2.1", "10.0.0.2", "10.0.0.3", "192.0.2.2", "203.0.113.9"
PORT = PublishedPort("shop", "shop/web", "tcp", "0.0.0.0", 443, WEB, 8443)
ONE = replace(PORT, sources=(f"{NEAR}/32",))
OPEN = Opening("shop", "shop/web", "tcp", 80, 90)
FLOATING = FloatingPolicy("shop", "shop/web", "192.0.2.50", WEB)
EGRESS = EgressPolicy("shop", "shop/web", "192.0.2.50", WEB)
ALLOW = AllowPolicy("shop", "shop/a", "br-a", "br-b", (), ("10.0.0.0/24",), ("10.1.0.0/24",))

Flow = tuple[str, str, str, str, int, int]
"""Who asked whom, who answers whom, the port that was asked, the port that answers."""


def ends(before: Resource | None, after: Resource | None, flow: Flow, protocol: int = 6) -> bool:
    source, destination, answerer, answered, port, target_port = flow
    packed = [ip_address(each).packed for each in (source, destination, answerer, answered)]
    original = Way(protocol, packed[0], 40000, packed[1], port)
    reply = Way(protocol, packed[2], target_port, packed[3], 40000)
    found = Ended(ended_by([(before, after)]), [ip_address(HOST).packed, ip_address("127.0.0.1").packed])
    return original_family(source) in found.families and found.has(original, reply)


def original_family(address: str) -> int:
    return ip_address(address).version


THROUGH: Flow = (NEAR, HOST, WEB, NEAR, 443, 8443)
THEIRS: Flow = (FAR, HOST, WEB, FAR, 443, 8443)
OWN: Flow = (HOST, HOST, WEB, HOST, 443, 8443)
TO_HOST: Flow = (NEAR, HOST, HOST, NEAR, 443, 443)
OUTWARD: Flow = (WEB, FAR, FAR, HOST, 443, 443)
"""A container's own connection to port 443 of somebody else, masqueraded."""


@pytest.mark.parametrize(
    ("before", "after", "flow", "expected"),
    [
        (PORT, None, THROUGH, True),
        (PORT, None, (NEAR, HOST, APP, NEAR, 443, 8443), False),
        (PORT, replace(PORT, target_port=1), THROUGH, True),
        (None, PORT, TO_HOST, True),
        (None, PORT, OUTWARD, False),
        (None, PORT, (HOST, FAR, FAR, HOST, 443, 443), False),
        (PORT, ONE, THROUGH, False),
        (PORT, ONE, THEIRS, True),
        (PORT, ONE, OWN, False),
        (ONE, PORT, THEIRS, False),
        (OPEN, None, (NEAR, HOST, HOST, NEAR, 85, 85), True),
        (OPEN, None, (NEAR, HOST, HOST, NEAR, 91, 91), False),
        (OPEN, None, (HOST, HOST, HOST, HOST, 85, 85), False),
        (OPEN, None, (WEB, FAR, FAR, HOST, 85, 85), False),
        (OPEN, replace(OPEN, sources=("192.0.2.0/24",)), (NEAR, HOST, HOST, NEAR, 85, 85), False),
        (OPEN, replace(OPEN, sources=("192.0.2.0/24",)), (FAR, HOST, HOST, FAR, 85, 85), True),
        (replace(OPEN, sources=("192.0.2.0/24",)), OPEN, (NEAR, HOST, HOST, NEAR, 85, 85), False),
        (FLOATING, None, (FAR, "192.0.2.50", WEB, FAR, 22, 22), True),
        (FLOATING, None, THROUGH, False),
        (FLOATING, replace(FLOATING, target_address=APP), (FAR, "192.0.2.50", WEB, FAR, 22, 22), True),
        (None, FLOATING, (FAR, "192.0.2.50", "192.0.2.50", FAR, 22, 22), True),
        (None, EGRESS, OUTWARD, True),
        (None, EGRESS, (WEB, FAR, FAR, "192.0.2.50", 443, 443), False),
        (None, EGRESS, (WEB, APP, APP, WEB, 443, 443), False),
        (None, EGRESS, (WEB, HOST, APP, "10.0.0.1", 443, 443), False),
        (EGRESS, None, (WEB, FAR, FAR, "192.0.2.50", 443, 443), True),
        (ALLOW, None, (WEB, "10.1.0.9", "10.1.0.9", WEB, 5432, 5432), True),
        (ALLOW, None, ("10.1.0.9", WEB, WEB, "10.1.0.9", 5432, 5432), False),
        (ALLOW, replace(ALLOW, ports=(("tcp", 5432, 5432),)), (WEB, "10.1.0.9", "10.1.0.9", WEB, 5432, 5432), False),
        (ALLOW, replace(ALLOW, ports=(("udp", 5432, 5432),)), (WEB, "10.1.0.9", "10.1.0.9", WEB, 5432, 5432), True),
        (replace(ALLOW, ports=(("tcp", 1, 2),)), ALLOW, (WEB, "10.1.0.9", "10.1.0.9", WEB, 1, 1), False),
    ],
)
def test_what_ends(before: Resource | None, after: Resource | None, flow: Flow, *, expected: bool) -> None:
    assert ends(before, after, flow) == expected


def test_only_the_families_concerned_are_looked_at() -> None:
    assert Ended(ended_by([(PORT, None)])).families == {4}
    assert Ended(ended_by([(replace(PORT, host_address="::", target_address="fd00::2"), None)])).families == {6}
    assert Ended(ended_by([(PORT, PORT)])).families == set()
