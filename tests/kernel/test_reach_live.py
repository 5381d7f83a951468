"""What ``reach`` says of a host on which others were at work: what it cannot know it says, and what packets say then."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import NetapplyError
from reconciler.kernel import probe
from tests.kernel.lab import Host, Machine
from tests.kernel.test_reach import reached

STACK = """\
name: shop
networks:
  front: {}
  back: {}
containers:
  web: {networks: [front], ports: ["8080:80"]}
  db: {networks: [back]}
  app: {networks: [front]}
"""


@pytest.fixture
def shop(host: Host) -> Host:
    """A host with that stack."""
    host.write("stack.yaml", STACK)
    host.netapply("up", "stack.yaml")
    return host


def asked(host: Host, *arguments: str) -> tuple[int, str]:
    """Exit code, and what stands on standard error."""
    done = host.netapply("reach", *arguments, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def probed(host: Host, *arguments: str, code: int = 0) -> Any:
    return reached(host, "--probe", *arguments, code=code)["probe"]


DEPENDS = "error: the answer depends on netapply's firewall rules, which somebody changed"
REPAIRS = "hint: netapply up (or watch) repairs them; --probe tries it now"


def test_what_depends_on_rules_that_somebody_flushed_is_not_said(shop: Host, outside: Machine) -> None:
    host = shop
    host.container("web").serve(80)
    host.run(["nft", "flush", "table", "inet", "netapply"])
    # Isolation is gone, and the port is dead; neither stands in the state.
    assert host.container("db").ask(host.container("web").ipv4, 80)
    assert outside.ask(host.ipv4, 8080, timeout=0.4) is None
    for question in (("db", "web:80"), ("outside", "host:8080"), ("host", "host:8080")):
        code, said = asked(host, *question)
        assert code == 1
        assert "were changed by somebody" in said
        assert DEPENDS in said
        assert REPAIRS in said
    # What no rule of ours has a say in is answered, with the warning.
    code, said = asked(host, "app", "web:80")
    assert code == 0
    assert "were changed by somebody" in said
    assert host.netapply("reach", "--matrix").stdout
    # The packets themselves know.
    assert reached(host, "--probe", "db", "web:80") == {
        "reachable": True,
        "path": [],
        "probe": {"arrives": True, "how": "a connection was made, to a program that listens there"},
    }
    code, said = asked(host, "--probe", "outside", "host:8080")
    assert (code, "cannot be tried from here" in said) == (1, True)
    assert reached(host, "-f", "stack.yaml", "--planned", "outside", "host:8080")["reachable"]
    host.netapply("up", "stack.yaml")
    assert asked(host, "db", "web:80") == (2, "")


def test_the_probe_disagrees_with_nothing_on_a_healthy_host(shop: Host, outside: Machine) -> None:
    assert probed(shop, "web", "outside:443") == {"arrives": None, "how": "what answers outside is not ours to try"}
    refused = probed(shop, "web", f"{outside.ipv4}:443")
    assert refused == {"arrives": True, "how": "connection refused, so it arrived"}
    assert probed(shop, "web", f"{outside.ipv4}:53/udp")["arrives"]
    outside.serve(444)
    assert probed(shop, "web", f"{outside.ipv4}:444") == {"arrives": True, "how": "a connection was made"}
    # A firewall on the way refuses too; that it did says who sent the refusal.
    shop.run(["iptables", "-w", "-A", "FORWARD", "-p", "tcp", "--dport", "445", "-j", "REJECT"])
    on_the_way = shop.netapply("reach", "--probe", "web", f"{outside.ipv4}:445", check=False)
    assert on_the_way.returncode == 1
    assert "the probe disagrees: connection refused by 172.20." in on_the_way.stderr
    # The host's own rules there may drop it; so may anything on the way.
    outside.run(["nft", "add table ip x; add chain ip x i { type filter hook input priority 0; policy drop; }"])
    silent = probed(shop, "web", f"{outside.ipv4}:443")
    assert silent["arrives"] is None
    assert "cannot be told from here" in silent["how"]
    for protocol in ("tcp", "udp"):
        resolver = probed(shop, "web", f"127.0.0.11:53/{protocol}")
        assert resolver == {"arrives": None, "how": "netapply's own resolver answers there, so it is not tried"}
    # A program that has the port on another address refuses, as far as anybody can see.
    shop.container("app").serve(80, addresses=["127.0.0.1"])
    assert probed(shop, "web", "app:80")["arrives"] is None


def test_another_program_that_answers_is_not_silence(shop: Host) -> None:
    """Nor is one that takes the connection and says nothing."""
    web = shop.container("web")
    web.serve(81)
    silent = web.inside(lambda: socket.create_server(("", 82)))
    shop.lab.at_end(silent.close)
    rules = ["add table ip x", "add chain ip x p { type nat hook prerouting priority -100; }"]
    rules += [f"add rule ip x p {protocol} dport 80 redirect to :81" for protocol in ("tcp", "udp")]
    rules.append("add rule ip x p tcp dport 79 redirect to :82")
    web.run(["nft", "-f", "-"], stdin="\n".join(rules))
    for port in ("80", "80/udp", "79"):
        assert probed(shop, "app", f"web:{port}") == {"arrives": None, "how": "another program answered"}


def test_a_sandbox_whose_namespace_is_gone_is_said_to_be(shop: Host) -> None:
    db = next(Path(each["netns"]) for each in shop.ps() if each["name"] == "db")
    with db.open():  # whoever holds it, so that its links stay
        shop.run(["ip", "netns", "del", db.name])
        for question in (("db", "db:80"), ("db", "web:80"), ("web", "db:80")):
            cause = reached(shop, *question, code=2)["path"][-1]["what"]
            assert cause == "its network namespace is gone; netapply up makes it again"
        assert not probed(shop, "db", "web:80", code=2)["arrives"]
        plan = json.loads(shop.netapply("plan", "stack.yaml", "--format", "json", check=False).stdout)
        assert "shop/db" in {each["target"] for each in plan["exposure"]["opened"]}


def test_a_name_that_is_gone_while_it_is_asked_is_the_containers(shop: Host) -> None:
    place = probe.Place("container web", Path("/run/netns/shop.gone"))
    with pytest.raises(NetapplyError, match="the network namespace of container web cannot be entered"):
        shop.inside(lambda: probe.attempt(probe.Attempt(place, "tcp", "127.0.0.1", 80, ((place, 80),))))


def test_what_is_not_followed_is_named_for_each_place(shop: Host) -> None:
    web, db = shop.container("web"), shop.container("db")
    assert asked(shop, "web", "host:8080") == (0, "")
    assert asked(shop, "web", "127.0.0.11:53") == (0, "")
    db.run(["ip", "rule", "add", "to", "172.16.0.0/12", "lookup", "100"])
    said = asked(shop, "db", "host:8080")[1]
    assert said == (
        "warning: container db has policy routing rules of others, which reach does not follow\n"
        "  hint: --probe tries it\n"
    )
    # A place beside the path has no say; nor have routes, tables and rules that reach follows or nobody asks.
    db.run(["ip", "-6", "rule", "add", "to", "2001:db8::/32", "lookup", "100"])
    shop.run(["nft", "add table ip others"])
    shop.run(["ip", "route", "add", "198.51.100.0/24", "via", "192.0.2.2"])
    assert asked(shop, "web", "host:8080") == (0, "")
    web.run(["ip", "route", "add", "blackhole", "203.0.113.0/24"])
    web.run(["nft", "add table ip others"])
    said = asked(shop, "--probe", "web", "host:8080")[1]
    assert said == (
        "warning: container web has routes of others and firewall rules of others, which reach does not follow\n"
    )
    shop.run(["ip", "rule", "add", "to", "172.16.0.0/12", "lookup", "main"])
    shop.sysctl("net/ipv4/conf/eth0/forwarding", "0")
    lines = asked(shop, "outside", "host:8080")[1].splitlines()
    assert lines[0] == (
        "warning: the host has policy routing rules of others and net.ipv4.conf.eth0.forwarding = 0,"
        " which reach does not follow"
    )
    # What is for the host itself is not forwarded.
    assert "forwarding" not in asked(shop, "outside", "host:22")[1]
    # A manifest is not the host.
    assert shop.netapply("reach", "-f", "stack.yaml", "outside", "host:8080").stderr == ""
    assert shop.netapply("reach", "-f", "stack.yaml", "--planned", "outside", "host:8080").stderr == ""


def test_what_netapply_itself_puts_into_sandboxes_is_followed(host: Host) -> None:
    """Source routes, the table and the forwarding of a gateway, static routes, the resolver's redirection."""
    host.write(
        "stack.yaml",
        "name: s\nnetworks:\n  front: {enable_ipv6: true}\n  back: {}\n"
        "  lan: {driver: macvlan, driver_opts: {parent: eth0}, ipam: {config: [{subnet: 192.0.2.0/24,"
        " ip_range: 192.0.2.128/26, gateway: 192.0.2.254}]}}\ncontainers:\n"
        "  wide: {networks: [lan, back]}\n"
        "  vpn: {networks: [front, back]}\n"
        "  app: {networks: {front: {gateway: 'container:vpn', routes: [{to: 203.0.113.0/24, type: blackhole}]}}}\n"
        "  two: {networks: [front, back], ports: ['8080:80']}\n",
    )
    host.netapply("up", "stack.yaml")
    wide = host.container("wide")
    assert "proto 110" in wide.run(["ip", "rule"]).stdout
    questions = [("app", "host:22"), ("outside", "host:8080"), ("two", "app:80"), ("app", "192.0.2.9:80")]
    for question in (*questions, ("wide", "192.0.2.9:80")):
        assert asked(host, *question) == (0, ""), question


def test_a_subnet_whose_route_is_gone_is_not_reached(shop: Host) -> None:
    web = shop.container("web")
    subnet = web.run(["sh", "-c", "ip -4 -o route show dev eth0 scope link"]).stdout.split()[0]
    web.run(["ip", "route", "delete", subnet, "dev", "eth0"])
    web.run(["ip", "route", "delete", "default"])
    assert asked(shop, "web", "app:80")[0] == 2
    cells = json.loads(shop.netapply("reach", "--matrix", "--format", "json").stdout)
    found = {(cell["from"], cell["to"]): cell["reachable"] for cell in cells}
    assert not found["shop/web", "shop/app"]
    shop.netapply("up", "stack.yaml")
    assert asked(shop, "web", "app:80")[0] == 0
