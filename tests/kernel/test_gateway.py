"""`gateway: service:vpn`: a container goes through another one without sharing its namespace (S0-28, S0-29)."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address

import pytest

from tests.kernel.changes import named, worst
from tests.kernel.isolation import inside
from tests.kernel.lab import REPOSITORY, Host, Lab, Machine

STACK = """
name: shop
networks:
  front:
    ipam: {config: [{subnet: 172.30.1.0/24}, {subnet: "fd30:1::/64"}]}
  side:
    ipam: {config: [{subnet: 172.30.2.0/24}, {subnet: "fd30:2::/64"}]}
  uplink:
    ipam: {config: [{subnet: 172.30.3.0/24}, {subnet: "fd30:3::/64"}]}
containers:
  vpn:
    networks:
      front: {ipv4_address: 172.30.1.2, ipv6_address: "fd30:1::2"}
      uplink: {gw_priority: 1}
  torrent:
    networks:
      front: {gateway: service:vpn}
      side: {}
    command: [sleep, "600"]
  neighbour:
    networks: [front, side]
"""
BLUNT = STACK.replace("{gateway: service:vpn}", "{}")
PROVIDER4, PROVIDER6 = "198.51.100.7", "2001:db8:7::7"


@pytest.mark.founding("S0-28", "S0-29")
def test_the_worked_example(host: Host, outside: Machine) -> None:
    before = host.snapshot()
    example = str(REPOSITORY / "manifests" / "gateway.yaml")
    host.netapply("up", example)
    assert host.plan(example) == []
    torrent, vpn = host.container("torrent"), host.container("vpn")
    outside.serve(80)
    # Its own address on the further network, which the host then translates.
    with _seen(vpn, "eth1", outside.ipv4) as packets:
        assert torrent.ask(outside.ipv4, 80) is not None
    assert packets
    assert torrent.attempt("10.66.0.1", 80) == "Invalid argument"  # what a blackhole gives
    assert "via 172.31.7.1" in torrent.run(["ip", "route", "get", "10.20.0.1"]).stdout
    host.netapply("down", example)
    assert host.snapshot() == before


def test_it_goes_through_the_router_in_both_families(host: Host, outside: Machine) -> None:
    host.write("stack.yaml", STACK)
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []
    torrent, vpn = host.container("torrent"), host.container("vpn")
    assert torrent.path.stat().st_ino != vpn.path.stat().st_ino
    outside.serve(80)
    for address in (outside.ipv4, outside.ipv6):
        assert torrent.ask(address, 80) is not None
        with _seen(vpn, "eth0", address) as packets:
            assert torrent.ask(address, 80) is not None
        assert packets
    assert _defaults(torrent) == [
        "default via 172.30.1.2 dev eth0 proto 110",
        "default via fd30:1::2 dev eth0 proto 110",
    ]


def test_it_goes_where_a_vpn_program_leads(host: Host, outside: Machine) -> None:
    host.write("stack.yaml", STACK)
    host.netapply("up", "stack.yaml")
    torrent, vpn = host.container("torrent"), host.container("vpn")
    _tunnel(vpn, outside)
    outside.serve(80)
    for address, seen in ((PROVIDER4, "10.8.0.2"), (PROVIDER6, "fd08::2")):
        # The kernel lets a new link carry packets a moment after it is up.
        _until(lambda address=address: torrent.ask(address, 80) is not None)  # type: ignore[misc]  # bound now
        answer = torrent.ask(address, 80)
        assert answer is not None
        # Masqueraded by the router, and never by the host: the answer's way back is the tunnel.
        assert answer.peer_address == seen
    assert host.plan("stack.yaml") == []


@pytest.mark.founding("S0-28")
@pytest.mark.parametrize("end", ["link", "interface", "forwarding"])
def test_nothing_leaks_without_the_router(host: Host, outside: Machine, end: str) -> None:
    host.write("stack.yaml", STACK)
    host.netapply("up", "stack.yaml")
    torrent, vpn = host.container("torrent"), host.container("vpn")
    outside.serve(80)
    assert torrent.ask(outside.ipv4, 80) is not None
    assert torrent.ask(outside.ipv6, 80) is not None
    match end:
        case "link":
            vpn.run(["ip", "link", "delete", "eth0"])
        case "interface":
            vpn.run(["ip", "link", "set", "eth0", "down"])
        case _:
            vpn.sysctl("net/ipv4/ip_forward", "0")
            vpn.sysctl("net/ipv6/conf/all/forwarding", "0")
    for address in (outside.ipv4, outside.ipv6):
        with _seen(host, "eth0", address) as packets:
            assert torrent.ask(address, 80, timeout=0.5) is None
            assert torrent.ask(address, 80, "udp", timeout=0.5) is None
        assert packets == []
    # The other network's members, which are neighbours, are reached all the same.
    host.container("neighbour").serve(80)
    assert torrent.ask(_address(host.container("neighbour"), "eth1"), 80) is not None
    assert host.plan("stack.yaml") != []
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []
    # A neighbour that was given up is asked for again a second later.
    _until(lambda: torrent.ask(outside.ipv4, 80) is not None)
    _until(lambda: torrent.ask(outside.ipv6, 80) is not None)


def test_no_redirect_shows_the_way_past_the_router(host: Host, outside: Machine) -> None:
    text = STACK.replace("      uplink: {gw_priority: 1}\n", "").replace("  uplink:\n    ipam", "  unused:\n    ipam")
    host.write("stack.yaml", text)
    host.netapply("up", "stack.yaml")
    torrent, vpn = host.container("torrent"), host.container("vpn")
    outside.serve(80)
    # The kernel itself keeps redirects back while it translates; so see what happens when somebody flushed the rules.
    vpn.run(["nft", "flush", "ruleset"])
    # The router's own way out is the interface that the question came by: a router then sends redirects.
    for address, gateway in ((outside.ipv4, "172.30.1.2"), (outside.ipv6, "fd30:1::2")):
        with _seen(torrent, "eth0", "redirect") as redirects:
            for _ in range(5):
                torrent.ask(address, 80, "udp", timeout=0.2)
        assert redirects == []
        assert gateway in torrent.run(["ip", "route", "get", address]).stdout
    # Nor does the client believe one that is sent.
    vpn.sysctl("net/ipv4/conf/all/send_redirects", "1")
    with _seen(torrent, "eth0", "redirect") as redirects:
        for _ in range(5):
            torrent.ask(outside.ipv4, 80, "udp", timeout=0.2)
    assert redirects
    assert "172.30.1.2" in torrent.run(["ip", "route", "get", outside.ipv4]).stdout


def test_a_router_advertisement_gives_no_way_out(host: Host, outside: Machine) -> None:
    host.write("stack.yaml", STACK)
    host.netapply("up", "stack.yaml")
    torrent, neighbour = host.container("torrent"), host.container("neighbour")
    # Advertisements count from a link-local address only (RFC 4861, 6.1.2).
    neighbour.run(["ip", "address", "add", "fe80::99/64", "dev", "eth1", "nodad"])
    _advertise(neighbour, "eth1")
    time.sleep(0.1)
    assert len(_defaults(torrent)) == 2
    assert host.plan("stack.yaml") == []
    # The same advertisement is followed by who has no gateway of this kind.
    torrent.sysctl("net/ipv6/conf/eth1/accept_ra", "1")
    _advertise(neighbour, "eth1")
    _until(lambda: len(_defaults(torrent)) == 3)
    host.netapply("up", "stack.yaml")
    assert len(_defaults(torrent)) == 2
    assert host.plan("stack.yaml") == []


DRIFT = {
    "rule removed": ("vpn", ["nft", "delete", "table", "inet", "netapply_router"]),
    "rule changed": ("vpn", ["nft", "flush", "chain", "inet", "netapply_router", "postrouting"]),
    "rules asleep": ("vpn", ["nft", "add table inet netapply_router { flags dormant; }"]),
    "rule added": ("vpn", ["nft", "add", "rule", "inet", "netapply_router", "forward", "drop"]),
    "forwarding": ("vpn", ["sysctl", "-qw", "net.ipv4.ip_forward=0"]),
    "redirects": ("torrent", ["sysctl", "-qw", "net.ipv4.conf.eth0.accept_redirects=1"]),
    "default replaced": ("torrent", ["ip", "route", "replace", "default", "via", "172.30.1.1", "dev", "eth0"]),
    "default added": ("torrent", ["ip", "route", "add", "default", "via", "172.30.2.1", "dev", "eth1", "metric", "50"]),
    "default 6": (
        "torrent",
        ["ip", "-6", "route", "add", "default", "via", "fd30:2::1", "dev", "eth1", "metric", "50"],
    ),
    "default appended": ("torrent", ["ip", "route", "append", "default", "via", "172.30.2.1", "dev", "eth1"]),
    "default lost": ("torrent", ["ip", "route", "delete", "default"]),
}


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Machine]]:
    lab = Lab(tmp_path_factory.mktemp("gateway"))
    try:
        host, outside = lab.host(), lab.machine("outside")
        host.write("stack.yaml", STACK)
        host.netapply("up", "stack.yaml")
        outside.serve(80)
        yield host, outside
    finally:
        lab.close()


@pytest.mark.parametrize("what", DRIFT)
def test_what_somebody_changed_is_made_right(standing: tuple[Host, Machine], what: str) -> None:
    host, outside = standing
    name, command = DRIFT[what]
    before = _defaults(host.container("torrent"))
    host.container(name).run(command)
    changes = host.plan("stack.yaml")
    assert changes
    assert all(f"shop/{name}" in each for each in named(changes))
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []
    assert _defaults(host.container("torrent")) == before
    assert host.container("torrent").ask(outside.ipv4, 80) is not None
    assert host.container("torrent").ask(outside.ipv6, 80) is not None


def test_a_gateway_comes_and_goes_while_the_container_runs(host: Host, outside: Machine) -> None:
    host.write("stack.yaml", BLUNT)
    host.netapply("up", "stack.yaml")
    torrent, vpn, neighbour = (host.container(name) for name in ("torrent", "vpn", "neighbour"))
    pid = _pid(host, "torrent")
    outside.serve(80)
    neighbour.serve(80)
    kept = torrent.connect(neighbour.ipv4, 80)
    settings = {
        name: torrent.sysctl(name) for name in ("net/ipv4/conf/all/accept_redirects", "net/ipv6/conf/eth0/accept_ra")
    }
    router_settings = {name: vpn.sysctl(name) for name in ("net/ipv4/ip_forward", "net/ipv4/conf/all/rp_filter")}

    host.write("stack.yaml", STACK)
    changes = host.plan("stack.yaml")
    # What goes out by another way bears another address there; everything else stays.
    assert worst(changes) == "connections reset"
    assert not any(name.startswith(("delete link", "create link", "create process")) for name in named(changes))
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []
    with _seen(vpn, "eth0", outside.ipv4) as packets:
        assert torrent.ask(outside.ipv4, 80) is not None
    assert packets
    assert kept.alive()

    host.write("stack.yaml", BLUNT)
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []
    with _seen(vpn, "eth0", outside.ipv4) as packets:
        assert torrent.ask(outside.ipv4, 80) is not None
        assert torrent.ask(outside.ipv6, 80) is not None
    assert packets == []
    assert kept.alive()
    assert _pid(host, "torrent") == pid
    assert {name: torrent.sysctl(name) for name in settings} == settings
    assert {name: vpn.sysctl(name) for name in router_settings} == router_settings
    assert "netapply_router" not in vpn.run(["nft", "list", "tables"]).stdout


CHAIN = """
name: shop
networks:
  a: {internal: true, ipam: {config: [{subnet: 172.30.1.0/24}]}}
  b: {internal: true, ipam: {config: [{subnet: 172.30.2.0/24}]}}
  c: {ipam: {config: [{subnet: 172.30.3.0/24}]}}
containers:
  client: {networks: {a: {gateway: service:inner}}}
  inner: {networks: {a: {}, b: {gateway: "container:outer"}}}
  outer: {networks: {b: {}, c: {}}}
"""


def test_a_router_goes_through_another_one_out_of_internal_networks(host: Host, outside: Machine) -> None:
    host.write("stack.yaml", CHAIN)
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []
    client, inner, outer = (host.container(name) for name in ("client", "inner", "outer"))
    outside.serve(80)
    with _seen(inner, "eth0", outside.ipv4) as first, _seen(outer, "eth0", outside.ipv4) as second:
        assert client.ask(outside.ipv4, 80) is not None
    assert first
    assert second
    # The inner one is no router any more, but still a client: forwarding goes back, its own settings stay.
    host.write("stack.yaml", CHAIN.replace("{gateway: service:inner}", "{}"))
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []
    assert inner.sysctl("net/ipv4/ip_forward") == "0"
    assert client.ask(outside.ipv4, 80, timeout=0.5) is None
    assert inner.ask(outside.ipv4, 80) is not None


ROUTER = """
name: tunnel
networks: {shared: {name: shared, ipam: {config: [{subnet: 172.30.1.0/24}]}}}
containers:
  vpn: {networks: {shared: {}}}
"""
CLIENT = """
name: client
networks: {shared: {external: true, name: shared}}
containers:
  web: {networks: {shared: {gateway: "container:tunnel/vpn"}}}
"""


def test_a_router_of_another_stack(host: Host, outside: Machine) -> None:
    host.write("tunnel.yaml", ROUTER)
    host.write("client.yaml", CLIENT)
    host.netapply("up", "tunnel.yaml")
    refused = host.netapply("up", "client.yaml", check=False)
    assert refused.returncode == 1
    assert "client.yaml:5:38" in refused.stderr
    assert "does not forward IPv4" in refused.stderr
    assert "in one run" in refused.stderr
    host.netapply("up", "tunnel.yaml", "client.yaml")
    outside.serve(80)
    web = host.container("web")
    assert web.ask(outside.ipv4, 80) is not None
    # Each alone finds nothing to do: the router serves whom it serves, whoever asks.
    for files in (["client.yaml"], ["tunnel.yaml"], ["client.yaml", "tunnel.yaml"]):
        assert host.plan(*files) == []
    host.container("vpn").run(["nft", "flush", "ruleset"])
    host.netapply("up", "tunnel.yaml")
    assert web.ask(outside.ipv4, 80) is not None
    host.netapply("down", "-p", "client")
    host.netapply("up", "tunnel.yaml")
    assert host.plan("tunnel.yaml") == []
    assert host.container("vpn").sysctl("net/ipv4/ip_forward") == "0"


def test_a_published_port_is_answered_where_a_route_leads(host: Host, outside: Machine) -> None:
    """The plan says that other machines do not reach it, and what to write; and so it is."""
    text = STACK.replace("    command: [sleep", '    ports: ["8080:80"]\n    command: [sleep')
    host.write("stack.yaml", text)
    said = host.netapply("plan", "stack.yaml", check=False)
    assert "ports of container torrent are not reached from other machines" in said.stdout + said.stderr
    host.netapply("up", "stack.yaml")
    host.container("torrent").serve(80)
    assert host.ask("127.0.0.1", 8080) is not None
    assert host.container("neighbour").ask(host.ipv4, 8080) is not None
    with _seen(host.container("vpn"), "eth1", outside.ipv4) as packets:
        assert outside.ask(host.ipv4, 8080, timeout=0.5) is None
    # The answer does not leave with the container's own address either.
    assert packets == []
    gateway = "{gateway: service:vpn, routes: [{to: 192.0.2.0/24, via: 172.30.1.1}]}"
    host.write("stack.yaml", text.replace("{gateway: service:vpn}", gateway))
    host.netapply("up", "stack.yaml")
    assert outside.ask(host.ipv4, 8080) is not None
    assert host.container("torrent").ask(outside.ipv6, 80, timeout=0.3) is None


def test_with_the_iptables_backend(host: Host, outside: Machine) -> None:
    pytest.importorskip("iptc", reason="the extra netapply[iptables] is not installed")
    host.write("stack.yaml", STACK)
    host.netapply("--firewall", "iptables", "up", "stack.yaml")
    outside.serve(80)
    torrent, vpn = host.container("torrent"), host.container("vpn")
    for address in (outside.ipv4, outside.ipv6):
        with _seen(vpn, "eth0", address) as packets:
            assert torrent.ask(address, 80) is not None
        assert packets


def test_down_leaves_nothing(host: Host) -> None:
    before = host.snapshot()
    host.write("stack.yaml", STACK)
    host.netapply("up", "stack.yaml")
    host.netapply("down", "stack.yaml")
    assert host.snapshot() == before


def _defaults(machine: Machine) -> list[str]:
    lines = machine.run(["ip", "-4", "route", "show", "default"]).stdout.splitlines()
    lines += machine.run(["ip", "-6", "route", "show", "default"]).stdout.splitlines()
    return [line.partition(" metric 1024")[0].strip() for line in lines]


def _pid(host: Host, name: str) -> int:
    (found,) = [each["pid"] for each in host.ps() if each["name"] == name]
    return int(found)


def _address(machine: Machine, interface: str) -> str:
    words = machine.run(["ip", "-4", "-o", "address", "show", "dev", interface]).stdout.split()
    return words[words.index("inet") + 1].partition("/")[0]


def _tunnel(vpn: Machine, provider: Machine) -> None:
    """A link that netapply did not make, as a VPN program's, and addresses behind it that only it leads to."""
    provider.run(["ip", "link", "add", "tun0", "type", "veth", "peer", "name", "tun9"])
    provider.run(["ip", "link", "set", "tun9", "netns", str(vpn.path)])
    vpn.run(["ip", "link", "set", "tun9", "name", "tun0"])
    for machine, last in ((provider, 1), (vpn, 2)):
        machine.run(["ip", "address", "add", f"10.8.0.{last}/30", "dev", "tun0"])
        machine.run(["ip", "address", "add", f"fd08::{last}/64", "dev", "tun0", "nodad"])
        machine.run(["ip", "link", "set", "tun0", "up"])
    provider.run(["ip", "address", "add", f"{PROVIDER4}/32", "dev", "lo"])
    provider.run(["ip", "address", "add", f"{PROVIDER6}/128", "dev", "lo"])
    vpn.run(["ip", "route", "add", f"{PROVIDER4}/32", "via", "10.8.0.1"])
    vpn.run(["ip", "route", "add", f"{PROVIDER6}/128", "via", "fd08::1"])


@contextlib.contextmanager
def _seen(machine: Machine, interface: str, what: str) -> Iterator[list[bytes]]:
    """The IP packets that pass the interface meanwhile, in or out, to an address; or all ICMP redirects."""
    packets: list[bytes] = []
    with inside(machine.path, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))) as sniffer:
        sniffer.bind((interface, 3))
        yield packets
        time.sleep(0.05)
        sniffer.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                data = sniffer.recv(2048)
                if _is_redirect(data) if what == "redirect" else _destination(data) == ip_address(what).packed:
                    packets.append(data)


def _destination(packet: bytes) -> bytes:
    match packet[0] >> 4:
        case 4:
            return packet[16:20]
        case 6:
            return packet[24:40]
    return b""


def _is_redirect(packet: bytes) -> bool:
    match packet[0] >> 4:
        case 4:
            return packet[9] == 1 and packet[20] == 5
        case 6:
            return packet[6] == 58 and packet[40] == 137
    return False


def _advertise(machine: Machine, interface: str) -> None:
    """One router advertisement to all nodes (RFC 4861, 4.2): a default router for half an hour."""

    def send() -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sender:
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            scope = socket.if_nametoindex(interface)
            sender.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0), ("ff02::1", 0, 0, scope))

    machine.inside(send)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
