"""Every change of a plan as command lines: nothing is left without words, and no name can end a word."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass, replace
from importlib import import_module
from inspect import getmembers, isclass
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, get_args

import pytest

from reconciler import firewall, resources
from reconciler.actions import Action
from reconciler.errors import Problem
from reconciler.firewall.allow import AllowPolicy
from reconciler.firewall.opening import Opening
from reconciler.firewall.policy import FirewallBase, HostAccept, NetworkPolicy, PublishedPort
from reconciler.firewall.translation import EgressPolicy, FloatingPolicy
from reconciler.naming import Label
from reconciler.plan.change import Change, Create, Delete, Update
from reconciler.plan.commands import actions, script
from reconciler.plan.commands.own_doing import SAYINGS
from reconciler.plan.commands.place import Place
from reconciler.plan.commands.words import fed, line, remark, written
from reconciler.plan.plan import Plan, Stage, Step
from reconciler.resources.address import Address
from reconciler.resources.agent import Agent, HeldPorts
from reconciler.resources.bridge import Bridge
from reconciler.resources.container_file import ContainerFile
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.host_address import HostAddress
from reconciler.resources.job import EndedJob, Job
from reconciler.resources.joined import Joined
from reconciler.resources.namespace import Namespace
from reconciler.resources.process import Process
from reconciler.resources.resolver import Resolver
from reconciler.resources.route import Route
from reconciler.resources.router_rules import RouterRules
from reconciler.resources.shim import Shim, ShimRoute
from reconciler.resources.source_route import SourceRoute
from reconciler.resources.sub_interface import SubInterface
from reconciler.resources.sysctl import Sysctl
from reconciler.resources.vlan import Vlan
from reconciler.state import Resource, State

WEB = "shop/web"
PLACE = Place(
    "7",
    "/run/netapply/7",
    lambda namespace: f"/run/netns/{namespace.removeprefix('netns:').replace('/', '.')}",
    {"": {"net/ipv4/ip_forward": {"net/ipv4/ip_forward": "0"}}},
)
MAC = "02:00:00:00:00:01"
SAMPLES: tuple[Resource, ...] = (
    Namespace("shop", WEB, "origin"),
    Joined("shop", "shop/side", WEB, "origin"),
    Joined("shop", "shop/host", "", "origin"),
    Bridge("shop", "shop/front", "shop_front", "na-front", MAC, "origin", ipv6=True),
    Endpoint("shop", WEB, "eth0", "nv-web", "shop_front", "na-front", MAC, "origin"),
    Address("shop", WEB, WEB, "eth0", "172.18.0.2/16"),
    Address("shop", "shop/front", "", "na-front", "fd00::1/64"),
    Route("shop", WEB, "0.0.0.0/0", "172.18.0.1", "eth0", 0),
    Route("shop", WEB, "fd00:1::/64", "fd00::1", "eth0", 1024),
    Route("shop", WEB, "10.0.0.0/8", "", "", 0, kind="blackhole"),
    SourceRoute("shop", WEB, "eth0", "172.18.0.2/16", "172.18.0.1", 1001),
    SourceRoute("shop", WEB, "eth0", "fd00::2/64", "", 1001),
    RouterRules("shop", WEB),
    SubInterface("shop", WEB, "eth0", "shop/lan", "shop_lan", "macvlan", "private", "eth1", MAC),
    SubInterface("shop", WEB, "eth0", "shop/lan", "shop_lan", "ipvlan", "l3", "eth1", MAC, flag="vepa"),
    Shim("shop", "shop/lan", "shop_lan", "na-lan", "macvlan", "bridge", "eth1", MAC, "origin"),
    ShimRoute("shop", "shop/lan", "na-lan", "192.0.2.10/32"),
    Vlan("host", "eth1.10", "eth1", 10),
    Sysctl("host", "", "net/ipv4/ip_forward", "1"),
    Process("shop", WEB, ("sleep", "9"), WEB, (("PASSWORD", "canary"),)),
    ContainerFile("shop", WEB, "hosts", "127.0.0.1 localhost\n"),
    Agent(),
    HeldPorts("shop", (("tcp", "0.0.0.0", 8080),)),
    Resolver("shop", WEB),
    FirewallBase("nftables"),
    FirewallBase("iptables"),
    HostAccept("nft", "ip", "filter", "FORWARD"),
    HostAccept("iptables-legacy", "ip6", "filter", "DOCKER-USER"),
    NetworkPolicy("shop", "shop/front", "na-front", ("172.18.0.0/16",)),
    NetworkPolicy("shop", "shop/back", "na-back", ("172.19.0.0/16",), masquerade_ports=(7, 9)),
    PublishedPort("shop", WEB, "tcp", "0.0.0.0", 8080, "172.18.0.2", 80, sources=("192.0.2.0/24",)),
    Opening("shop", "shop/host", "tcp", 80, 80),
    FloatingPolicy("shop", WEB, "192.0.2.9", "172.18.0.2"),
    EgressPolicy("shop", WEB, "192.0.2.8", "172.18.0.2"),
    AllowPolicy("shop", "shop/front", "na-front", "na-back"),
    HostAddress("shop", WEB, "eth0", "192.0.2.9"),
    HostAddress("shop", WEB, "eth0", "2001:db8::9"),
    Job("shop", WEB),
    EndedJob("shop", WEB, "definition", 3),
)


def kinds() -> Iterator[type]:
    """Every class of resource that there is."""
    packages = (resources, firewall)
    names = [f"{package.__name__}.{each.name}" for package in packages for each in iter_modules(package.__path__)]
    for module in map(import_module, names):
        for _, each in getmembers(module, isclass):
            if each.__module__ == module.__name__ and is_dataclass(each) and hasattr(each, "live"):
                yield each


def test_every_action_has_words() -> None:
    told = {
        *SAYINGS,
        *(each for each in get_args(Action) if f"a.{each.__name__}()" in Path(actions.__file__).read_text()),
    }
    assert {each.__name__ for each in get_args(Action)} == {each.__name__ for each in told}


def rendered(*changes: Change, observed: State | None = None, backend: str = "nftables") -> str:
    steps = tuple(Step(Stage.BUILD, change) for change in changes)
    return script.render(Plan(steps, firewall=(backend, "")), observed or State(), PLACE)


def test_every_kind_of_resource_has_a_sample_here() -> None:
    missing = {each.__name__ for each in kinds()} - {type(each).__name__ for each in SAMPLES}
    assert not missing, f"give SAMPLES one of {missing}, and look at what plan --commands says of it"


@pytest.mark.founding("S3-25")
@pytest.mark.parametrize("backend", ["nftables", "iptables"])
@pytest.mark.parametrize("made", [Create, Delete, lambda sample: Update(sample, sample)])
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{type(sample).__name__} {sample.key.name}")
def test_every_change_has_words(sample: Resource, made: Callable[[Resource], Change], backend: str) -> None:
    if isinstance(sample, FloatingPolicy | EgressPolicy | AllowPolicy) and backend == "iptables":
        return  # no plan has it there: that backend cannot do it
    change = made(sample)
    if isinstance(sample, FirewallBase):
        made_for, standing = sample.backend, []
    else:
        made_for, standing = backend, [FirewallBase(backend)]
    observed = State(standing if isinstance(change, Create) else [*standing, sample])
    text = rendered(change, observed=observed, backend=made_for)
    assert "no word for" not in text
    assert "canary" not in text
    lines = text.splitlines()
    assert lines[0].startswith("# ")
    if not isinstance(change, Update):
        assert len(lines) > 1, f"nothing says what {sample} is"
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)


def test_every_request_on_a_link_says_what_iproute2_would() -> None:
    endpoint = SAMPLES[4]
    assert rendered(Create(endpoint)).splitlines()[1:] == [
        (
            "ip link add name nv-web group 28257 address 02:d2:05:ee:44:58 mtu 1500 master na-front up "
            "type veth peer name eth0 group 28257 address 02:00:00:00:00:01 mtu 1500 netns shop.web"
        ),
        "ip link set dev nv-web alias netapply:endpoint::shop:web:shop_front:origin addrgenmode none",
        "ip link set dev nv-web type bridge_slave hairpin on",
        "ip -n shop.web link set dev eth0 up",
        "ip netns exec shop.web sysctl -qw net/ipv4/conf/eth0/promote_secondaries=1",
    ]


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (
            SubInterface("shop", WEB, "eth0", "shop/lan", "lan", "macvlan", "private", "eth1", MAC),
            "ip link add link eth1 name eth0 group 28257 address 02:00:00:00:00:01 mtu 1500 netns shop.web type macvlan mode private",
        ),
        (
            SubInterface("shop", WEB, "eth0", "shop/lan", "lan", "ipvlan", "l3", "eth1", MAC, flag="vepa"),
            "ip link add link eth1 name eth0 group 28257 mtu 1500 netns shop.web type ipvlan mode l3 vepa",
        ),
        (Vlan("host", "eth1.10", "eth1", 10), "ip link add link eth1 name eth1.10 group 28257 type vlan id 10"),
        (
            ShimRoute("shop", "shop/lan", "na-lan", "192.0.2.10/32"),
            "ip route add 192.0.2.10/32 dev na-lan proto 110 scope link",
        ),
        (
            Route("shop", WEB, "10.0.0.0/8", "", "", 0, kind="blackhole"),
            "ip -n shop.web route replace blackhole 10.0.0.0/8 proto 110",
        ),
        (
            Route("shop", WEB, "::/0", "fd00::1", "eth0", 1024),
            "ip -n shop.web -6 route replace default via fd00::1 dev eth0 metric 1024 proto 110",
        ),
    ],
)
def test_other_requests_say_what_iproute2_would(sample: Resource, expected: str) -> None:
    assert rendered(Create(sample)).splitlines()[1] == expected


def test_a_way_back_is_two_routes_and_a_rule() -> None:
    assert rendered(Create(SourceRoute("shop", WEB, "eth0", "172.18.0.2/16", "172.18.0.1", 1001))).splitlines()[1:] == [
        "ip -n shop.web route replace 172.18.0.0/16 dev eth0 table 1001 proto 110 scope link",
        "ip -n shop.web route replace default via 172.18.0.1 dev eth0 table 1001 proto 110",
        "ip -n shop.web rule add from 172.18.0.2/32 priority 11000 table 1001 protocol 110",
    ]


def test_what_a_setting_was_before_is_put_back() -> None:
    sysctl = Sysctl("host", "", "net/ipv4/ip_forward", "1")
    assert "sysctl -qw net/ipv4/ip_forward=0" in rendered(Delete(sysctl))
    unknown = replace(sysctl, name="net/ipv4/ip_default_ttl")
    assert "# net/ipv4/ip_default_ttl stays" in rendered(Delete(unknown))


def test_what_goes_by_itself_has_no_line_of_its_own() -> None:
    address = Address("shop", WEB, WEB, "eth0", "172.18.0.2/16")
    assert [each[:2] for each in rendered(Delete(address, implied=True)).splitlines()] == ["# ", "# "]


@pytest.mark.founding("S1-12")
def test_one_change_of_a_port_is_one_command() -> None:
    base, port = FirewallBase("nftables"), PublishedPort("shop", WEB, "tcp", "0.0.0.0", 8080, "172.18.0.2", 80)
    assert rendered(Create(port), observed=State([base])).splitlines()[1:] == [
        "nft 'add element inet netapply ports4_any { 6 . 8080 comment \"shop/web\" : 172.18.0.2 . 80 }'"
    ]


def test_a_range_that_another_network_has_too_keeps_its_chain() -> None:
    base, *networks = (
        FirewallBase("nftables"),
        *(NetworkPolicy("shop", f"shop/{name}", name, masquerade_ports=(7, 9), subnets=()) for name in "ab"),
    )
    said = [rendered(Delete(each), observed=State([base, *networks])) for each in networks]
    assert not any("chain" in each for each in said)
    assert "delete chain inet netapply masquerade_7_9" in rendered(
        Delete(networks[0]), observed=State([base, networks[0]])
    )


@pytest.mark.parametrize("name", ["a b", "$(touch x)", "a'; touch x; '", "`x`", "a\nb", "-n", "*", "~", "#"])
def test_no_name_means_anything_to_the_shell(name: str) -> None:
    done = subprocess.run(
        ["sh", "-c", line("printf", "%s.", name)], capture_output=True, text=True, check=True, timeout=5
    )
    assert done.stdout == f"{name}."


def test_a_remark_cannot_end_early() -> None:
    assert remark("a\ntouch x\x1b[2J\r") == "# a\\ntouch x\\x1b[2J\\r"
    assert remark("naïve") == "# naïve"


@pytest.mark.parametrize("text", ["END\nrm x\n", "END_\nEND\n", "$(x) `y` \\\n", "\n"])
def test_a_text_is_given_as_it_is(text: str) -> None:
    done = subprocess.run(["sh", "-c", fed(["cat"], text)], capture_output=True, text=True, check=True, timeout=5)
    assert done.stdout == text


def test_a_file_without_a_last_newline_stays_without(tmp_path: Any) -> None:
    path = tmp_path / "it's here"
    for text in ("a\nb", "a\n", ""):
        subprocess.run(["sh", "-c", written(str(path), text)], check=True, timeout=5)
        assert path.read_text() == text


def test_a_namespace_that_has_no_name_is_entered_by_its_path() -> None:
    place = replace(PLACE, namespace_path=lambda _: "/proc/12/ns/net")
    assert shlex.join(place.ip(WEB, "link")) == "nsenter --net=/proc/12/ns/net ip link"
    assert place.inside("", "nft") == ("nft",)


def test_the_label_of_a_sandbox_names_its_host() -> None:
    label = Label("sandbox", "7", "shop", "web", "", "origin")
    assert f"link set dev lo alias {label} up" in rendered(Create(SAMPLES[0]))


def test_nothing_to_do_is_a_remark() -> None:
    assert script.render(Plan((), (Problem("so"),)), State(), PLACE) == "# Nothing to do.\n"
