"""Addresses of the host: ``floating_ip``, ``egress_ip``, ``host_address``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.manifest import load
from reconciler.manifest.canonical import render
from reconciler.manifest.model import FloatingAddress
from tests.corpus.outcomes import is_same

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import FaultsOf, LoadText

LAN = "driver: macvlan, ipam: {config: [{subnet: 192.0.2.0/24, gateway: 192.0.2.1}]}"


@pytest.mark.founding("S0-26")
def test_every_form(load_text: LoadText) -> None:
    """S0-26."""
    manifest = load_text(f"""\
        containers:
          a: {{floating_ip: 192.0.2.50, egress_ip: [192.0.2.51, "2001:DB8::51"], networks: [n]}}
          b: {{floating_ip: [192.0.2.60, {{address: 192.0.2.61, interface: eth1}}]}}
          c: {{x-netapply: {{floating_ip: {{address: 192.0.2.70}}}}, network_mode: bridge}}
        networks:
          n: {{enable_ipv6: true}}
          lan: {{{LAN}, host_address: 192.0.2.250}}
    """)
    a, b, c = manifest.containers
    assert a.floating_addresses == (FloatingAddress("192.0.2.50"),)
    assert a.egress_addresses == (FloatingAddress("192.0.2.51"), FloatingAddress("2001:db8::51"))
    assert b.floating_addresses == (FloatingAddress("192.0.2.60"), FloatingAddress("192.0.2.61", "eth1"))
    assert c.floating_addresses == (FloatingAddress("192.0.2.70"),)
    assert str(b.floating_addresses[1].source) == "a.yaml:3:43"
    assert manifest.networks[1].host_addresses == ("192.0.2.250",)
    assert is_same(manifest, load(["-"], environment={}, stdin=render(manifest)))


@pytest.mark.parametrize(
    ("written", "message", "hint"),
    [
        ("floating_ip: example.org", "'example.org' is not an IP address", ""),
        ("floating_ip: 127.0.0.1", "not an address that other machines can reach", ""),
        ("floating_ip: {address: ''}", "'address' is empty", ""),
        ("floating_ip: {interface: eth0}", "'address' is missing", "add address:"),
        ("floating_ip: {address: 192.0.2.50, interface: a/b}", "holds a character the kernel refuses", ""),
        ("floating_ip: {address: 192.0.2.50, iface: a}", "unknown key 'iface'", "did you mean 'interface'?"),
        ("floating_ip: 2001:db8::50", "is on no network with IPv6", "enable_ipv6: true"),
        ("floating_ip: 10.1.0.9", "is an address of the containers' own subnet at a.yaml:3:", ""),
        ("floating_ip: 192.0.2.50, networks: [i]", "is on internal networks only", "leads outside"),
        ("egress_ip: [192.0.2.50, 192.0.2.51]", "egress_ip 192.0.2.51: there is one of that family", ""),
        ("egress_ip: 224.0.0.1", "not an address that other machines can reach", ""),
    ],
)
def test_faults(faults_of: FaultsOf, written: str, message: str, hint: str) -> None:
    (fault,) = faults_of(f"""\
        containers:
          a: {{{written}}}
        networks: {{default: {{ipam: {{config: [{{subnet: 10.1.0.0/24}}]}}}}, i: {{internal: true}}}}
    """)
    assert message in fault.message
    assert hint in fault.hint
    assert fault.source
    assert fault.source.line == 2


@pytest.mark.founding("S0-27")
def test_an_address_leads_to_one_container(faults_of: FaultsOf) -> None:
    """S0-27: a duplicate claim names both."""
    (fault,) = faults_of("containers:\n  a: {floating_ip: 192.0.2.50}\n  b: {floating_ip: [192.0.2.51, 192.0.2.50]}")
    assert fault.message == "floating_ip 192.0.2.50 is claimed by container 'a' too, at a.yaml:2:20"
    assert str(fault.source) == "a.yaml:3:33"


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("host_address: 192.0.2.250", "'host_address' is for networks of driver macvlan or ipvlan"),
        (f"{LAN}, host_address: 192.0.3.1", "192.0.3.1 is in no subnet of network 'n'"),
        (f"{LAN}, host_address: 192.0.2.1", "host_address 192.0.2.1 is the network's gateway at a.yaml:1:"),
        (f"{LAN}, host_address: 192.0.2.255", "is the first or last address"),
        (f"{LAN}, host_address: [192.0.2.2, 192.0.2.3]", "there is one of that family already"),
        (f"{LAN}, host_address: 2001:db8::1", "network 'n' has no IPv6"),
        (f"{LAN}, host_address: x", "'x' is not an IP address"),
        (f"{LAN}, driver_opts: {{macvlan_mode: passthru}}, host_address: 192.0.2.9", "to one container alone"),
    ],
)
def test_faults_of_the_hosts_own_address(faults_of: FaultsOf, network: str, message: str) -> None:
    (fault,) = faults_of(f"networks: {{n: {{{network}}}}}")
    assert message in fault.message


def test_no_container_has_the_hosts_own_address(faults_of: FaultsOf) -> None:
    (fault,) = faults_of(f"""\
        networks: {{n: {{{LAN}, host_address: 192.0.2.9}}}}
        containers: {{a: {{networks: {{n: {{ipv4_address: 192.0.2.9}}}}}}}}
    """)
    assert "is taken by the host itself, host_address of network 'n' at a.yaml:1:12" in fault.message


def test_a_later_file_replaces(load_text: LoadText) -> None:
    manifest = load_text(
        f"containers: {{a: {{floating_ip: 192.0.2.50, egress_ip: 192.0.2.1}}}}\nnetworks: {{n: {{{LAN}, host_address: 192.0.2.9}}}}",
        "containers: {a: {floating_ip: [192.0.2.60], egress_ip: [192.0.2.2]}}\nnetworks: {n: {host_address: [192.0.2.8]}}",
    )
    assert manifest.containers[0].floating_addresses == (FloatingAddress("192.0.2.60"),)
    assert manifest.containers[0].egress_addresses == (FloatingAddress("192.0.2.2"),)
    assert manifest.networks[0].host_addresses == ("192.0.2.8",)
