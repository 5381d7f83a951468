"""``masquerade_ports`` of a network: its one form, and where it can have no effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.manifest import load
from reconciler.manifest.canonical import canonical, render
from tests.corpus.outcomes import is_same

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import FaultsOf, LoadText

BRIDGE = "com.docker.network.bridge"


def test_every_form(load_text: LoadText) -> None:
    manifest = load_text(
        f"""
        networks:
          a: {{masquerade_ports: 40000-49999}}
          b: {{masquerade_ports: "${{FIRST}}-65535"}}
          c: {{masquerade_ports: "${{NONE:-}}"}}
          d: {{x-netapply: {{masquerade_ports: 1-1}}}}
          e:
            enable_ipv6: true
            driver_opts: {{{BRIDGE}.gateway_mode_ipv4: routed, com.docker.network.host_ipv4: 192.0.2.1}}
            masquerade_ports: 5-6
        """,
        FIRST="07",
    )
    ranges = [(40000, 49999), (7, 65535), None, (1, 1), (5, 6)]
    assert [network.masquerade_ports for network in manifest.networks] == ranges
    written = canonical(manifest)["networks"]
    assert [written[key].get("masquerade_ports") for key in "abc"] == ["40000-49999", "7-65535", None]
    assert is_same(manifest, load(["-"], environment={}, stdin=render(manifest)))


def test_a_later_file_replaces_it(load_text: LoadText) -> None:
    later = load_text("networks: {n: {masquerade_ports: 1-2}}", "networks: {n: {masquerade_ports: 3-4}}")
    assert later.networks[0].masquerade_ports == (3, 4)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("40000", "'40000' is not a range of ports", "write the first and the last one: 40000-49999"),
        ("40000:49999", "'40000:49999' is not a range of ports", "40000-49999"),
        ("40000-49999/tcp", "is not a range of ports", ""),
        ("-5", "'-5' is not a range of ports", ""),
        ("\u0664-\u0665", "is not a range of ports", ""),
        ("40000\u201349999", "is not a range of ports", "is not a plain '-'"),
        ("0-5", "'0-5' names a port that there is not", "a number from 1 to 65535"),
        ("5-65536", "'5-65536' names a port that there is not", "a number from 1 to 65535"),
        ("9-5", "the range 9-5 ends before it begins", "write 5-9"),
    ],
)
def test_bad_ranges(faults_of: FaultsOf, text: str, message: str, hint: str) -> None:
    (fault,) = faults_of(f'networks:\n  n:\n    masquerade_ports: "{text}"\n')
    assert message in fault.message
    assert hint in fault.hint
    assert str(fault.source) == "a.yaml:3:23"


@pytest.mark.parametrize(
    ("more", "message", "hint"),
    [
        ("internal: true", "nothing leaves an internal network", "remove one of the two"),
        (f"driver_opts: {{{BRIDGE}.enable_ip_masquerade: false}}", "enable_ip_masquerade is false", "remove one"),
        (
            f"driver_opts: {{{BRIDGE}.gateway_mode_ipv4: routed}}",
            "mode translates no address",
            "choose gateway mode nat",
        ),
        (
            f"enable_ipv6: true, driver_opts: {{{BRIDGE}.gateway_mode_ipv4: routed, {BRIDGE}.gateway_mode_ipv6: routed}}",
            "mode translates no address",
            "choose gateway mode nat",
        ),
        ("driver: macvlan, driver_opts: {parent: eth0}", "driver macvlan is not masqueraded", "for driver bridge"),
        ("driver: ipvlan, driver_opts: {parent: eth0}", "driver ipvlan is not masqueraded", "for driver bridge"),
        (
            "driver_opts: {com.docker.network.host_ipv4: 192.0.2.1}",
            "no effect on IPv4: com.docker.network.host_ipv4 at a.yaml:3:50 takes the place of masquerade",
            "remove one of the two",
        ),
        (
            "enable_ipv6: true, driver_opts: {com.docker.network.host_ipv6: '2001:db8::1'}",
            "no effect on IPv6: com.docker.network.host_ipv6",
            "remove one of the two",
        ),
        ("external: true", "is external, so 'masquerade_ports' cannot be set here", "where the network is made"),
    ],
)
def test_where_it_makes_no_sense(faults_of: FaultsOf, more: str, message: str, hint: str) -> None:
    (fault,) = faults_of(f"networks:\n  n:\n    {{{more},\n     masquerade_ports: 1-9}}\n")
    assert message in fault.message
    assert hint in fault.hint
    assert str(fault.source) == "a.yaml:4:6"


def test_a_slip_of_the_pen_is_told(faults_of: FaultsOf) -> None:
    (fault,) = faults_of("networks: {n: {masquerade_port: 1-9}}")
    assert "unknown key 'masquerade_port'" in fault.message
    assert fault.hint == "did you mean 'masquerade_ports'?"
