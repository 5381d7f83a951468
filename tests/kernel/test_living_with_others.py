"""Beside Docker and ufw: their containers and rules go on as before, whatever ours do."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernel.lab import Answer, Host, Machine

RULES = Path(__file__).parent / "foreign"
SHOP = """
name: shop
networks: {front: {enable_ipv6: true}}
containers:
  web: {networks: [front], ports: ["8080:80"]}
  client: {networks: [front]}
"""
COUNTERS = re.compile(r" ?\[\d+:\d+\]")


@dataclass(frozen=True)
class Others:
    """What stands on the host beside us: files of rules, and the program that reads each."""

    files: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, engine: str, *names: str) -> Others:
        return cls(tuple((f"{'ip6tables' if '6' in name else 'iptables'}-{engine}", name) for name in names))

    def load(self, host: Host) -> None:
        for program, name in self.files:
            text = (RULES / name).read_text()
            host.run(["nft", "-f", "-"] if program == "nft" else [f"{program}-restore", "--noflush"], stdin=text)

    def rules(self, host: Host) -> str:
        """Their tables as their own programs list them, without counters and comments."""
        if self.files[0][0] == "nft":
            return host.run(["nft", "-s", "list", "table", "ip", "docker-bridges"]).stdout
        places = sorted({(program, table) for program, name in self.files for table in tables(name)})
        return "\n".join(listed(host, program, table) for program, table in places)


def tables(name: str) -> list[str]:
    return [line[1:].strip() for line in (RULES / name).read_text().splitlines() if line.startswith("*")]


def listed(host: Host, program: str, table: str) -> str:
    lines = COUNTERS.sub("", host.run([f"{program}-save", "-t", table]).stdout).splitlines()
    return "\n".join(line for line in lines if not line.startswith("#"))


OTHERS = {
    "docker, iptables-nft": Others.of("nft", "docker.rules"),
    "docker, iptables-legacy": Others.of("legacy", "docker.rules"),
    "older docker, iptables-nft": Others.of("nft", "docker-older.rules"),
    "older docker, iptables-legacy": Others.of("legacy", "docker-older.rules"),
    "docker and ufw, iptables-nft": Others.of("nft", "docker.rules", "ufw.rules", "ufw6.rules"),
    "docker and ufw, iptables-legacy": Others.of("legacy", "docker.rules", "ufw.rules", "ufw6.rules"),
    "docker, nftables": Others((("nft", "docker.nft"),)),
}

CONTAINED = ("docker, iptables-nft", "docker, iptables-legacy")
"""What those with ufw beside have tried as well."""


@pytest.fixture
def docker(host: Host) -> Machine:
    """A container as Docker makes it: on docker0, with 172.17.0.2, its port 80 at the host's 8088."""
    for line in (
        "netns add docker-web",
        "link add docker0 type bridge forward_delay 0 mcast_snooping 0",
        "link set docker0 addrgenmode none",
        "address add 172.17.0.1/16 dev docker0",
        "link set docker0 up",
        "link add veth0 type veth peer name eth0 netns docker-web",
        "link set veth0 master docker0 addrgenmode none up",
        "-n docker-web link set lo up",
        "-n docker-web address add 172.17.0.2/16 dev eth0",
        "-n docker-web link set eth0 addrgenmode none up",
        "-n docker-web route add default via 172.17.0.1",
    ):
        host.run(["ip", *line.split()])
    host.sysctl("net/ipv4/ip_forward", "1")
    deadline = time.monotonic() + 30
    # The kernel says so a little later; a snapshot before that would differ from one after it.
    while json.loads(host.run(["ip", "-j", "link", "show", "docker0"]).stdout)[0]["operstate"] != "UP":
        assert time.monotonic() < deadline, "docker0 does not come up"
        time.sleep(0.02)
    container = Machine(host.lab, "docker", Path("/run/netns/docker-web"), "172.17.0.2")
    container.serve(80, addresses=["0.0.0.0"])
    return container


def answers(asker: Machine, address: str, port: int, name: str) -> None:
    answer = asker.attempt(address, port)
    assert isinstance(answer, Answer), f"{asker.name} asked {address} port {port}: {answer}"
    assert answer.name == name


def theirs_work(host: Host, docker: Machine, outside: Machine) -> None:
    answers(docker, outside.ipv4, 7000, "outside")
    answers(outside, host.ipv4, 8088, "docker")
    answers(host, host.ipv4, 8088, "docker")
    answers(host, docker.ipv4, 80, "docker")
    # Their container was never reachable directly, and is not now.
    outside.run(["ip", "route", "replace", "172.17.0.0/16", "via", host.ipv4])
    assert outside.ask("172.17.0.2", 81, timeout=0.3) is None


def ours_work(host: Host, outside: Machine) -> None:
    web, client = host.container("web"), host.container("client")
    web.serve(80)
    answers(outside, host.ipv4, 8080, "web")
    answers(outside, host.ipv6, 8080, "web")
    answers(host, "127.0.0.1", 8080, "web")
    answers(client, host.ipv4, 8080, "web")
    answers(client, web.ipv4, 80, "web")
    answers(client, outside.ipv4, 7000, "outside")
    answers(client, outside.ipv6, 7000, "outside")


@pytest.mark.founding("S1-31", "S4-18", "S4-19")
@pytest.mark.parametrize(
    "others",
    [pytest.param(each, id=name, marks=[pytest.mark.long] * (name in CONTAINED)) for name, each in OTHERS.items()],
)
def test_both_worlds_work_before_beside_and_after(
    host: Host, outside: Machine, docker: Machine, others: Others
) -> None:
    outside.serve(7000)
    others.load(host)
    theirs_work(host, docker, outside)
    rules, before = others.rules(host), host.snapshot()
    host.write("shop.yaml", SHOP)

    host.netapply("up", "shop.yaml")
    ours_work(host, outside)
    theirs_work(host, docker, outside)
    assert host.plan("shop.yaml") == []
    kept = outside.connect(host.ipv4, 8088)
    assert_only_our_one_rule_is_new(rules, others.rules(host))

    host.netapply("down", "shop.yaml")
    theirs_work(host, docker, outside)
    assert kept.alive()
    assert others.rules(host) == rules
    kept.close()
    difference = before.difference(host.snapshot())
    assert difference == [], "\n".join(difference)


def assert_only_our_one_rule_is_new(before: str, now: str) -> None:
    """At most one line for each table that could drop our traffic, and that one marked as ours."""
    new = [line for line in now.splitlines() if line not in before.splitlines()]
    ours = [line for line in new if "NETAPPLY-" not in line]
    assert all("netapply" in line and re.search("0x0?2000000", line) for line in ours), ours
    assert 1 <= len(ours) <= 2, ours
    assert [line for line in before.splitlines() if line not in now.splitlines()] == []


@pytest.mark.founding("S1-31")
@pytest.mark.parametrize("others", [OTHERS["docker and ufw, iptables-nft"], OTHERS["docker and ufw, iptables-legacy"]])
def test_after_somebody_flushed_everything_only_our_rules_come_back(
    host: Host, outside: Machine, docker: Machine, others: Others
) -> None:
    outside.serve(7000)
    others.load(host)
    host.write("shop.yaml", SHOP)
    host.netapply("up", "shop.yaml")
    host.run(["nft", "flush", "ruleset"])
    for program in ("iptables-legacy", "ip6tables-legacy"):
        for table in ("filter", "nat", "mangle", "raw"):
            host.run([program, "-t", table, "-F"])
            host.run([program, "-t", table, "-X"])
        host.run([program, "-P", "FORWARD", "ACCEPT"])
        host.run([program, "-P", "INPUT", "ACCEPT"])
    assert {change["kind"] for change in host.plan("shop.yaml")} <= {"rule", "policy", "port"}
    host.netapply("up", "shop.yaml")
    ours_work(host, outside)
    left = host.run(["nft", "list", "ruleset"]).stdout + host.run(["iptables-legacy-save"]).stdout
    assert "DOCKER" not in left
    assert "ufw" not in left


@pytest.mark.founding("S1-13", "S1-14", "S4-18")
def test_one_entry_for_each_published_port_and_two_ways_to_it(host: Host) -> None:
    text = "name: shop\ncontainers:\n" + "".join(f"  net{n}: {{ports: ['22', '80']}}\n" for n in (1, 2, 3, 4))
    host.write("shop.yaml", text)
    host.netapply("--firewall", "iptables", "up", "shop.yaml")
    shown = host.run(["iptables-legacy", "-t", "nat", "-vnL", "NETAPPLY-PORTS"]).stdout.splitlines()
    assert "(2 references)" in shown[0]
    assert sum("DNAT" in line for line in shown) == 8
    assert sum("tcp dpt:" in line and "to:172." in line for line in shown) == 8
    host.write("shop.yaml", text.partition("  net4")[0])
    host.netapply("--firewall", "iptables", "up", "shop.yaml")
    assert host.run(["iptables-legacy", "-t", "nat", "-S", "NETAPPLY-PORTS"]).stdout.count("DNAT") == 6


def elements(host: Host) -> str:
    return host.run(["nft", "list", "map", "inet", "netapply", "ports4_any"]).stdout


@pytest.mark.founding("S1-13", "S1-14", "S4-18")
def test_one_element_for_each_published_port_and_two_ways_to_it(host: Host) -> None:
    count: Callable[[], int] = lambda: elements(host).count("comment")  # noqa: E731  # asked twice
    host.write("shop.yaml", "name: shop\ncontainers: {a: {ports: ['22', '80']}, b: {ports: ['22', '80']}}\n")
    host.netapply("up", "shop.yaml")
    assert count() == 4
    for chain in ("prerouting", "output"):
        assert "fib daddr type local jump" in host.run(["nft", "list", "chain", "inet", "netapply", chain]).stdout
    host.write("shop.yaml", "name: shop\ncontainers: {a: {ports: ['22']}, b: {}}\n")
    host.netapply("up", "shop.yaml")
    assert count() == 1


NETWORKD = Path("/lib/systemd/systemd-networkd")
# A configuration that would take every interface there is.
GREEDY = "[Match]\nName=*\n\n[Network]\nAddress=198.51.100.7/24\n"
SCRIPT = """
set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/network /run/systemd/netif /run/udev/data
cp "$1"/*.network "$1"/*.link "$2" /run/systemd/network/
mount -t sysfs sysfs /sys
# What udev would have written: when it had seen each, and what our rule says of the one in our group.
for folder in /sys/class/net/*; do echo I:1 > "/run/udev/data/n$(cat $folder/ifindex)"; done
echo E:ID_NETAPPLY=1 >> "/run/udev/data/n$(cat /sys/class/net/brmine/ifindex)"
exec "$3"
"""


@pytest.mark.founding("S2-33")
def test_networkd_takes_everything_but_our_links(host: Host) -> None:
    if not NETWORKD.exists():
        pytest.skip("systemd-networkd is not installed")
    host.run(["ip", "link", "add", "theirs", "type", "bridge"])
    for name in ("na-front", "nv-web"):
        host.run(["ip", "link", "add", name, "type", "bridge"])
    host.run(["ip", "link", "add", "brmine", "group", "28257", "type", "bridge"])
    greedy = host.write("99-all.network", GREEDY)
    rules = Path(__file__).parents[2] / "reconciler/cli/host_rules"
    host.spawn(["unshare", "--mount", "sh", "-c", SCRIPT, "sh", str(rules), str(greedy), str(NETWORKD)])

    def taken() -> set[str]:
        shown = json.loads(host.run(["ip", "-j", "-4", "address"]).stdout)
        return {link["ifname"] for link in shown if any(a["local"] == "198.51.100.7" for a in link["addr_info"])}

    deadline = time.monotonic() + 30
    while "theirs" not in taken():
        assert time.monotonic() < deadline, "networkd did nothing at all"
        time.sleep(0.05)
    time.sleep(0.5)
    assert taken() >= {"theirs", "eth0"}
    assert taken() & {"na-front", "nv-web", "brmine"} == set()
