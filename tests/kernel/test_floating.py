"""``floating_ip`` and ``egress_ip``: addresses of the host that stand for one container, with real packets."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.kernel.isolation import inside
from tests.kernel.lab import Host, Machine

FLOAT4, FLOAT6 = "192.0.2.50", "2001:db8::50"
STACK = """
name: shop
networks: {{front: {{enable_ipv6: true}}, back: {{enable_ipv6: true}}}}
services:
  web:
    networks: [front]
    {web}
  app:
    networks: [front]
    ports: ["80:80"]
    {app}
  far: {{networks: [back]}}
"""
FLOATING = f"floating_ip: [{FLOAT4}, '{FLOAT6}']"


def write(host: Host, web: str = "", app: str = "") -> None:
    host.write("stack.yaml", STACK.format(web=web, app=app))


def up(host: Host, web: str = "", app: str = "") -> None:
    write(host, web, app)
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []


def refused(host: Host, web: str = "", app: str = "", *arguments: str) -> str:
    write(host, web, app)
    done = host.netapply(*arguments, "plan", "stack.yaml", check=False)
    assert done.returncode == 1
    return done.stderr


def who(asker: Machine, address: str, port: int = 80) -> str | None:
    answer = asker.ask(address, port, timeout=3.0)
    return answer.name if answer else None


def seen_as(asker: Machine, listener: Machine, address: str, port: int = 7000) -> str:
    """The address that ``listener`` sees when ``asker`` opens a connection to it."""
    answer = asker.ask(address, port, timeout=3.0)
    assert answer is not None
    return answer.peer_address


def addresses(host: Host, interface: str = "eth0") -> set[str]:
    found = json.loads(host.run(["ip", "-j", "address", "show", "dev", interface]).stdout)
    return {each["local"] for each in found[0]["addr_info"] if each["scope"] == "global"}


@pytest.mark.founding("S0-26", "S2-24", "S2-25")
def test_a_floating_address_leads_in_and_out(host: Host, outside: Machine) -> None:
    """S0-26 on one host."""
    before = host.snapshot()
    up(host, FLOATING)
    web, app, far = (host.container(name) for name in ("web", "app", "far"))
    for machine in (web, app):
        machine.serve(80, 9999)
    outside.serve(7000)
    for asker in (outside, host, app, far, web):
        assert [who(asker, address, 9999) for address in (FLOAT4, FLOAT6)] == ["web", "web"], asker.name
    # Other addresses of the host are as before, and a wildcard port does not catch the floating one.
    assert (who(outside, host.ipv4), who(outside, FLOAT4)) == ("app", "web")
    assert outside.ping(FLOAT4)
    assert seen_as(web, outside, outside.ipv4) == FLOAT4
    assert seen_as(web, outside, outside.ipv6) == FLOAT6
    assert seen_as(app, outside, outside.ipv4) == host.ipv4
    # What the host says itself bears its own addresses.
    assert seen_as(host, outside, outside.ipv6) == host.ipv6
    host.netapply("down", "-p", "shop")
    assert host.snapshot() == before


LIMITED = "{target: 80, published: 80, sources: [10.0.0.0/8, 'fd00:1::/64']}"
VERY_ADDRESS = "{target: 80, published: 81, host_ip: 192.0.2.50, sources: [10.0.0.0/8]}"


def test_who_may_use_anothers_port_does_not_matter_there(host: Host, outside: Machine) -> None:
    """But who may use a port that is published at that very address does: it goes before."""
    text = STACK.format(web=FLOATING, app="").replace('"80:80"', f"{LIMITED}, {VERY_ADDRESS}")
    host.write("stack.yaml", text)
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []
    web, app, far = (host.container(name) for name in ("web", "app", "far"))
    web.serve(80, 81)
    app.serve(80)
    for asker in (outside, far):
        assert [who(asker, address) for address in (FLOAT4, FLOAT6)] == ["web", "web"]
    refused_there = [(outside, host.ipv4, 80), (outside, host.ipv6, 80), (outside, FLOAT4, 81)]
    assert host.lab.ask_all([(*each, "tcp") for each in refused_there]) == [None] * 3
    for address, port in ((FLOAT4, 80), (FLOAT6, 80), (FLOAT4, 81), (host.ipv4, 80)):
        asked = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        said = host.netapply("reach", outside.ipv6 if ":" in address else outside.ipv4, asked, check=False)
        assert said.returncode == (0 if port == 80 and address != host.ipv4 else 2), said.stdout + said.stderr


@pytest.mark.founding("S0-26")
def test_it_is_announced(host: Host, outside: Machine) -> None:
    """The neighbours hear whose it is now: they knew it from another machine."""
    other = host.lab.machine("other")
    for command in (
        ["address", "add", f"{FLOAT4}/32", "dev", "eth0"],
        ["-6", "address", "add", f"{FLOAT6}/128", "dev", "eth0", "nodad"],
    ):
        other.run(["ip", *command])
    other.serve(80)
    assert all(outside.ask(address, 80, timeout=3) for address in (FLOAT4, FLOAT6))
    other.run(["ip", "address", "del", f"{FLOAT4}/32", "dev", "eth0"])
    other.run(["ip", "-6", "address", "del", f"{FLOAT6}/128", "dev", "eth0"])
    up(host, FLOATING)
    mac = json.loads(host.run(["ip", "-j", "link", "show", "eth0"]).stdout)[0]["address"]
    for address in (FLOAT4, FLOAT6):
        assert mac in outside.run(["ip", "neighbour", "show", address]).stdout


@pytest.mark.founding("S0-27")
@pytest.mark.parametrize("address", [FLOAT4, FLOAT6])
def test_an_address_that_a_neighbour_has_is_refused(host: Host, outside: Machine, address: str) -> None:
    """S0-27: one address, one holder."""
    outside.run(
        ["ip", "address", "add", f"{address}/{'128' if ':' in address else '32'}", "dev", "eth0", "nodad"]
        if ":" in address
        else ["ip", "address", "add", f"{address}/32", "dev", "eth0"]
    )
    before = host.snapshot()
    write(host, f"floating_ip: '{address}'")
    done = host.netapply("up", "stack.yaml", check=False)
    assert done.returncode == 1
    assert f"address {address} is in use on the network of eth0" in done.stderr
    assert "stack.yaml:7:" in done.stderr
    assert host.snapshot() == before


@pytest.mark.founding("S0-27")
def test_duplicate_claims_are_refused(host: Host) -> None:
    """S0-27: within a stack, between stacks, and with the host's own addresses."""
    assert "claimed by" in refused(host, f"floating_ip: {FLOAT4}", f"floating_ip: {FLOAT4}")
    assert "address of the host on eth0 already" in refused(host, f"floating_ip: {host.ipv4}")
    assert "in no subnet" in refused(host, "floating_ip: 198.51.100.7")
    assert "no interface eth7" in refused(host, "floating_ip: [{address: 198.51.100.7, interface: eth7}]")
    up(host, f"floating_ip: {FLOAT4}")
    host.write("other.yaml", f"name: blog\nservices: {{web: {{floating_ip: {FLOAT4}}}}}\n")
    done = host.netapply("plan", "other.yaml", check=False)
    assert "belongs to container shop/web already" in done.stderr
    host.run(["ip", "address", "add", "192.0.2.60/24", "dev", "eth0"])
    assert "not netapply's" in refused(host, "floating_ip: 192.0.2.60")


def test_an_interface_may_be_named(host: Host) -> None:
    up(host, "floating_ip: [{address: 198.51.100.7, interface: eth0}]")
    assert "198.51.100.7" in addresses(host)


def test_it_moves_to_another_container_and_cuts_what_flowed(host: Host, outside: Machine) -> None:
    up(host, FLOATING)
    web, app = host.container("web"), host.container("app")
    web.serve(80)
    app.serve(80)
    held, kept = outside.connect(FLOAT4, 80), outside.connect(host.ipv4, 80)
    up(host, "", FLOATING)
    assert [who(outside, address) for address in (FLOAT4, FLOAT6)] == ["app", "app"]
    assert not held.alive(0.5)
    assert kept.alive()
    up(host)
    assert FLOAT4 not in addresses(host)
    assert kept.alive()


def test_drift_heals(host: Host, outside: Machine) -> None:
    up(host, FLOATING)
    host.container("web").serve(80)
    host.run(["ip", "address", "del", f"{FLOAT4}/32", "dev", "eth0"])
    assert [change["action"] for change in host.plan("stack.yaml")] == ["create"]
    host.netapply("up", "stack.yaml")
    assert who(outside, FLOAT4) == "web"
    host.run(["nft", "flush", "ruleset"])
    # Another stack's run leaves the address where it is.
    host.write("other.yaml", "name: blog\nservices: {web: {}}\n")
    host.netapply("up", "other.yaml")
    assert FLOAT4 in addresses(host)
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []
    assert who(outside, FLOAT6) == "web"
    host.run(["nft", "flush", "ruleset"])
    host.netapply("down", "-p", "blog")
    host.netapply("down", "-p", "shop")
    assert addresses(host) == {host.ipv4, host.ipv6}


def test_foreign_addresses_are_never_removed(host: Host) -> None:
    host.run(["ip", "address", "add", "192.0.2.60/32", "dev", "eth0"])
    up(host, FLOATING)
    host.netapply("down", "-p", "shop")
    assert addresses(host) == {host.ipv4, host.ipv6, "192.0.2.60"}


def test_a_published_port_at_the_floating_address_goes_before(host: Host, outside: Machine) -> None:
    up(host, FLOATING, f"floating_ip: []\n    expose: []\n  third:\n    ports: ['{FLOAT4}:81:80']")
    host.container("web").serve(80, 81)
    host.container("third").serve(80)
    assert (who(outside, FLOAT4, 80), who(outside, FLOAT4, 81)) == ("web", "third")


def test_an_egress_address_beats_the_networks_masquerade(host: Host, outside: Machine) -> None:
    host.run(["ip", "address", "add", "192.0.2.61/24", "dev", "eth0"])
    host.run(["ip", "address", "add", "2001:db8::61/64", "dev", "eth0", "nodad"])
    outside.serve(7000)
    up(host, "egress_ip: [192.0.2.61, '2001:db8::61']")
    web, app, far = (host.container(name) for name in ("web", "app", "far"))
    far.serve(7000)
    assert seen_as(web, outside, outside.ipv4) == "192.0.2.61"
    assert seen_as(web, outside, outside.ipv6) == "2001:db8::61"
    assert seen_as(app, outside, outside.ipv4) == host.ipv4
    # Live: from one to the next, and back to masquerade.
    up(host, f"egress_ip: {host.ipv4}")
    assert seen_as(web, outside, outside.ipv4) == host.ipv4
    up(host, FLOATING + "\n    egress_ip: 192.0.2.61")
    assert seen_as(web, outside, outside.ipv4) == "192.0.2.61"
    assert seen_as(web, outside, outside.ipv6) == FLOAT6
    up(host)
    assert seen_as(web, outside, outside.ipv6) != FLOAT6


def test_a_udp_flow_follows_a_changed_egress_address(host: Host, outside: Machine) -> None:
    outside.serve(7000)
    host.run(["ip", "address", "add", "192.0.2.61/24", "dev", "eth0"])
    up(host)
    web = host.container("web")
    datagrams = inside(Path(web.path), lambda: socket.socket(type=socket.SOCK_DGRAM))
    with datagrams:
        datagrams.settimeout(3.0)

        def source() -> bytes:
            datagrams.sendto(b"?", (outside.ipv4, 7000))
            return datagrams.recv(99)

        assert host.ipv4.encode() in source()
        up(host, "egress_ip: 192.0.2.61")
        assert b"192.0.2.61" in source()


def test_an_egress_address_must_be_the_hosts(host: Host) -> None:
    said = refused(host, "egress_ip: 192.0.2.99")
    assert "stack.yaml:7:" in said
    assert "192.0.2.99 of container web is no address of the host" in said
    assert "the host has: 192.0.2.1" in said


def test_without_nftables_both_are_refused_with_their_line(host: Host) -> None:
    pytest.importorskip("iptc", reason="the extra netapply[iptables] is not installed")
    for key in (f"floating_ip: {FLOAT4}", f"egress_ip: {host.ipv4}"):
        said = refused(host, key, "", "--firewall", "iptables")
        assert "stack.yaml:7:" in said
        assert f"{key.partition(':')[0]} of container web is not possible with the iptables backend" in said


def test_an_address_moves_between_a_floating_one_and_a_place_on_the_lan(host: Host, outside: Machine) -> None:
    text = """
name: shop
networks:
  default: {enable_ipv6: true}
  lan:
    driver: macvlan
    driver_opts: {parent: eth0}
    ipam: {config: [{subnet: 192.0.2.0/24, gateway: 192.0.2.2}, {subnet: "2001:db8::/64", gateway: "2001:db8::2"}]}
containers:
  a: {floating_ip: [%s]}
  b: {networks: {lan: {ipv4_address: %s, ipv6_address: "%s"}}}
"""
    floats = text % (f"{FLOAT4}, '{FLOAT6}'", "192.0.2.60", "2001:db8::60")
    host.write("stack.yaml", floats)
    host.netapply("up", "stack.yaml")
    for name in "ab":
        host.container(name).serve(80)
    for manifest, holder in ((floats, "a"), (text % ("", FLOAT4, FLOAT6), "b"), (floats, "a")):
        host.write("stack.yaml", manifest)
        host.netapply("up", "stack.yaml")
        assert host.plan("stack.yaml") == []
        assert [who(outside, address) for address in (FLOAT4, FLOAT6)] == [holder, holder]
