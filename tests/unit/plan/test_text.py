"""A plan for people: what is folded, what never is, and what colours mean."""

from __future__ import annotations

import io

import pytest

from reconciler.cli import rendering
from reconciler.errors import Source
from reconciler.firewall.policy import NetworkPolicy, PublishedPort
from reconciler.firewall.translation import FloatingPolicy
from reconciler.plan.change import Change, Create, Delete, Disruption, Update
from reconciler.plan.exposure import Exposed, Exposure
from reconciler.plan.grouping import entries, single
from reconciler.plan.plan import Plan, Stage, Step
from reconciler.plan.text import render
from reconciler.resources.address import Address
from reconciler.resources.agent import HeldPorts
from reconciler.resources.bridge import Bridge
from reconciler.resources.container_file import ContainerFile
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.host_address import HostAddress
from reconciler.resources.namespace import Namespace
from reconciler.resources.process import Process
from reconciler.resources.route import Route
from reconciler.resources.router_rules import RouterRules
from reconciler.resources.sysctl import Sysctl

WEB = "shop/web"
HERE = Source("shop.yaml", 3, 5)
ENDPOINT = Endpoint("shop", WEB, "eth0", "nv-web", "shop_front", "na-front", "02:00:00:00:00:01", "o", source=HERE)
ADDRESS = Address("shop", WEB, WEB, "eth0", "172.18.0.2/16")
ROUTE = Route("shop", WEB, "0.0.0.0/0", "172.18.0.1", "eth0", 0)
PORT = PublishedPort("shop", WEB, "tcp", "0.0.0.0", 8080, "172.18.0.2", 80)


def plan(*changes: Change) -> Plan:
    return Plan(tuple(Step(Stage.BUILD, change) for change in changes))


def whats(*changes: Change) -> list[str]:
    return [entry.what for entry in entries(changes)]


def test_a_place_on_a_network_is_one_line() -> None:
    changes = (Create(ROUTE), Create(ADDRESS), Create(ENDPOINT))
    assert whats(*changes) == ["eth0 on network shop_front, 172.18.0.2/16, default route via 172.18.0.1"]
    assert len(single(changes)) == 3


def test_what_is_put_back_alone_has_its_own_line() -> None:
    assert whats(Create(ADDRESS), Create(ROUTE)) == [
        "address 172.18.0.2/16 on eth0",
        "default route via 172.18.0.1 on eth0",
    ]


def test_what_goes_is_not_mixed_with_what_comes() -> None:
    old = Address("shop", WEB, WEB, "eth0", "172.18.0.9/16")
    found = entries((Create(ENDPOINT), Create(ADDRESS), Delete(old, "no longer wanted", Disruption.RESET)))
    assert [(entry.action, entry.what) for entry in found] == [
        ("create", "eth0 on network shop_front, 172.18.0.2/16"),
        ("delete", "address 172.18.0.9/16 on eth0"),
    ]


def test_every_change_is_in_exactly_one_entry_and_the_worst_class_shows() -> None:
    changes = (
        Delete(ENDPOINT, "no longer wanted", Disruption.FLAP),
        Delete(ADDRESS, "no longer wanted", Disruption.RESET, implied=True),
        Delete(Namespace("shop", WEB, "o"), "no longer wanted", Disruption.RECREATE),
        Delete(ContainerFile("shop", WEB, "hosts", ""), "no longer wanted"),
    )
    found = entries(changes)
    assert sorted(map(id, (each for entry in found for each in entry.changes))) == sorted(map(id, changes))
    assert [entry.disruption for entry in found] == [Disruption.RECREATE, Disruption.FLAP]


def test_static_routes_commands_and_ports_are_never_folded() -> None:
    other = Route("shop", WEB, "10.0.0.0/8", "172.18.0.7", "eth0", 0)
    process = Process("shop", WEB, ("sleep", "9"), WEB)
    found = whats(Create(Namespace("shop", WEB, "o")), Create(ENDPOINT), Create(other), Create(process), Create(PORT))
    assert "route to 10.0.0.0/8 via 172.18.0.7 on eth0" in found
    assert "command 'sleep 9'" in found
    assert "publish 8080/tcp -> web:80, any source" in found


def test_settings_that_come_together_are_one_line_with_all_of_them() -> None:
    first, second = (Sysctl("shop", WEB, f"net/ipv4/{name}", "1", source=HERE) for name in ("a", "b"))
    apart = Sysctl("shop", WEB, "net/ipv4/c", "1", source=Source("shop.yaml", 9, 1))
    assert whats(Create(first), Create(second), Create(apart)) == [
        "sysctls net.ipv4.a = 1, net.ipv4.b = 1",
        "sysctl net.ipv4.c = 1",
    ]
    (router,) = whats(Create(RouterRules("shop", WEB)), Create(first), Create(second))
    assert router.endswith("sysctls net.ipv4.a = 1, net.ipv4.b = 1")


def test_a_floating_address_is_one_line() -> None:
    floating = FloatingPolicy("shop", WEB, "192.0.2.9", "172.18.0.2")
    assert whats(Create(HostAddress("shop", WEB, "eth1", "192.0.2.9")), Create(floating)) == [floating.describe()]


def test_a_network_says_its_subnet_and_a_bridge_alone_its_interface() -> None:
    bridge = Bridge("shop", "shop/front", "shop_front", "na-front", "02:00:00:00:00:03", "o")
    policy = NetworkPolicy("shop", "shop/front", "na-front", ("172.18.0.0/16",), internal=True)
    own = Address("shop", "shop/front", "", "na-front", "172.18.0.1/16")
    assert whats(Create(bridge), Create(own), Create(policy)) == ["network shop_front: 172.18.0.0/16, internal"]
    assert whats(Create(bridge), Create(own)) == ["bridge na-front, 172.18.0.1/16"]
    assert whats(Create(policy)) == ["network policy: internal"]


def test_ports_that_the_agent_holds_show_only_alone() -> None:
    held = HeldPorts("shop", (("tcp", "0.0.0.0", 8080),))
    assert whats(Create(held), Create(PORT)) == [PORT.describe()]
    assert whats(Create(held)) == [held.describe()]


def test_the_whole_plan() -> None:
    moved = PublishedPort("shop", WEB, "tcp", "0.0.0.0", 8081, "172.18.0.2", 80, source=HERE)
    exposed = Exposure((Exposed(WEB, "80/tcp", "8081/tcp on every address of the host", "any machine"),))
    made = plan(Create(ENDPOINT), Create(ADDRESS), Update(PORT, moved, "moved"))
    assert render(made, exposed) == (
        "stack shop\n"
        "  container web\n"
        "    + eth0 on network shop_front, 172.18.0.2/16  shop.yaml:3:5\n"
        "    ~ publish 8081/tcp -> web:80, any source (host_port: 8080 -> 8081) [disturbs nothing else]  shop.yaml:3:5\n"
        "\n"
        "becomes reachable\n"
        "  + from any machine: 8081/tcp on every address of the host -> 80/tcp of shop/web\n"
        "\n"
        "Plan: 1 to add, 1 to change, 0 to remove; no other connection is disturbed\n"
    )


def test_colours_go_around_the_line_and_change_nothing_else() -> None:
    made = plan(Create(ENDPOINT), Delete(PORT, "no longer wanted", Disruption.RESET))
    coloured = render(made, colour=True)
    assert "\x1b[32m+ eth0" in coloured
    assert "\x1b[31m- publish" in coloured
    for code in ("\x1b[32m", "\x1b[31m", "\x1b[0m"):
        coloured = coloured.replace(code, "")
    assert coloured == render(made)


def test_no_name_moves_the_cursor_or_ends_a_line() -> None:
    evil = Process("shop", WEB, ("echo", "a\x1b[2J\nPlan: 0 to create"), WEB, source=Source("a\nb.yaml", 1, 1))
    text = render(plan(Create(evil)))
    assert "\x1b" not in text
    assert len(text.splitlines()) == 5


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("terminal", "environment", "expected"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
        (False, {"TERM": "xterm"}, False),
    ],
)
def test_colours_only_where_somebody_sees_them(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, environment: dict[str, str], expected: bool
) -> None:
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout", _Terminal() if terminal else io.StringIO())
    assert rendering.has_colour() is expected
