"""Networks: pools, families, options, members."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.manifest import load
from reconciler.manifest.canonical import render
from reconciler.manifest.model import BridgeOptions, Network, Pool
from tests.corpus.outcomes import is_same

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import FaultsOf, LoadText


def test_everything_a_network_can_say(load_text: LoadText) -> None:
    manifest = load_text("""
        networks:
          front:
            name: shop-front
            driver: bridge
            internal: true
            enable_ipv6: true
            attachable: true
            labels: [a=b]
            ipam:
              driver: default
              config:
                - {subnet: 172.28.0.0/16, gateway: 172.28.5.254, ip_range: 172.28.5.0/24, aux_addresses: {h1: 172.28.1.5}}
                - {subnet: "FD00:0::/64"}
            driver_opts:
              com.docker.network.bridge.name: br0
              com.docker.network.bridge.enable_ip_masquerade: "false"
              com.docker.network.bridge.enable_icc: false
              com.docker.network.bridge.host_binding_ipv4: 127.0.0.1
              com.docker.network.bridge.gateway_mode_ipv4: isolated
              com.docker.network.bridge.gateway_mode_ipv6: routed
              com.docker.network.bridge.inhibit_ipv4: 1
              com.docker.network.bridge.trusted_host_interfaces: eth0:eth1
              com.docker.network.bridge.default_bridge: false
              com.docker.network.driver.mtu: 9000
              com.docker.network.container_iface_prefix: net
              com.docker.network.host_ipv4: 192.0.2.1
              com.docker.network.host_ipv6: 2001:db8::1
    """)
    assert manifest.networks == (
        Network(
            key="front",
            name="shop-front",
            internal=True,
            enable_ipv6=True,
            pools=(
                Pool("172.28.0.0/16", "172.28.5.254", "172.28.5.0/24", (("h1", "172.28.1.5"),)),
                Pool("fd00::/64"),
            ),
            bridge=BridgeOptions(
                bridge_name="br0",
                mtu=9000,
                icc=False,
                masquerade=False,
                host_binding_ipv4="127.0.0.1",
                gateway_mode_ipv4="isolated",
                gateway_mode_ipv6="routed",
                inhibit_ipv4=True,
                trusted_host_interfaces=("eth0", "eth1"),
                interface_prefix="net",
                snat_ipv4="192.0.2.1",
                snat_ipv6="2001:db8::1",
            ),
        ),
    )


@pytest.mark.parametrize(
    ("text", "external", "name"),
    [
        ("", False, "test_n"),
        ("{name: real}", False, "real"),
        ("{external: true}", True, "n"),
        ("{external: true, name: real}", True, "real"),
        ("{external: {name: real}}", True, "real"),
        ("{external: {name: real}, name: real}", True, "real"),
        ("{external: 'true'}", True, "n"),
        ("{external: false}", False, "test_n"),
        ("{external: true, driver: }", True, "n"),
    ],
)
def test_names(load_text: LoadText, text: str, external: bool, name: str) -> None:
    (network,) = load_text(f"networks: {{n: {text}}}").networks
    assert (network.external, network.name) == (external, name)


def test_a_subnet_of_ipv6_turns_ipv6_on_unless_denied(load_text: LoadText) -> None:
    manifest = load_text("""
        networks:
          a: {ipam: {config: [{subnet: "fd01::/64"}]}}
          b: {ipam: {config: [{subnet: "fd02::/64"}]}, enable_ipv6: false}
          c: {driver_opts: {com.docker.network.enable_ipv6: "true", com.docker.network.enable_ipv4: "false"}}
    """)
    assert [(each.enable_ipv4, each.enable_ipv6) for each in manifest.networks] == [
        (True, True),
        (True, False),
        (False, True),
    ]
    assert "subnet fd02::/64 is not used" in manifest.warnings[0].message


@pytest.mark.parametrize(
    ("pool", "message", "hint"),
    [
        ("subnet: 172.28.0.1/16", "has host bits set", "the subnet is 172.28.0.0/16"),
        ("subnet: 172.28.0.0", "has no prefix length", "172.28.0.0/24"),
        ("subnet: 172.28.0.0/255.255.0.0", "has no prefix length", "write 172.28.0.0/16"),
        ("subnet: 10.1.2.3/255.255.255.0", "has no prefix length", "write 10.1.2.0/24"),
        ("subnet: 224.1.0.0/16", "it holds multicast addresses (224.0.0.0/4)", "private are 10.0.0.0/8"),
        ("subnet: 'ff05::/64'", "it holds multicast addresses", ""),
        ("subnet: 127.9.0.0/24", "it holds loopback addresses", ""),
        ("subnet: '::1/128'", "loopback", ""),
        ("subnet: 0.1.0.0/16", "it holds addresses that mean the host itself", ""),
        ("subnet: 0.0.0.0/0", "no network can have the subnet 0.0.0.0/0", ""),
        ("subnet: '::/0'", "no network can have the subnet ::/0", ""),
        ("subnet: 'fe80::/64'", "it holds link-local addresses (fe80::/10)", ""),
        ("subnet: 240.1.0.0/16", "it holds reserved addresses", ""),
        ("subnet: 255.255.255.255/32", "it holds reserved addresses", ""),
        # The gateway would be outside, which is not said of a subnet that cannot be.
        ("subnet: 224.1.0.0/16, gateway: 10.0.0.1", "multicast", ""),
        ("subnet: 172.28.0.0/33", "is not a subnet", ""),
        ("subnet: hello/8", "is not a subnet", ""),
        ("gateway: 10.9.0.1", "a pool without its subnet", "add subnet: 10.9.0.0/24"),
        ("gateway: 'fd00:9::1', ip_range: 10.9.0.0/24", "a pool without its subnet", "add subnet: fd00:9::/64"),
        ("gateway: 10.9.0.1, ip_range: 10.9.1.0/24", "a pool without its subnet", "add subnet: 10.9.0.0/23"),
        ("gateway: gw", "a pool without its subnet", "add subnet: 172.28.0.0/16"),
        ("subnet: 10.9.0.0/16, ip_range: 10.9.0.3-10.9.0.20", "is a range of addresses", "holds it is 10.9.0.0/27"),
        ("subnet: 10.9.0.0/16, ip_range: 10.9.0.8-15", "is a range of addresses", "holds it is 10.9.0.8/29"),
        ("subnet: 'fd00::1-fd00::2'", "is a range of addresses", "holds it is fd00::/126"),
        ("subnet: 10.9.0.20-10.9.0.3", "has no prefix length", "such as 172.28.0.0/16"),
        ("subnet: 10.0.0.0/29, gateway: 10.0.0.8", "gateway 10.0.0.8 is outside the subnet 10.0.0.0/29", ""),
        ("subnet: 10.0.0.0/29, gateway: 10.0.0.7", "is the first or last of 10.0.0.0/29", ""),
        ("subnet: 10.0.0.0/29, gateway: 'fd00::1'", "is outside the subnet", ""),
        ("subnet: 10.0.0.0/29, gateway: gw", "'gw' is not an IP address", ""),
        ("subnet: 10.0.0.0/24, ip_range: 10.0.1.0/28", "ip_range 10.0.1.0/28 is outside the subnet", ""),
        ("subnet: 10.0.0.0/24, ip_range: 10.0.0.100/28", "has host bits set", "the subnet is 10.0.0.96/28"),
        ("subnet: 10.0.0.0/24, ip_range: 10.0.0.0/16", "is outside the subnet", ""),
        ("subnet: 10.0.0.0/24, aux_addresses: {h: 10.0.1.1}", "aux address 10.0.1.1 is outside", ""),
    ],
)
def test_bad_pools(faults_of: FaultsOf, pool: str, message: str, hint: str) -> None:
    (fault,) = faults_of(f"networks: {{n: {{ipam: {{config: [{{{pool}}}]}}}}}}")
    assert message in fault.message
    assert hint in fault.hint
    assert fault.source is not None


@pytest.mark.parametrize("pool", ["10.0.0.0/31, gateway: 10.0.0.0", "10.0.0.1/32, gateway: 10.0.0.1"])
def test_in_the_smallest_subnets_every_address_is_a_hosts(load_text: LoadText, pool: str) -> None:
    assert load_text(f"networks: {{n: {{ipam: {{config: [{{subnet: {pool}}}]}}}}}}").networks


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("com.docker.network.driver.mtu", "1x", "'1x' is not an MTU"),
        ("com.docker.network.driver.mtu", "67", "'67' is not an MTU"),
        ("com.docker.network.driver.mtu", "65536", "is not an MTU"),
        ("com.docker.network.bridge.enable_icc", "maybe", "neither true nor false"),
        ("com.docker.network.bridge.name", "a" * 16, "has 16 bytes; 1 to 15"),
        ("com.docker.network.bridge.name", "a/b", "a character the kernel refuses"),
        ("com.docker.network.bridge.name", "..", "means something else"),
        ("com.docker.network.bridge.host_binding_ipv4", "::1", "is an IPv6 address, IPv4 is wanted"),
        ("com.docker.network.bridge.gateway_mode_ipv4", "nut", "is not a gateway mode"),
        ("com.docker.network.bridge.gateway_mode_ipv4", "isolated", "is for internal networks"),
        ("com.docker.network.bridge.default_bridge", "true", "marks Docker's own docker0"),
        ("com.docker.network.container_iface_prefix", "a" * 12, "leaves no room for a number"),
        ("com.docker.network.container_iface_prefix", "a b", "a character the kernel refuses"),
        ("com.docker.network.host_ipv4", "x", "is not an IP address"),
        ("com.docker.network.bridge.trusted_host_interfaces", "eth0:a/b:eth1", "a character"),
        ("com.docker.network.bridge.enable_ic", "true", "unknown option"),
        ("parent", "eth0", "unknown option 'parent' of driver bridge"),
    ],
)
def test_bad_options(faults_of: FaultsOf, option: str, value: str, message: str) -> None:
    text = f'networks:\n  n:\n    driver_opts:\n      {option}: "{value}"\n'
    faults = faults_of(text)
    assert message in faults[0].message
    assert str(faults[0].source).startswith("a.yaml:4:")


def test_ipv6_wants_a_larger_mtu(faults_of: FaultsOf) -> None:
    (fault,) = faults_of("networks: {n: {enable_ipv6: true, driver_opts: {com.docker.network.driver.mtu: 1200}}}")
    assert fault.message == "IPv6 needs an MTU of at least 1280"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{enable_ipv4: false}", "has neither IPv4 nor IPv6"),
        ("{external: {name: a}, name: b}", "name and external.name conflict"),
        ("{external: true, internal: true}", "is external, so 'internal' cannot be set here"),
        ("{external: true, ipam: {config: [{subnet: 10.0.0.0/8}]}}", "is external, so 'ipam' cannot be set here"),
        ("{ipam: {driver: dhcp}}", "unknown ipam driver 'dhcp'"),
    ],
)
def test_bad_networks(faults_of: FaultsOf, text: str, message: str) -> None:
    (fault,) = faults_of(f"networks: {{n: {text}}}")
    assert message in fault.message


def test_overlapping_subnets_name_both_places(faults_of: FaultsOf) -> None:
    faults = faults_of("""\
        networks:
          a: {ipam: {config: [{subnet: 10.1.2.0/24}, {subnet: "fd00::/64"}]}}
          b: {ipam: {config: [{subnet: 10.0.0.0/8}]}}
          c: {ipam: {config: [{subnet: 10.255.0.0/16}, {subnet: 11.0.0.0/8}]}}
    """)
    assert [str(fault).partition("\n")[0] for fault in faults] == [
        "a.yaml:3:32: error: subnet 10.0.0.0/8 of network 'b' overlaps 10.1.2.0/24 of network 'a' at a.yaml:2:32",
        "a.yaml:4:32: error: subnet 10.255.0.0/16 of network 'c' overlaps 10.0.0.0/8 of network 'b' at a.yaml:3:32",
    ]


def test_public_space_is_a_warning(load_text: LoadText) -> None:
    manifest = load_text("networks: {n: {ipam: {config: [{subnet: 172.39.0.0/24}]}}}")
    assert "172.39.0.0/24 is public address space" in manifest.warnings[0].message
    assert not load_text("networks: {n: {ipam: {config: [{subnet: 100.64.0.0/24}]}}}").warnings


MEMBERS = """\
networks:
  n:
    enable_ipv6: true
    ipam: {{config: [{{subnet: 10.1.0.0/24, gateway: 10.1.0.1, aux_addresses: {{x: 10.1.0.9}}}}, {{subnet: "fd00::/64"}}]}}
  none: {{}}
  outside: {{external: true}}
containers:
  a: {{networks: {a}}}
  b: {{networks: {b}}}
"""


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ("{n: {ipv4_address: 10.1.0.5}}", "{n: {ipv4_address: 10.1.0.5}}", "is taken by container 'a' at a.yaml:8:"),
        (
            "{n: {ipv6_address: 'fd00::5'}}",
            "{n: {ipv6_address: 'fd00:0::5'}}",
            "address fd00::5 of container 'b' is taken",
        ),
        (
            "{n: {mac_address: 02:00:00:00:00:0a}}",
            "{n: {mac_address: 02-00-00-00-00-0A}}",
            "MAC address 02:00:00:00:00:0a",
        ),
        ("{n: {ipv4_address: 10.1.0.1}}", "[n]", "is taken by the gateway of network 'n'"),
        ("{n: {ipv4_address: 10.1.0.9}}", "[n]", "is taken by aux address 'x'"),
        (
            "{n: {ipv6_address: 'fd00::1'}}",
            "[n]",
            "the gateway of network 'n', the first address of its subnet at a.yaml",
        ),
        (
            "{n: {link_local_ips: [169.254.8.8]}}",
            "{n: {link_local_ips: [169.254.9.9, 169.254.8.8]}}",
            "address 169.254.8.8 of container 'b' is taken by container 'a' at a.yaml:8:39",
        ),
        ("{n: {ipv4_address: 10.1.0.0}}", "[n]", "first or last address of 10.1.0.0/24"),
        ("{n: {ipv4_address: 10.1.0.255}}", "[n]", "first or last address of 10.1.0.0/24"),
        ("{n: {ipv4_address: 10.2.0.5}}", "[n]", "is in no subnet of network 'n': 10.1.0.0/24 at a.yaml:4:"),
        ("{n: {ipv4_address: 'fd00::5'}}", "[n]", "is an IPv6 address, IPv4 is wanted"),
        ("{none: {ipv4_address: 10.1.0.5}}", "[n]", "has no subnet of its own for it"),
        ("{none: {ipv6_address: 'fd00::5'}}", "[n]", "network 'none' has no IPv6"),
        ("{n: {interface_name: x}, none: {interface_name: x}}", "[n]", "two interfaces named 'x'"),
        ("{n: {interface_name: lo}}", "[n]", "means something else to the kernel"),
        ("{n: {interface_name: 0123456789abcdef}}", "[n]", "has 16 bytes"),
        (
            "{n: {driver_opts: {com.docker.network.endpoint.sysctls: net.ipv4.conf.eth0.x=1}}}",
            "[n]",
            "not a setting of",
        ),
        ("{n: {driver_opts: {com.docker.network.endpoint.sysctl: x}}}", "[n]", "unknown option"),
        ("{n: {link_local_ips: [169.254.1.x]}}", "[n]", "'169.254.1.x' is not an IP address"),
        ("[m]", "[n]", "refers to undefined network 'm'"),
    ],
)
def test_bad_members(faults_of: FaultsOf, a: str, b: str, message: str) -> None:
    (fault,) = faults_of(MEMBERS.format(a=a, b=b))
    assert message in fault.message
    assert fault.source is not None
    assert fault.source.line in {8, 9}


def test_good_members(load_text: LoadText) -> None:
    manifest = load_text(
        MEMBERS.format(
            a="{n: {ipv4_address: 10.1.0.5, driver_opts: {com.docker.network.endpoint.sysctls: "
            "'net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.IFNAME.accept_ra=0', "
            "com.docker.network.endpoint.ifname: web0}, priority: 5}, outside: {ipv4_address: 10.1.0.5}}",
            b="{n: {ipv4_address: 10.1.0.6, ipv6_address: 'FD00::6', aliases: [b1, b1], gw_priority: -1}}",
        ),
    )
    first, second = (container.attachments[0] for container in manifest.containers)
    assert first.sysctls == (("net.ipv4.conf.IFNAME.log_martians", "1"), ("net.ipv6.conf.IFNAME.accept_ra", "0"))
    assert (first.interface_name, first.priority) == ("web0", 5)
    assert (second.ipv6_address, second.aliases, second.gw_priority) == ("fd00::6", ("b1",), -1)
    assert str(first.source) == "a.yaml:8:18"


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        ("{a: {name: x}, b: {name: x}}", "network 'b' is named 'x', as is network 'a' at a.yaml:1:12"),
        ("{a: {name: test_b}, b: }", "network 'b' is named 'test_b', as is network 'a'"),
        ("{a: {name: x}, b: {name: x, external: true}}", "network 'b' is named 'x'"),
        (
            "{a: {driver_opts: {com.docker.network.bridge.name: br0}}, b: {driver_opts: {com.docker.network.bridge.name: br0}}}",
            "network 'b' is on the bridge 'br0', as is network 'a'",
        ),
    ],
)
def test_two_networks_of_one_name(faults_of: FaultsOf, networks: str, message: str) -> None:
    (fault,) = faults_of(f"networks: {networks}")
    assert message in fault.message


@pytest.mark.parametrize(
    ("pool", "containers", "room"),
    [
        ("subnet: 10.1.0.0/30", 1, None),
        ("subnet: 10.1.0.0/30", 2, 1),
        ("subnet: 10.1.0.0/29, gateway: 10.1.0.1", 5, None),
        ("subnet: 10.1.0.0/29, gateway: 10.1.0.1", 6, 5),
        ("subnet: 10.1.0.0/29, gateway: 10.1.0.1, aux_addresses: {a: 10.1.0.2, b: 10.1.0.3}", 4, 3),
        ("subnet: 10.1.0.0/16, gateway: 10.1.0.1, ip_range: 10.1.5.0/31", 2, None),
        ("subnet: 10.1.0.0/16, gateway: 10.1.0.1, ip_range: 10.1.5.0/31", 3, 2),
        # The gateway is the subnet's first address, outside of the range.
        ("subnet: 10.1.0.0/16, ip_range: 10.1.5.0/31", 2, None),
        # A pool that holds only the gateway.
        ("subnet: 10.1.0.0/24, gateway: 10.1.0.9, ip_range: 10.1.0.9/32", 1, 0),
        ("subnet: 10.1.0.0/16", 300, None),
    ],
)
def test_room_in_a_pool(load_text: LoadText, faults_of: FaultsOf, pool: str, containers: int, room: int | None) -> None:
    members = ", ".join(f"c{number}: {{networks: [n]}}" for number in range(containers))
    text = f"networks: {{n: {{ipam: {{config: [{{{pool}}}]}}}}}}\ncontainers: {{{members}}}"
    if room is None:
        assert len(load_text(text).containers) == containers
        return
    (fault,) = faults_of(text)
    assert f"has {containers} containers without a fixed address" in fault.message
    assert fault.message.endswith(f"has room for {room}")
    assert str(fault.source) == "a.yaml:1:41"


def test_the_gateway_is_the_first_address_that_no_aux_address_has(load_text: LoadText, faults_of: FaultsOf) -> None:
    text = """
        networks: {n: {ipam: {config: [{subnet: 10.1.0.0/24, aux_addresses: {x: 10.1.0.1}}]}}}
        containers: {a: {networks: {n: {ipv4_address: %s}}}}
    """
    (fault,) = faults_of(text % "10.1.0.2")
    assert "is taken by the gateway of network 'n', the first address of its subnet at a.yaml:2:41" in fault.message
    assert str(fault.source) == "a.yaml:3:47"
    assert load_text(text % "10.1.0.3").containers


def test_subnets_inside_one_that_overlaps_are_compared_too(faults_of: FaultsOf) -> None:
    subnets = ("10.0.0.0/8", "10.2.0.0/24", "10.2.0.128/25", "10.3.0.0/24")
    pools = "".join(
        f"  n{index}: {{ipam: {{config: [{{subnet: {subnet}}}]}}}}\n" for index, subnet in enumerate(subnets)
    )
    said = [fault.message for fault in faults_of(f"networks:\n{pools}")]
    pairs = [(1, 0), (2, 0), (2, 1), (3, 0)]
    assert len(said) == len(pairs)
    for message, (inner, outer) in zip(said, pairs, strict=True):
        assert (
            f"of network 'n{inner}' overlaps {subnets[outer]} of network 'n{outer}' at a.yaml:{outer + 2}:" in message
        )


def test_the_other_half_of_an_external_network_is_named(faults_of: FaultsOf) -> None:
    (fault,) = faults_of("networks: {n: {external: true}}", "networks: {n: {internal: true}}")
    assert str(fault.source) == "b.yaml:1:16"
    assert fault.message.endswith("'internal' cannot be set here; external at a.yaml:1:16")


@pytest.mark.parametrize(
    ("network", "place", "message", "hint"),
    [
        ("external: true, name: host", "1:38", "network name host is the host's own", "network_mode: host"),
        ("external: {name: none}", "1:33", "network name none is the host's own", "network_mode: none"),
        ("name: bridge", "1:22", "network name bridge is the host's own", "give it another name"),
        ("driver: overlay", "1:24", "driver overlay of network test_n is not supported", "driver bridge"),
        ("driver: host", "1:24", "driver host of network test_n is not supported", "network_mode: host"),
    ],
)
def test_what_is_no_network_here(faults_of: FaultsOf, network: str, place: str, message: str, hint: str) -> None:
    (fault,) = faults_of(f"networks: {{n: {{{network}}}}}\ncontainers: {{a: {{networks: [n]}}}}")
    assert message in fault.message
    assert hint in fault.hint
    assert str(fault.source) == f"a.yaml:{place}"


def test_a_driver_of_others_that_nobody_needs_is_a_warning(load_text: LoadText) -> None:
    (warning,) = load_text("networks: {n: {driver: overlay}}").warnings
    assert "driver overlay of network test_n is not supported; there is: bridge, ipvlan, macvlan" in warning.message
    assert not load_text("networks: {n: {external: true, name: bridge}}").warnings


def test_link_local_addresses(load_text: LoadText) -> None:
    manifest = load_text(
        "containers: {a: {networks: {default: {link_local_ips: [169.254.8.8, 'FE80::8', 169.254.8.8]}}}}"
    )
    assert manifest.containers[0].attachments[0].link_local_ips == ("169.254.8.8", "fe80::8")
    assert is_same(manifest, load(["-"], environment={}, stdin=render(manifest)))
