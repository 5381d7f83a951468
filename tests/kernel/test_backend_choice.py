"""Which backend holds a host's rules, and how they move from one to the other, through the command."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.firewall.policy import FirewallBase
from reconciler.kernel.firewall import Firewall
from reconciler.plan.change import Delete
from tests.kernel.lab import Host, Lab, Machine
from tests.kernel.reachability import PROTOCOLS

pytest.importorskip("iptc", reason="the extra netapply[iptables] is not installed")

STACK = """name: {name}
containers:
  web:
    ports: ["{port}:80", "{port}:80/udp"]
    networks: [front]
networks:
  front:
    enable_ipv6: true
"""
SHOP = STACK.format(name="shop", port=8080)
LEGACY = ("iptables-legacy", "ip6tables-legacy")


def legacy_rules(host: Machine) -> list[str]:
    """All lines of rules and own chains in the legacy tables that exist."""
    lines = [line for program in LEGACY for line in host.run([f"{program}-save"]).stdout.splitlines()]
    return [line for line in lines if line.startswith("-A") or " - [" in line]


def has_nftables(host: Machine) -> bool:
    return "table inet netapply" in host.run(["nft", "list", "tables"]).stdout


def up(host: Host, *arguments: str) -> None:
    host.netapply(*arguments, "up", "shop.yaml")


def plan(host: Host, *arguments: str) -> dict[str, Any]:
    done = host.netapply(*arguments, "plan", "--format", "json", "shop.yaml", check=False)
    assert done.returncode in {0, 2}, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_host_without_legacy_rules_gets_nftables(host: Host) -> None:
    host.write("shop.yaml", SHOP)
    # Tables and policies alone are no rules: they stay when somebody only looked.
    host.run(["iptables-legacy", "-t", "nat", "-S"])
    assert plan(host)["firewall"] == {"backend": "nftables", "reason": "default"}
    up(host)
    assert has_nftables(host)
    assert legacy_rules(host) == []


def test_a_host_with_legacy_rules_gets_iptables(host: Host, outside: Machine) -> None:
    host.write("shop.yaml", SHOP)
    host.run(["iptables-legacy", "-w", "-A", "INPUT", "-s", "10.9.9.9", "-j", "DROP"])
    before = legacy_rules(host)
    assert plan(host)["firewall"] == {
        "backend": "iptables",
        "reason": "this host has rules in iptables' legacy tables (filter)",
    }
    up(host)
    assert not has_nftables(host)
    server = host.container("web").serve(80)
    assert outside.ask(host.ipv4, 8080)
    assert outside.ask(host.ipv6, 8080, "udp")
    server.close()
    # It stays there when the others' rules are gone.
    host.run(["iptables-legacy", "-w", "-D", "INPUT", "1"])
    found = plan(host)
    assert found["changes"] == []
    assert found["firewall"] == {"backend": "iptables", "reason": "it holds netapply's rules already"}
    host.netapply("down", "shop.yaml")
    assert legacy_rules(host) == [line for line in before if "10.9.9.9" not in line]


@pytest.mark.parametrize(("old", "new"), [("nftables", "iptables"), ("iptables", "nftables")])
def test_switching(host: Host, outside: Machine, old: str, new: str) -> None:
    host.write("shop.yaml", SHOP)
    host.write("blog.yaml", STACK.format(name="blog", port=9090))
    host.netapply("--firewall", old, "up", "shop.yaml", "blog.yaml")
    assert has_nftables(host) == (old == "nftables")
    servers = [host.container("web", stack).serve(80, name=stack) for stack in ("shop", "blog")]
    connections = [outside.connect(host.ipv4, port) for port in (8080, 9090)]
    connections.append(outside.connect(host.ipv6, 8080))

    changes = plan(host, "--firewall", new)["changes"]
    assert sorted(each["action"] for each in changes) == ["create", "delete"]
    up(host, "--firewall", new)

    assert has_nftables(host) == (new == "nftables")
    assert bool(legacy_rules(host)) == (new == "iptables")
    assert [connection.alive() for connection in connections] == [True] * 3
    for port, name in ((8080, "shop"), (9090, "blog")):
        answers = [outside.ask(each, port, way) for each in (host.ipv4, host.ipv6) for way in PROTOCOLS]
        assert [answer.name if answer else "" for answer in answers] == [name] * 4
    # Whoever holds the rules goes on holding them.
    assert plan(host)["changes"] == []
    assert plan(host)["firewall"]["backend"] == new
    for server in servers:
        server.close()
    for connection in connections:
        connection.close()
    host.netapply("down", "shop.yaml", "blog.yaml")
    assert not has_nftables(host)
    assert legacy_rules(host) == []


@pytest.mark.parametrize(("old", "new"), [("nftables", "iptables"), ("iptables", "nftables")])
def test_switching_and_changing_at_once(host: Host, outside: Machine, old: str, new: str) -> None:
    """A port that moves while the backends change is not reached at its old place, and other stacks keep theirs."""
    host.write("shop.yaml", SHOP)
    host.write("blog.yaml", STACK.format(name="blog", port=9090))
    host.netapply("--firewall", old, "up", "shop.yaml", "blog.yaml")
    host.container("web", "shop").serve(80, name="shop")
    host.container("web", "blog").serve(80, name="blog")
    host.write("shop.yaml", SHOP.replace("8080", "8081"))
    up(host, "--firewall", new)
    assert outside.ask(host.ipv4, 8080, timeout=0.3) is None
    for port in (8081, 9090):
        assert outside.ask(host.ipv4, port)
    assert plan(host)["changes"] == []


def test_an_interrupted_switch_is_finished(host: Host, outside: Machine) -> None:
    """Both stand, and the new one lacks a port of a stack that is not in the run: it is taken over all the same."""
    host.write("shop.yaml", SHOP)
    host.write("blog.yaml", STACK.format(name="blog", port=9090))
    host.netapply("--firewall", "nftables", "up", "shop.yaml", "blog.yaml")
    table = host.run(["nft", "list", "table", "inet", "netapply"]).stdout
    up(host, "--firewall", "iptables")
    host.run(["nft", "-f", "-"], stdin=table)
    host.run(["iptables-legacy", "-w", "-t", "nat", "-F", "NETAPPLY-PORTS"])
    up(host, "--firewall", "iptables")
    assert not has_nftables(host)
    host.container("web", "blog").serve(80, name="blog")
    assert outside.ask(host.ipv4, 9090)
    assert plan(host)["changes"] == []


ONLY_NFTABLES = """name: one
networks: {{front: {allow}, back: {{}}}}
containers:
  web: {{ports: ["8001:80"], networks: [front]{addresses}}}
  db: {{networks: [back]}}
"""


def test_what_only_nftables_can_do_goes_in_the_run_that_switches(host: Host, outside: Machine) -> None:
    addresses = f", floating_ip: 192.0.2.60, egress_ip: {host.ipv4}"
    host.write("one.yaml", ONLY_NFTABLES.format(allow="{allow: [back]}", addresses=addresses))
    host.netapply("up", "one.yaml")
    host.container("web").serve(80, name="web")
    assert outside.ask("192.0.2.60", 80)
    host.write("one.yaml", ONLY_NFTABLES.format(allow="{}", addresses=""))
    host.netapply("--firewall", "iptables", "up", "one.yaml")
    assert not has_nftables(host)
    assert host.plan("one.yaml") == []
    assert outside.ask(host.ipv4, 8001)


def test_a_backend_leaves_its_rules_when_the_others_base_goes(host: Host) -> None:
    """That base does not stand, so there is nothing to do; once, all of the chosen backend's rules went."""
    host.write("shop.yaml", SHOP)
    up(host, "--firewall", "iptables")
    before = legacy_rules(host)

    def remove() -> None:
        firewall = Firewall("iptables")
        firewall.observe()
        firewall.apply([Delete(FirewallBase("nftables"), "")])
        firewall.close()

    host.inside(remove)
    assert legacy_rules(host) == before


def test_without_python_iptables(host: Host, lab: Lab) -> None:
    host.write("shop.yaml", SHOP)
    hidden = host.folder / "hidden"
    hidden.mkdir()
    hide = ["unshare", "-m", "sh", "-c", f'mount --bind "{hidden}" "$1"; shift; exec "$@"', "-", iptc_folder()]
    command = host.command("--firewall", "iptables", "plan", str(host.folder / "shop.yaml"))
    done = host.run([*hide, *command], check=False)
    assert done.returncode == 1
    assert "pip install 'netapply[iptables]'" in done.stderr
    assert "Traceback" not in done.stderr


def iptc_folder() -> str:
    import iptc  # noqa: PLC0415  # only where it is installed

    return str(iptc.__path__[0])


def test_a_chosen_bridge_name_that_iptables_cannot_say(host: Host) -> None:
    host.write("shop.yaml", SHOP + '    driver_opts: {com.docker.network.bridge.name: "br+"}\n')
    done = host.netapply("--firewall", "iptables", "plan", "shop.yaml", check=False)
    assert done.returncode == 1
    assert "shop.yaml:7:" in done.stderr
