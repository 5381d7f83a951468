"""Several runs, several hosts, several stacks, and everything that belongs to somebody else."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.kernel.changes import assert_unchanged, named
from tests.kernel.lab import Host, Lab

SHOP = """
name: shop
networks:
  front: {name: public}
containers:
  web: {networks: [front], ports: ["8080:80"]}
  app: {networks: [front]}
"""
BLOG = """
name: blog
networks:
  front: {name: public, external: true}
  own: {}
containers:
  blog: {networks: [front, own], ports: ["8090:80"]}
"""
ALONE = "name: %s\ncontainers:\n  web: {ports: ['%d:80']}\n"


def start(host: Host, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        host.command(*arguments),
        cwd=host.folder,
        env=host.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    return said


def test_two_runs_of_one_stack_at_once_both_converge(host: Host) -> None:
    before = host.snapshot()
    host.write("shop.yaml", SHOP)
    said = [finish(process) for process in [start(host, "up", "shop.yaml") for _ in range(3)]]
    # One made everything; who came later found nothing to do.
    assert sorted(text == "Nothing to do.\n" for text in said) == [False, True, True], "\n---\n".join(said)
    assert host.plan("shop.yaml") == []
    for process in [start(host, "down", "-p", "shop") for _ in range(2)]:
        finish(process)
    host.lab.note_processes()
    assert_unchanged(before, host.snapshot())


def test_runs_of_several_stacks_at_once_all_converge(host: Host) -> None:
    before = host.snapshot()
    names = [f"s{number}" for number in range(4)]
    for number, name in enumerate(names):
        host.write(f"{name}.yaml", ALONE % (name, 8080 + number))
    for process in [start(host, "up", f"{name}.yaml") for name in names]:
        finish(process)
    host.lab.note_processes()
    assert host.plan(*(f"{name}.yaml" for name in names)) == []
    changes = [start(host, "down", "-p", "s0"), start(host, "up", "s1.yaml"), start(host, "down", "-p", "s2")]
    for process in changes:
        finish(process)
    assert host.plan("s1.yaml", "s3.yaml") == []
    assert sorted(each["stack"] for each in host.ps()) == ["s1", "s3"]
    for name in ("s1", "s3"):
        host.netapply("down", "-p", name)
    assert_unchanged(before, host.snapshot())


def test_up_and_down_of_one_stack_at_once_end_in_one_of_both(host: Host) -> None:
    before = host.snapshot()
    host.write("shop.yaml", SHOP)
    for process in [start(host, command, "shop.yaml") for command in ("up", "down", "up", "down")]:
        finish(process)
    host.lab.note_processes()
    containers = {each["name"] for each in host.ps()}
    assert containers in ({"web", "app"}, set())
    host.netapply("up", "shop.yaml")
    assert host.plan("shop.yaml") == []
    host.netapply("down", "shop.yaml")
    assert_unchanged(before, host.snapshot())


def test_a_reader_waits_for_a_writer(host: Host) -> None:
    host.write("shop.yaml", SHOP)
    writer = start(host, "up", "shop.yaml")
    said = host.netapply("plan", "shop.yaml", check=False)
    finish(writer)
    assert said.returncode in {0, 2}
    assert "Traceback" not in said.stderr


def test_hosts_know_nothing_of_each_other(lab: Lab) -> None:
    one, two = lab.host("one"), lab.host("two")
    before = {host.name: host.snapshot().sections for host in (one, two)}
    for host in (one, two):
        host.write("shop.yaml", SHOP)
    for process in [start(host, "up", "shop.yaml") for host in (one, two)]:
        finish(process)
    for host in (one, two):
        assert host.plan("shop.yaml") == []
        assert {each["name"] for each in host.ps()} == {"web", "app"}
        host.container("web").serve(80, name=host.name)
    for asker, asked in ((one, two), (two, one)):
        answer = asker.ask(asked.ipv4, 8080)
        assert answer is not None
        assert answer.name == asked.name
    one.netapply("down", "shop.yaml")
    assert two.plan("shop.yaml") == []
    assert two.ask("127.0.0.1", 8080) is not None
    after = one.snapshot().sections
    for section in ("links", "addresses", "routes", "nftables", "sysctls", "processes"):
        assert after[section] == before["one"][section], section


def test_what_a_deleted_host_left_is_collected(lab: Lab) -> None:
    gone, host = lab.host("gone"), lab.host("host")
    gone.write("shop.yaml", SHOP.replace("app: {", 'app: {command: [sleep, "600"], '))
    gone.netapply("up", "shop.yaml")
    (app,) = [each for each in gone.ps() if each["name"] == "app"]
    subprocess.run(["ip", "netns", "delete", "gone"], check=True, timeout=10)
    host.write("shop.yaml", SHOP)
    host.netapply("up", "shop.yaml")
    assert not Path(app["netns"]).exists()
    assert not Path(f"/proc/{app['pid']}").exists()
    assert len([path for path in Path("/run/netapply").iterdir() if path.is_dir()]) == 1
    host.netapply("down", "shop.yaml")


def test_an_external_network_is_joined_and_outlives_who_joined(host: Host) -> None:
    before = host.snapshot()
    host.write("shop.yaml", SHOP)
    host.write("blog.yaml", BLOG)
    refused = host.netapply("up", "blog.yaml", check=False)
    assert refused.returncode == 1
    assert "blog.yaml:4:3: error: external network public does not exist" in refused.stderr
    host.netapply("up", "shop.yaml")
    assert not any("shop" in name for name in named(host.plan("blog.yaml")))
    host.netapply("up", "blog.yaml")
    assert host.plan("shop.yaml") == host.plan("blog.yaml") == host.plan("shop.yaml", "blog.yaml") == []
    web, blog = host.container("web"), host.container("blog")
    servers = [web.serve(80), blog.serve(80)]
    kept = host.container("app").connect(web.ipv4, 80)
    (container,) = [each for each in host.ps() if each["name"] == "blog"]
    (joined,) = [each for each in container["networks"] if each["name"] == "public"]
    answer = web.ask(joined["ipv4"].partition("/")[0], 80)
    assert answer is not None
    assert answer.name == "blog"
    for server in servers[1:]:
        server.close()
    host.netapply("down", "blog.yaml")
    assert kept.alive()
    assert host.plan("shop.yaml") == []
    servers[0].close()
    kept.close()
    host.netapply("down", "shop.yaml")
    assert_unchanged(before, host.snapshot())


@pytest.mark.founding("S3-16")
def test_a_network_that_others_joined_does_not_go_from_under_them(host: Host) -> None:
    host.write("shop.yaml", SHOP)
    host.write("blog.yaml", BLOG)
    host.netapply("up", "shop.yaml", "blog.yaml")
    said = host.netapply("down", "shop.yaml", check=False)
    assert said.returncode == 1
    assert "blog" in said.stderr
    assert host.plan("shop.yaml", "blog.yaml") == []
    host.netapply("down", "shop.yaml", "blog.yaml")
    assert host.netapply("down", "shop.yaml", "blog.yaml").stdout == "Nothing to do.\n"


def test_one_bad_stack_does_not_undo_another(host: Host) -> None:
    host.write("bad.yaml", "name: bad\ncontainers:\n  web: {command: [/no/such/program]}\n")
    host.write("good.yaml", ALONE % ("good", 8080))
    said = host.netapply("up", "bad.yaml", "good.yaml", check=False)
    assert said.returncode == 1
    assert "/no/such/program" in said.stderr
    assert host.plan("good.yaml") == []
    assert {each["stack"] for each in host.ps()} == {"good"}


def test_conflicts_between_stacks_are_errors_with_both_places(host: Host) -> None:
    for name in ("one", "two"):
        host.write(f"{name}.yaml", ALONE % (name, 8080))
    said = host.netapply("up", "one.yaml", "two.yaml", check=False)
    assert said.returncode == 1
    assert said.stderr.startswith("two.yaml:3:17: error: port 8080/tcp is published twice; first at one.yaml:3:17")
    host.netapply("up", "one.yaml")
    said = host.netapply("plan", "two.yaml", check=False)
    assert said.returncode == 1
    assert "port 8080/tcp is published already by container one/web" in said.stderr


FOREIGN = """
echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
ip link add docker0 type bridge
ip address add 172.17.0.1/16 dev docker0
ip link set docker0 up
ip link add veth1 type veth peer name veth2
ip link set veth1 master docker0 up
ip link set veth2 up
until ip -br link show docker0 | grep -q ' UP '; do sleep 0.05; done
ip route add 203.0.113.0/24 via 192.0.2.77 proto bird
ip -6 route add 2001:db8:77::/64 via 2001:db8::77 proto 186
ip rule add pref 100 from 203.0.113.0/24 lookup 100
ip route add default via 192.0.2.77 table 100
iptables -N DOCKER-USER
iptables -P FORWARD DROP
iptables -A FORWARD -j DOCKER-USER
iptables -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
nft add table inet firewalld
nft add chain inet firewalld filter_FORWARD '{ type filter hook forward priority 10; }'
nft add rule inet firewalld filter_FORWARD ct state established,related accept
nft add set inet firewalld s '{ type ipv4_addr; }'
nft add element inet firewalld s '{ 192.0.2.66 }'
ip netns add foreign.sandbox
mkdir -p /etc/netns/foreign.sandbox
echo nameserver 192.0.2.53 > /etc/netns/foreign.sandbox/resolv.conf
"""


@pytest.mark.parametrize("legacy", [False, True], ids=["nft", "legacy"])
def test_foreign_objects_stay_byte_for_byte(host: Host, *, legacy: bool) -> None:
    text = FOREIGN.replace("iptables ", "iptables-legacy ") if legacy else FOREIGN
    host.run(["sh", "-ec", text])
    host.write("shop.yaml", SHOP)
    host.write("blog.yaml", BLOG)
    before = host.snapshot()
    host.netapply("up", "shop.yaml", "blog.yaml")
    during = host.snapshot()
    assert host.plan("shop.yaml", "blog.yaml") == []
    for section in set(before.sections) - {"sysctls"}:
        # Ours may stand between them, so their numbers in a legacy table may differ.
        old, new = ([re.sub(r" \d+ ", " ", line) for line in seen.sections[section]] for seen in (before, during))
        assert [line for line in old if line not in new] == [], section
    host.netapply("down", "shop.yaml", "blog.yaml")
    assert_unchanged(before, host.snapshot())
