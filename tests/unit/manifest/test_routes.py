"""``gateway`` and ``routes`` of a container's place on a network, and ``allow`` between networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.manifest import load
from reconciler.manifest.canonical import canonical, render
from reconciler.manifest.model import Allowance, PortSpan, StaticRoute
from tests.corpus.outcomes import is_same

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import FaultsOf, LoadText

TEXT = """\
containers:
  vpn: {{networks: [n], container_name: called}}
  a: {{networks: {{n: {{{written}}}}}}}
  elsewhere: {{networks: [m]}}
  joiner: {{network_mode: "service:vpn"}}
  many: {{scale: 2, networks: [n]}}
networks:
  n: {{ipam: {{config: [{{subnet: 10.1.0.0/24}}]}}, x-netapply: {{allow: [m]}}}}
  m:
  lan: {{driver: macvlan}}
"""


def test_routes(load_text: LoadText) -> None:
    manifest = load_text(
        TEXT.format(
            written="x-netapply: {gateway: 'service:vpn', routes: "
            "[{to: 10.9.0.0/16, via: 10.1.0.9, metric: 5}, {to: 10.8.0.1, type: blackhole}, "
            "{to: 2001:db8::/32, via: 'fe80::1'}]}"
        )
    )
    (attachment,) = manifest.containers[1].attachments
    assert attachment.routes == (
        StaticRoute("10.9.0.0/16", "10.1.0.9", "unicast", 5),
        StaticRoute("10.8.0.1/32", None, "blackhole"),
        StaticRoute("2001:db8::/32", "fe80::1"),
    )
    assert attachment.gateway == "service:vpn"
    assert str(attachment.gateway_source).startswith("a.yaml:3:")
    assert is_same(manifest, load(["-"], environment={}, stdin=render(manifest)))


@pytest.mark.founding("S0-28")
def test_a_gateway_may_be_named_by_its_container_name_or_be_of_another_stack(load_text: LoadText) -> None:
    """S0-28."""
    first = load_text(TEXT.format(written="gateway: 'container:called'"))
    assert first.containers[1].attachments[0].gateway == "service:vpn"
    other = load_text(TEXT.format(written="gateway: 'container:other/vpn'"))
    assert other.containers[1].attachments[0].gateway == "container:other/vpn"


@pytest.mark.parametrize(
    ("written", "message", "hint"),
    [
        ("gateway: vpn", "'vpn' does not name a container as gateway", "write service:vpn"),
        ("gateway: 'service:'", "does not name a container as gateway", "service:NAME"),
        ("gateway: 10.1.0.1", "'10.1.0.1' does not name a container as gateway", "under ipam"),
        ("gateway: 'service:vpm'", "is 'vpm', which is not in the stack", "did you mean 'vpn'?"),
        ("gateway: 'service:a'", "container 'a' is its own gateway", "another"),
        ("gateway: 'service:elsewhere'", "'elsewhere' at a.yaml:4:3, is not on that network", "add n to its networks"),
        ("gateway: 'service:joiner'", "'joiner' at a.yaml:5:3, is not on that network", "write service:vpn"),
        ("gateway: 'service:many'", "'many', which is 2 containers", "name one of them: service:many-1"),
        ("routes: [{via: 10.1.0.1}]", "'to' is missing", "add to:"),
        ("routes: [{to: ''}]", "'to' is empty", "10.0.0.0/8"),
        ("routes: [{to: 10.9.0.0/16}]", "the route to 10.9.0.0/16 has no next hop", "type: blackhole"),
        ("routes: [{to: 10.9.0.1/16, via: 10.1.0.1}]", "has host bits set", "10.9.0.0/16"),
        ("routes: [{to: 0.0.0.0/0, via: 10.1.0.1}]", "'0.0.0.0/0' is the default route", "gateway: service:NAME"),
        ("routes: [{to: default, via: 10.1.0.1}]", "'default' is the default route", "gw_priority"),
        ("routes: [{to: 10.9.0.0/16, via: x}]", "'x' is not an IP address", ""),
        ("routes: [{to: 10.9.0.0/16, via: 10.2.0.1}]", "next hop 10.2.0.1 is not on network 'n': 10.1.0.0/24 at", ""),
        (
            "routes: [{to: 10.9.0.0/16, via: 10.1.0.0}]",
            "next hop 10.1.0.0 is the first or last address of 10.1.0.0/24",
            "",
        ),
        ("routes: [{to: 10.9.0.0/16, via: 10.1.0.255}]", "10.1.0.255 is the first or last address of 10.1.0.0/24", ""),
        ("routes: [{to: 10.9.0.0/16, via: 'fe80::1'}]", "are of two address families", ""),
        ("routes: [{to: 'fd00::/8', via: 'fd01::1'}]", "is not on network 'n': it has no IPv6", ""),
        ("routes: [{to: 10.9.0.0/16, type: blackhole, via: 10.1.0.1}]", "leads nowhere", "remove via"),
        ("routes: [{to: 10.9.0.0/16, type: blckhole}]", "unknown type of route", "did you mean 'blackhole'?"),
        ("routes: [{to: 10.9.0.0/16, via: 10.1.0.1, metric: -1}]", "metric -1 is not possible", "0 to 4294967295"),
        ("routes: [{to: 10.1.0.0/24, via: 10.1.0.9}]", "is the subnet of a network that container 'a' is on", ""),
        (
            "routes: [{to: 10.9.0.0/16, via: 10.1.0.9}, {to: 10.9.0.0/16, type: prohibit}]",
            "two routes to 10.9.0.0/16; first at a.yaml:3:",
            "metrics",
        ),
        ("routes: [{to: 10.9.0.0/16, type: blackhole, mertic: 3}]", "unknown key 'mertic'", "did you mean 'metric'?"),
    ],
)
def test_faults(faults_of: FaultsOf, written: str, message: str, hint: str) -> None:
    fault = faults_of(TEXT.format(written=written))[0]
    assert message in fault.message
    assert hint in fault.hint
    assert fault.source
    assert fault.source.line == 3


def test_gateways_in_a_circle(faults_of: FaultsOf) -> None:
    (fault,) = faults_of("""\
        containers:
          c: {networks: {n: {gateway: "service:a"}}}
          a: {networks: {n: {gateway: "service:b"}}}
          b: {networks: {n: {gateway: "service:a"}}}
        networks: {n: }
    """)
    assert fault.message == "gateway goes in a circle on network 'n': a -> b -> a"


def test_routes_of_several_files_meet_by_destination(load_text: LoadText) -> None:
    manifest = load_text(
        "containers: {a: {networks: {n: {routes: [{to: 10.9.0.0/16, via: 10.1.0.9}]}}}}\n"
        "networks: {n: {ipam: {config: [{subnet: 10.1.0.0/24}]}}}",
        "containers: {a: {networks: {n: {routes: [{to: 10.9.0.0/16, metric: 7}, {to: 10.8.0.0/16, type: blackhole}]}}}}",
    )
    assert manifest.containers[0].attachments[0].routes == (
        StaticRoute("10.9.0.0/16", "10.1.0.9", "unicast", 7),
        StaticRoute("10.8.0.0/16", None, "blackhole"),
    )


def test_allow(load_text: LoadText) -> None:
    manifest = load_text("""\
        networks:
          front: {allow: [back, {network: other, ports: [5432/tcp, "80-81/udp"]}, {network: other, ports: [80]}]}
          back: {x-netapply: {allow: [{network: other, ports: [80]}, other]}}
          other: {external: true}
    """)
    front, back, _ = manifest.networks
    assert front.allow == (
        Allowance("back"),
        Allowance("other", (PortSpan(5432, 5432), PortSpan(80, 81, "udp"), PortSpan(80, 80))),
    )
    # To all ports is more than to one of them.
    assert back.allow == (Allowance("other"),)
    assert canonical(manifest)["networks"]["front"]["allow"] == [
        "back",
        {"network": "other", "ports": ["5432/tcp", "80-81/udp", "80/tcp"]},
    ]
    assert is_same(manifest, load(["-"], environment={}, stdin=render(manifest)))


@pytest.mark.parametrize(
    ("written", "place", "message", "hint"),
    [
        ("allow: [bck]", "1:24", "network 'n' allows undefined network 'bck'", "did you mean 'back'?"),
        ("allow: [n]", "1:24", "network 'n' allows itself", "remove it"),
        ("allow: [lan]", "1:24", "'lan' at a.yaml:3:1 has driver macvlan", "no rule of the host"),
        ("allow: [{ports: [80]}]", "1:24", "'network' is missing", ""),
        ("allow: [{network: ''}]", "1:24", "an allowance without its network", ""),
        ("allow: [{network: back, ports: [x]}]", "1:48", "'x' is not a port", ""),
        ("allow: [{network: back, prots: []}]", "1:40", "unknown key 'prots'", "did you mean 'ports'?"),
        ("allow: back", "1:23", "'allow' takes a list, not 'back'", "[back]"),
        ("allow: [back], external: true", "1:16", "network 'n' is external, so 'allow' cannot be set here", ""),
    ],
)
def test_faults_of_allow(faults_of: FaultsOf, written: str, place: str, message: str, hint: str) -> None:
    (fault,) = faults_of(f"networks: {{n: {{{written}}},\n back: ,\nlan: {{driver: macvlan}}}}")
    assert message in fault.message
    assert hint in fault.hint
    assert str(fault.source) == f"a.yaml:{place}"


def test_allowances_of_several_files_meet_by_network(load_text: LoadText) -> None:
    manifest = load_text(
        "networks: {n: {allow: [a, {network: b, ports: [80]}]}, a: , b: }",
        "networks: {n: {allow: [{network: b, ports: [81]}, {network: a, ports: [90]}]}}",
    )
    assert manifest.networks[0].allow == (
        Allowance("a", (PortSpan(90, 90),)),
        Allowance("b", (PortSpan(80, 80), PortSpan(81, 81))),
    )
