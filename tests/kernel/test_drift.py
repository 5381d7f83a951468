"""Drift made by anybody: `plan` names exactly that object, `up` repairs it, and who is not concerned notices nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernel.changes import assert_unchanged, named
from tests.kernel.drift_shop import SHOP, port_of
from tests.kernel.lab import Connection, Host, Lab, Machine

FIREWALL = [
    "create policy shop/calm:brcalm",
    "create policy shop/front:brfront",
    "create port shop/web:0.0.0.0:8080/tcp",
    "create port shop/web:[::]:8080/tcp",
    "create rule host:firewall/nftables",
]
NAMED = ("app", "pair1", "pair2", "web")
ACCEPT4 = "create rule host:accept iptables-nft ip filter FORWARD"
ACCEPT6 = "create rule host:accept iptables-nft ip6 filter FORWARD"


@dataclass
class World:
    """A host with the stack up, its neighbour, and a connection between two containers that are not concerned."""

    host: Host
    outside: Machine
    web: Path
    web_pins: dict[str, Path]
    kept: Connection
    broken: bool = False

    def port_of(self, container: str) -> str:
        """The host's interface that leads to the container."""
        return port_of(self.host, container)

    def inside(self, container: str) -> Machine:
        """The container, which need not be whole."""
        return Machine(self.host.lab, container, self.web_pins[container])


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One for all cases, since each repairs what it broke."""
    lab = Lab(tmp_path_factory.mktemp("drift"))
    try:
        host, outside = lab.host(), lab.machine("outside")
        for program in ("iptables-nft", "ip6tables-nft"):
            host.run([program, "-w", "-P", "FORWARD", "DROP"])
        host.write("stack.yaml", SHOP)
        host.netapply("up", "stack.yaml")
        pins = {each["name"]: Path(each["netns"]) for each in host.ps()}
        Machine(lab, "pair2", pins["pair2"]).serve(7)
        kept = Machine(lab, "pair1", pins["pair1"]).connect("172.30.2.11", 7)
        yield World(host, outside, pins["web"], pins, kept)
    finally:
        lab.close()


@pytest.fixture
def world(standing: World) -> World:
    """The stack up; a case that failed before concerns this one no more."""
    if standing.broken:
        standing.host.netapply("up", "stack.yaml")
    standing.broken = True
    return standing


Drift = Callable[[World], object]


def on_host(*command: str) -> Drift:
    return lambda world: world.host.run(command)


def shell(line: str) -> Drift:
    """A line for the host, in which VETH is the interface that leads to ``web``."""
    return lambda world: world.host.run(["sh", "-ec", line.replace("VETH", world.port_of("web"))])


def in_web(*command: str) -> Drift:
    return lambda world: world.inside("web").run(command)


def kill(state: str) -> Drift:
    def act(world: World) -> None:
        found = world.host.run(["sh", "-c", f"pgrep -f '{state}' || true"]).stdout.split()
        inside = {int(pid) for pid in found} & {pid for pid, _ in world.host.lab._processes()}
        assert inside, state
        for pid in inside:
            os.kill(pid, signal.SIGKILL)

    return act


def unset_setting(world: World) -> None:
    world.host.sysctl("net/ipv4/ip_forward", "0")


LINK, WEB = "shop/web:eth0", "shop/web"
BY_LINK = [
    "create address shop/web:eth0 172.30.1.10/24",
    "create address shop/web:eth0 fd30:1::10/64",
    "create link shop/web:eth0",
    "create route shop/web:0.0.0.0/0",
    "create route shop/web:::/0",
]
NFT = "netapply"
CASES: dict[str, tuple[Drift, list[str]]] = {
    # What the acceptance names.
    "iptables -F": (shell("iptables -F; iptables -t nat -F"), [ACCEPT4]),
    "ip6tables -F": (shell("ip6tables -F; ip6tables -t nat -F"), [ACCEPT6]),
    "nft flush ruleset": (on_host("nft", "flush ruleset"), FIREWALL),
    "veth deleted outside": (shell("ip link delete VETH"), BY_LINK),
    "veth deleted inside": (in_web("ip", "link", "delete", "eth0"), BY_LINK),
    "address deleted": (
        in_web("ip", "address", "delete", "fd30:1::10/64", "dev", "eth0"),
        ["create address shop/web:eth0 fd30:1::10/64"],
    ),
    "bridge's address deleted": (
        on_host("ip", "address", "delete", "172.30.1.1/24", "dev", "brfront"),
        ["create address shop/front:brfront 172.30.1.1/24"],
    ),
    "route deleted": (in_web("ip", "route", "delete", "default"), ["create route shop/web:0.0.0.0/0"]),
    "IPv6 route deleted": (in_web("ip", "-6", "route", "delete", "default"), ["create route shop/web:::/0"]),
    "rule deleted": (shell("nft flush chain inet netapply pass"), ["update rule host:firewall/nftables"]),
    "port's element deleted": (
        shell("nft delete element inet netapply ports4_any '{ tcp . 8080 }'"),
        ["create port shop/web:0.0.0.0:8080/tcp"],
    ),
    "veth moved off its bridge": (shell("ip link set VETH nomaster"), ["update link shop/web:eth0"]),
    "veth moved to another bridge": (shell("ip link set VETH master brcalm"), ["update link shop/web:eth0"]),
    "ip_forward 0": (unset_setting, ["update sysctl host:net/ipv4/ip_forward"]),
    # And what else can be done to each kind of object.
    "chains out of order": (
        shell("nft insert rule inet netapply judge accept"),
        ["update rule host:firewall/nftables"],
    ),
    "table deleted": (on_host("nft", "delete table inet netapply"), FIREWALL),
    "table put to sleep": (
        on_host("nft", "add table inet netapply { flags dormant; }"),
        [rule.replace("create rule", "update rule") for rule in FIREWALL],
    ),
    "veth down outside": (shell("ip link set VETH down"), ["update link shop/web:eth0"]),
    "hairpin off": (shell("ip link set VETH type bridge_slave hairpin off"), ["update link shop/web:eth0"]),
    "other MTU": (in_web("ip", "link", "set", "eth0", "mtu", "1300"), ["update link shop/web:eth0"]),
    "MTU below IPv6's outside": (
        # The bridge takes the least of its ports, and has no IPv6 with that.
        shell("ip link set VETH mtu 576"),
        ["create address shop/front:brfront fd30:1::1/64", f"update link {LINK}", "update link shop/front:brfront"],
    ),
    "MTU below IPv6's inside": (
        in_web("ip", "link", "set", "eth0", "mtu", "576"),
        ["create address shop/web:eth0 fd30:1::10/64", "create route shop/web:::/0", "update link shop/web:eth0"],
    ),
    "port isolated": (shell("ip link set VETH type bridge_slave isolated on"), ["update link shop/web:eth0"]),
    "port that neither learns nor floods": (
        shell("ip link set VETH type bridge_slave learning off flood off mcast_flood off"),
        ["update link shop/web:eth0"],
    ),
    "subnet's route deleted": (
        in_web("ip", "route", "delete", "172.30.1.0/24", "dev", "eth0"),
        ["update address shop/web:eth0 172.30.1.10/24"],
    ),
    "subnet's IPv6 route deleted": (
        in_web("ip", "-6", "route", "delete", "fd30:1::/64", "dev", "eth0"),
        ["update address shop/web:eth0 fd30:1::10/64"],
    ),
    "bridge's route deleted": (
        on_host("ip", "route", "delete", "172.30.1.0/24", "dev", "brfront"),
        ["update address shop/front:brfront 172.30.1.1/24"],
    ),
    "bridge's MTU below IPv6's": (
        on_host("ip", "link", "set", "brfront", "mtu", "576"),
        ["create address shop/front:brfront fd30:1::1/64", "update link shop/front:brfront"],
    ),
    "IPv4 bridge's MTU below IPv6's": (
        on_host("ip", "link", "set", "brcalm", "mtu", "576"),
        ["update link shop/calm:brcalm"],
    ),
    "bridge down": (
        # The kernel takes its IPv6 addresses away with it.
        on_host("ip", "link", "set", "brfront", "down"),
        ["create address shop/front:brfront fd30:1::1/64", "update link shop/front:brfront"],
    ),
    "bridge's other MTU": (on_host("ip", "link", "set", "brfront", "mtu", "1400"), ["update link shop/front:brfront"]),
    "extra address": (
        in_web("ip", "address", "add", "172.30.1.99/24", "dev", "eth0"),
        ["delete address shop/web:eth0 172.30.1.99/24"],
    ),
    "other default route": (
        in_web("ip", "route", "replace", "default", "via", "172.30.1.11"),
        ["update route shop/web:0.0.0.0/0"],
    ),
    "sysctl inside": (
        lambda world: world.inside("web").sysctl("net/ipv4/ip_unprivileged_port_start", "80"),
        ["update sysctl shop/web:net/ipv4/ip_unprivileged_port_start"],
    ),
    "agent killed": (
        kill("reconciler.agent"),
        ["create agent host:agent", *(f"update agent shop/{name}:names" for name in NAMED)],
    ),
}


@pytest.mark.founding("S1-31")
@pytest.mark.parametrize("case", CASES)
def test_drift_is_named_and_repaired(world: World, case: str) -> None:
    drift, expected = CASES[case]
    host = world.host
    before = host.snapshot()
    drift(world)
    assert named(host.plan("stack.yaml")) == sorted(expected)
    host.netapply("up", "stack.yaml")
    assert world.kept.alive()
    assert host.plan("stack.yaml") == []
    if "ruleset" not in case:
        # A flush takes the policy of others along, which is not ours to restore.
        assert_rules_as_before(before.sections["nftables"], host.snapshot().sections["nftables"])
    server = world.inside("web").serve(80)
    try:
        assert world.outside.ask(host.ipv4, 8080) is not None
        assert world.outside.ask(host.ipv6, 8080) is not None
    finally:
        server.close()
    world.broken = False


def assert_rules_as_before(before: tuple[str, ...], after: tuple[str, ...]) -> None:
    """The same tables, chains and rules; handles and places in the list may differ."""
    assert len(after) == len(before)


def test_what_is_not_ours_is_no_drift(world: World) -> None:
    host, web = world.host, world.inside("web")
    web.run(["ip", "link", "add", "vpn0", "type", "bridge"])
    web.run(["ip", "address", "add", "10.8.0.2/24", "dev", "vpn0"])
    web.run(["ip", "link", "set", "vpn0", "up"])
    web.run(["ip", "route", "add", "10.9.0.0/16", "via", "172.30.1.11"])
    host.run(["nft", "add table inet foreign"])
    host.run(["ip", "link", "add", "brforeign", "type", "bridge"])
    before = host.snapshot()
    assert host.plan("stack.yaml") == []
    assert host.netapply("up", "stack.yaml").stdout == "Nothing to do.\n"
    assert_unchanged(before, host.snapshot())
    web.run(["ip", "link", "delete", "vpn0"])
    web.run(["ip", "route", "delete", "10.9.0.0/16"])
    world.broken = False


def test_a_container_without_its_name_is_made_anew(world: World) -> None:
    host = world.host
    host.run(["ip", "netns", "delete", world.web_pins["app"].name])
    found = named(host.plan("stack.yaml"))
    assert "create namespace shop/app" in found
    assert all("shop/app" in each for each in found)
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []
    assert world.kept.alive()
    world.web_pins.update({each["name"]: Path(each["netns"]) for each in host.ps()})
    server = world.inside("app").serve(80)
    assert world.inside("web").ask("172.30.1.11", 80) is not None
    server.close()
    world.broken = False


def test_a_bridge_that_is_gone_comes_back_with_its_members(world: World) -> None:
    host = world.host
    host.run(["ip", "link", "delete", "brfront"])
    found = named(host.plan("stack.yaml"))
    assert "create link shop/front:brfront" in found
    assert not any("calm" in each or "pair" in each for each in found)
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []
    assert world.kept.alive()
    server = world.inside("web").serve(80)
    assert world.outside.ask(host.ipv4, 8080) is not None
    assert world.inside("app").ask("172.30.1.10", 80) is not None
    server.close()
    world.broken = False


def test_everything_at_once(world: World) -> None:
    host = world.host
    for case in ("veth deleted outside", "bridge's address deleted", "ip_forward 0", "nft flush ruleset"):
        CASES[case][0](world)
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []
    assert world.kept.alive()
