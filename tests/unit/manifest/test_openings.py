"""``open``, ``listen`` and the ``sources`` of ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.manifest import load
from reconciler.manifest.canonical import render
from reconciler.manifest.model import Listen, PortMapping, PortSpan
from tests.corpus.outcomes import is_same

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import FaultsOf, LoadText


@pytest.mark.founding("S0-16", "S2-13")
def test_open(load_text: LoadText) -> None:
    """S0-16, S2-13."""
    manifest = load_text("""\
        containers:
          a:
            network_mode: host
            open:
              - 80/tcp
              - 80
              - "8080-8090/UDP"
              - {port: 8080, protocol: udp, sources: [192.0.2.0/24, 2001:DB8::1]}
              - {port: 53/udp, sources: 192.0.2.1}
    """)
    assert manifest.containers[0].open == (
        PortSpan(80, 80),
        PortSpan(8080, 8090, "udp"),
        PortSpan(8080, 8080, "udp", ("192.0.2.0/24", "2001:db8::1/128")),
        PortSpan(53, 53, "udp", ("192.0.2.1/32",)),
    )
    assert str(manifest.containers[0].open[1].source) == "a.yaml:7:9"
    assert is_same(manifest, load(["-"], environment={}, stdin=render(manifest)))


@pytest.mark.founding("S2-19")
def test_listen(load_text: LoadText) -> None:
    """S2-19: one port on two addresses of the host."""
    manifest = load_text("""\
        containers:
          a: {network_mode: host, listen: [80, "192.0.2.1:81/tcp", "[2001:db8::1]:82/udp", "2001:db8::1:82/udp"]}
          b: {listen: [{port: 80-81, address: "[::1]", protocol: sctp}, {port: 53/udp}]}
    """)
    assert manifest.containers[0].listen == (
        Listen(80),
        Listen(81, "tcp", "192.0.2.1"),
        Listen(82, "udp", "2001:db8::1"),
    )
    assert manifest.containers[1].listen == (
        Listen(80, "sctp", "::1"),
        Listen(81, "sctp", "::1"),
        Listen(53, "udp"),
    )
    assert is_same(manifest, load(["-"], environment={}, stdin=render(manifest)))


def test_sources_of_a_port(load_text: LoadText) -> None:
    manifest = load_text("""\
        containers:
          a:
            ports:
              - {target: 80, published: 8080, sources: [192.0.2.0/24, 192.0.2.0/24, "2001:db8::/32"]}
              - {target: 81, x-netapply: {sources: 192.0.2.1}}
              - {target: 82, sources: null}
    """)
    assert manifest.containers[0].ports == (
        PortMapping(80, (8080, 8080), sources=("192.0.2.0/24", "2001:db8::/32")),
        PortMapping(81, sources=("192.0.2.1/32",)),
        PortMapping(82),
    )
    assert is_same(manifest, load(["-"], environment={}, stdin=render(manifest)))


@pytest.mark.parametrize(
    ("written", "place", "message", "hint"),
    [
        ("network_mode: host, open: [x]", 45, "'x' is not a port", ""),
        ("network_mode: host, open: [90-80]", 45, "ends before it begins", "write 80-90"),
        ("network_mode: host, open: [80/xyz]", 45, "'xyz' is not a protocol", ""),
        ("network_mode: host, open: [{port: 80/tcp, protocol: udp}]", 52, "two protocols: '80/tcp' and udp", ""),
        ("network_mode: host, open: [{sources: 1.1.1.1}]", 45, "'port' is missing", "add port:"),
        ("network_mode: host, open: [{port: 80, source: 1.1.1.1}]", 56, "unknown key 'source'", "'sources'"),
        ("network_mode: host, open: 80", 44, "'open' takes a list, not '80'", "[80]"),
        ("network_mode: host, open: [{port: 80, sources: [10.0.0.1/8]}]", 66, "host bits set", "10.0.0.0/8"),
        ("network_mode: host, open: [{port: 80, sources: []}]", 56, "lets nobody in", "remove it"),
        ("network_mode: host, open: [{port: 80, sources: ['${X:-}']}]", 66, "'' is not an IP address", ""),
        ("network_mode: host, open: [{port: 80, sources: example.org}]", 65, "is not an IP address", "not a name"),
        ("listen: [':80']", 27, "names no address before the colon", "write 80"),
        ("listen: ['localhost:80']", 27, "'localhost' is not an IP address", "127.0.0.1"),
        ("listen: [{address: 127.0.0.1}]", 27, "'port' is missing", ""),
        ("ports: [{target: 80, sources: []}]", 39, "lets nobody in", ""),
        ("ports: [{target: 80, host_ip: '::1', sources: 10.0.0.0/8}]", 55, "nobody can use the port", "family"),
        ("ports: [{target: 80, sources: [10.0.0.0/33]}]", 49, "'10.0.0.0/33' is not a subnet", ""),
    ],
)
def test_faults(faults_of: FaultsOf, written: str, place: int, message: str, hint: str) -> None:
    (fault,) = faults_of(f"containers: {{a: {{{written}}}}}")
    assert message in fault.message
    assert hint in fault.hint
    assert str(fault.source) == f"a.yaml:1:{place}"


def test_entries_of_several_files_add_up(load_text: LoadText) -> None:
    manifest = load_text(
        "containers: {a: {network_mode: host, open: [80], listen: [80]}}",
        "containers: {a: {x-netapply: {open: [80, 81], listen: [81]}}}",
    )
    assert manifest.containers[0].open == (PortSpan(80, 80), PortSpan(81, 81))
    assert manifest.containers[0].listen == (Listen(80), Listen(81))
