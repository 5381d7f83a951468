"""`routes:` on a network entry, and networks whose gateway is not the first address."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel.changes import named, worst
from tests.kernel.lab import Host, Lab, Machine

STACK = """
name: shop
networks:
  front:
    ipam: {config: [{subnet: 172.30.1.0/24}, {subnet: "fd30:1::/64"}]}
containers:
  router:
    networks:
      front: {ipv4_address: 172.30.1.2, ipv6_address: "fd30:1::2"}
    sysctls: {net.ipv4.ip_forward: "1", net.ipv6.conf.all.forwarding: "1"}
  web:
    networks:
      front:
        ipv4_address: 172.30.1.10
        routes:
          - {to: 10.9.0.0/16, via: 172.30.1.2}
          - {to: 10.9.0.0/16, type: unreachable, metric: 500}
          - {to: 192.0.2.0/24, type: blackhole}
          - {to: "fd99::/64", via: "fd30:1::2", metric: 50}
          - {to: "2001:db8::/64", type: prohibit}
          - {to: "fd98::/64", type: blackhole}
          - {to: "fd97::/64", via: "fe80::2"}
    command: [sleep, "600"]
"""


class World:
    """The stack up, with addresses behind ``router`` that answer, and a connection that nothing may disturb."""

    def __init__(self, lab: Lab) -> None:
        self.host = lab.host()
        self.outside = lab.machine("outside")
        self.outside.serve(80)
        self.host.write("stack.yaml", STACK)
        self.host.netapply("up", "stack.yaml")
        self.web, self.router = self.host.container("web"), self.host.container("router")
        self.router.run(["ip", "address", "add", "10.9.0.1/32", "dev", "lo"])
        self.router.run(["ip", "address", "add", "fd99::1/128", "dev", "lo"])
        self.router.run(["ip", "address", "add", "fd97::1/128", "dev", "lo"])
        self.router.run(["ip", "address", "add", "fe80::2/64", "dev", "eth0", "nodad"])
        self.router.serve(80)
        self.kept = self.web.connect("10.9.0.1", 80)

    def up(self, text: str) -> list[str]:
        """Bring the stack up like that; what the plan named."""
        self.host.write("stack.yaml", text)
        changes = self.host.plan("stack.yaml")
        self.host.netapply("up", "stack.yaml")
        assert self.host.plan("stack.yaml") == []
        # What is removed here only kept packets from where they go without it.
        disturbs = any(name.startswith(("create route", "update route")) for name in named(changes))
        assert worst(changes) == ("connections reset" if disturbs else "none")
        return named(changes)

    def pid(self) -> int:
        """The process of ``web``."""
        (found,) = [each["pid"] for each in self.host.ps() if each["name"] == "web"]
        return int(found)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    lab = Lab(tmp_path_factory.mktemp("routes"))
    try:
        yield World(lab)
    finally:
        lab.close()


def test_packets_follow_the_routes(world: World) -> None:
    for address in ("10.9.0.1", "fd99::1", "fd97::1"):
        answer = world.web.ask(address, 80)
        assert answer is not None
        assert answer.name == "router"
    assert world.web.attempt(world.outside.ipv4, 80, timeout=0.3) == "Invalid argument"  # what a blackhole gives
    assert world.web.attempt(world.outside.ipv6, 80, timeout=0.3) == "Permission denied"
    assert world.router.ask(world.outside.ipv4, 80) is not None


def test_every_route_is_ours_and_as_written(world: World) -> None:
    lines = [
        line
        for family in ("-4", "-6")
        for line in world.web.run(["ip", family, "route", "show", "proto", "110"]).stdout.splitlines()
    ]
    assert len(lines) == 9
    assert sum("blackhole" in line for line in lines) == 2
    assert sum("unreachable 10.9.0.0/16 metric 500" in line for line in lines) == 1
    assert sum("10.9.0.0/16 via 172.30.1.2 dev eth0" in line for line in lines) == 1
    assert sum("fd99::/64 via fd30:1::2 dev eth0 metric 50" in line for line in lines) == 1


DRIFT = [
    "route delete 10.9.0.0/16 via 172.30.1.2",
    "route replace 10.9.0.0/16 via 172.30.1.1",
    "route replace 10.9.0.0/16 via 172.30.1.1 proto 110",
    "route replace blackhole 10.9.0.0/16 proto 110",
    "route delete blackhole 192.0.2.0/24",
    "route replace 192.0.2.0/24 via 172.30.1.1",
    "route replace 192.0.2.0/24 via 172.30.1.1 proto 110",
    "route add 10.77.0.0/16 via 172.30.1.2 proto 110",
    "route add blackhole 10.78.0.0/16 proto 110",
    "-6 route delete fd99::/64",
    "-6 route delete prohibit 2001:db8::/64",
    "-6 route replace 2001:db8::/64 via fd30:1::1 proto 110",
    "-6 route add blackhole fd96::/64 proto 110",
    "-6 route replace fd99::/64 via fd30:1::1 metric 50",
    "-6 route append fd99::/64 via fd30:1::1 metric 50 proto 110",
    "route add default via 172.30.1.2 metric 7",
    "route delete default",
    "-6 route delete default",
]


@pytest.mark.parametrize("command", DRIFT)
def test_drift_is_seen_and_healed(world: World, command: str) -> None:
    def table() -> list[str]:
        shown = [world.web.run(["ip", family, "route", "show"]).stdout for family in ("-4", "-6")]
        return sorted(line.strip() for each in shown for line in each.splitlines())

    before = table()
    world.web.run(["ip", *command.split()])
    assert table() != before
    changes = named(world.host.plan("stack.yaml"))
    assert changes
    assert all(" route shop/web:" in change for change in changes)
    world.host.netapply("up", "stack.yaml")
    assert world.host.plan("stack.yaml") == []
    assert table() == before
    assert world.kept.alive()


def test_what_others_route_elsewhere_is_left_alone(world: World) -> None:
    world.web.run(["ip", "route", "add", "10.55.0.0/16", "via", "172.30.1.1"])
    world.web.run(["ip", "route", "add", "blackhole", "10.56.0.0/16"])
    assert world.host.plan("stack.yaml") == []
    world.web.run(["ip", "route", "delete", "10.55.0.0/16"])
    world.web.run(["ip", "route", "delete", "blackhole", "10.56.0.0/16"])


def test_routes_come_and_go_while_the_container_runs(world: World) -> None:
    pid = world.pid()
    line = "          - {to: 192.0.2.0/24, type: blackhole}\n"
    assert world.up(STACK.replace(line, "")) == ["delete route shop/web:192.0.2.0/24"]
    assert world.web.ask(world.outside.ipv4, 80) is not None
    assert world.kept.alive()
    changed = STACK.replace("{to: 192.0.2.0/24, type: blackhole}", "{to: 192.0.2.0/24, via: 172.30.1.2}")
    assert world.up(changed) == ["create route shop/web:192.0.2.0/24"]
    assert world.up(STACK) == ["update route shop/web:192.0.2.0/24"]
    assert world.web.ask(world.outside.ipv4, 80, timeout=0.3) is None
    assert world.up(STACK.replace("type: prohibit", "type: unreachable")) == ["update route shop/web:2001:db8::/64"]
    assert world.web.attempt(world.outside.ipv6, 80, timeout=0.3) == "No route to host"
    assert world.up(STACK) == ["update route shop/web:2001:db8::/64"]
    assert world.kept.alive()
    assert world.pid() == pid


LARGE = """
name: large
networks:
  bridge1:
    driver: bridge
    ipam: {config: [{subnet: 172.26.0.0/16, gateway: 172.26.0.2}]}
containers:
  first: {networks: {bridge1: {ipv4_address: 172.26.0.1}}}
  far: {networks: {bridge1: {ipv4_address: 172.26.255.254}}}
  any: {networks: [bridge1]}
"""


@pytest.mark.founding("S4-28", "S4-29")
def test_a_large_subnet_with_a_gateway_that_is_not_the_first_address(host: Host, outside: Machine) -> None:
    """S4-28; S4-29: .1 is a normal address then."""
    host.write("stack.yaml", LARGE)
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []
    first, far, another = (host.container(name) for name in ("first", "far", "any"))
    assert (first.ipv4, far.ipv4) == ("172.26.0.1", "172.26.255.254")
    assert another.ipv4 not in {"172.26.0.1", "172.26.0.2"}
    bridge = host.run(["ip", "-4", "-o", "address", "show", "to", "172.26.0.0/16"]).stdout
    assert "172.26.0.2/16" in bridge
    outside.serve(80)
    for each in (first, far, another):
        assert "default via 172.26.0.2 " in each.run(["ip", "route"]).stdout
        assert each.ask(outside.ipv4, 80) is not None
    first.serve(80)
    assert far.ask("172.26.0.1", 80) is not None
    assert host.ask("172.26.0.1", 80) is not None


@pytest.mark.founding("S4-29")
def test_the_gateway_address_is_given_to_nobody(host: Host) -> None:
    """S4-29: not even where it is the last that is free, and not when asked for."""
    small = """
name: small
networks:
  tight: {ipam: {config: [{subnet: 172.26.0.0/29, gateway: 172.26.0.2}]}}
containers:
"""
    host.write("stack.yaml", small + "".join(f"  c{n}: {{networks: [tight]}}\n" for n in range(5)))
    host.netapply("up", "stack.yaml")
    given = {host.container(f"c{n}").ipv4 for n in range(5)}
    assert given == {f"172.26.0.{last}" for last in (1, 3, 4, 5, 6)}
    host.write("more.yaml", small + "".join(f"  c{n}: {{networks: [tight]}}\n" for n in range(6)))
    assert host.netapply("up", "more.yaml", check=False).returncode == 1
    host.write("taken.yaml", small + "  c: {networks: {tight: {ipv4_address: 172.26.0.2}}}\n")
    refused = host.netapply("up", "taken.yaml", check=False)
    assert refused.returncode == 1
    assert "gateway" in refused.stderr
