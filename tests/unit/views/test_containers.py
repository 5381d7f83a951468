"""What ``ps`` shows."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from reconciler.firewall.opening import Opening
from reconciler.firewall.policy import PublishedPort
from reconciler.firewall.translation import FloatingPolicy
from reconciler.observation import Facts, Observation, Runtime
from reconciler.resources.address import Address
from reconciler.resources.bridge import Bridge
from reconciler.resources.container_file import ContainerFile
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.joined import Joined
from reconciler.resources.namespace import Namespace
from reconciler.resources.process import Process
from reconciler.resources.resolver import Registration, Resolver
from reconciler.state import Resource, State
from reconciler.views.containers import ContainerView, containers, details, render
from reconciler.views.homes import names
from tests.unit.views.somewhere import PATHS


def by_name(observation: Observation) -> dict[str, ContainerView]:
    return {view.container: view for view in containers(observation, PATHS)}


def test_a_running_container_is_shown_with_the_fields_of_the_contract(observation: Observation) -> None:
    assert json.loads(json.dumps(by_name(observation)["shop/web"].record())) == {
        "stack": "shop",
        "name": "web",
        "state": "running",
        "pid": 4242,
        "exit_code": None,
        "netns": "/run/netns/shop.web",
        "hosts_path": None,
        "resolv_conf_path": None,
        "hostname": "www.example",
        "network_mode": "bridge",
        "networks": [
            {
                "name": "shop_front",
                "interface": "eth2",
                "ipv4": "172.18.0.2/16",
                "ipv6": "fd00::2/64",
                "mac": "02:00:00:00:00:02",
                "gateway": "172.18.0.254",
                "aliases": [],
            },
            {
                "name": "data",
                "interface": "eth10",
                "ipv4": "172.19.0.2/16",
                "ipv6": None,
                "mac": "02:00:00:00:00:02",
                "gateway": "172.19.0.1",
                "aliases": [],
            },
        ],
        "ports": [
            {"host_ip": "0.0.0.0", "published": 8080, "target": 80, "protocol": "tcp"},
            {"host_ip": "::", "published": 8080, "target": 80, "protocol": "tcp"},
        ],
        "floating": [],
        "open": [],
    }


def test_ways_in_beside_published_ports(observation: Observation) -> None:
    more: list[Resource] = [
        FloatingPolicy("shop", "shop/web", "192.0.2.50", "172.18.0.2"),
        Opening("shop", "shop/box", "tcp", 80, 81, ("192.0.2.0/24",)),
    ]
    observation = replace(observation, state=observation.state.merged(State(more)))
    web, box = by_name(observation)["shop/web"], by_name(observation)["shop/box"]
    assert web.record()["floating"] == ("192.0.2.50",)
    assert json.loads(json.dumps(box.record()["open"])) == [
        {"ports": "80-81", "protocol": "tcp", "sources": ["192.0.2.0/24"]}
    ]
    said = render([web, box])
    assert "[::]:8080->80/tcp, 192.0.2.50->every port" in said
    assert "open 80-81/tcp from 192.0.2.0/24" in said


def test_an_ended_command_and_a_sandbox_are_told_apart(observation: Observation) -> None:
    views = by_name(observation)
    job, box = views["shop/job"], views["shop/box"]
    assert (job.state, job.pid, job.exit_code) == ("exited", None, 1)
    assert (box.state, box.pid, box.exit_code) == ("sandbox", None, None)
    assert (box.network_mode, box.networks, box.hostname) == ("none", (), "box")


def test_a_namespace_that_a_crash_left_unpinned_is_no_container() -> None:
    state = State([Namespace("shop", "shop/web", "", pinned=False)])
    assert names(state) == ()


def test_half_an_interface_pair_is_no_place_on_a_network() -> None:
    half = Endpoint("shop", "shop/web", "eth0", "", "", "", "02:00:00:00:00:02", "")
    other = Endpoint("shop", "shop/web", "", "nv-1", "shop_front", "na-front", "", "")
    state = State([Namespace("shop", "shop/web", ""), half, other])
    (view,) = containers(Observation(state), PATHS)
    assert (view.networks, view.network_mode) == ((), "none")


def test_a_command_in_another_network_says_whose() -> None:
    def process(container: str, namespace: str) -> Process:
        return Process(container.partition("/")[0], container, ("run",), namespace)

    own = process("shop/own", "shop/own")
    near = process("shop/near", "shop/web")
    far = process("shop/far", "blog/web")
    host = process("shop/host", "")
    views = by_name(Observation(State([own, near, far, host])))
    assert {view.name: (view.network_mode, view.netns) for view in views.values()} == {
        "own": ("none", "/run/netns/shop.own"),
        "near": ("container:web", "/run/netns/shop.web"),
        "far": ("container:blog/web", "/run/netns/blog.web"),
        "host": ("host", "/proc/1/ns/net"),
    }


def test_a_command_whose_definition_is_gone_is_not_taken_for_one_on_the_host() -> None:
    lost = Process("shop", "shop/web", (), fault="its definition is gone")
    (view,) = containers(Observation(State([lost])), PATHS)
    assert (view.network_mode, view.netns) == ("none", "/run/netns/shop.web")


def test_only_the_stacks_asked_for(observation: Observation) -> None:
    assert [view.container for view in containers(observation, PATHS, frozenset({"blog"}))] == ["blog/web"]
    assert len(containers(observation, PATHS)) == 4
    assert containers(observation, PATHS, frozenset({"nobody"})) == ()


def test_the_table_is_aligned_and_says_the_same(observation: Observation) -> None:
    assert render(containers(observation, PATHS)) == (
        "CONTAINER   STATE                ADDRESSES                                              PORTS\n"
        "blog/web    sandbox              172.18.0.9 on shop_front                               -\n"
        "shop/box    sandbox              -                                                      -\n"
        "shop/job    exited (1)           -                                                      -\n"
        "shop/web    running (pid 4242)   172.18.0.2 fd00::2 on shop_front, 172.19.0.2 on data   "
        "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp\n"
    )


def test_an_end_that_nobody_saw_is_called_unknown(observation: Observation) -> None:
    unseen = replace(observation, runtimes={"shop/job": Runtime(None, None)})
    assert "exited (unknown)" in render(containers(unseen, PATHS))


def test_inspect_names_the_variables_and_hides_their_values(observation: Observation) -> None:
    shown = details(observation, by_name(observation)["shop/web"])
    assert shown["kind"] == "container"
    assert shown["process"]["environment"] == ["KEY"]
    assert "canary" not in json.dumps(shown)
    assert details(observation, by_name(observation)["shop/box"])["process"] is None


def joined(container: str, namespace: str, *, pinned: bool = True) -> Joined:
    return Joined(container.partition("/")[0], container, namespace, "origin", pinned=pinned)


def hosts(container: str) -> list[ContainerFile]:
    owner, _, name = container.partition("/")
    return [ContainerFile(owner, container, "hosts", ""), ContainerFile(owner, container, "hostname", f"{name}.host\n")]


@pytest.mark.founding("S0-03")
def test_who_joined_another_shows_that_ones_places_and_none_of_its_ports(observation: Observation) -> None:
    more = State([joined("shop/side", "shop/web"), joined("blog/side", "shop/web"), *hosts("shop/web")])
    views = by_name(replace(observation, state=observation.state.merged(more)))
    web, side, far = views["shop/web"], views["shop/side"], views["blog/side"]
    assert side.networks == far.networks == web.networks != ()
    assert (side.ports, far.ports) == ((), ())
    assert (side.network_mode, far.network_mode) == ("container:web", "container:shop/web")
    # It has a name of its own for the same namespace.
    assert (side.netns, far.netns) == ("/run/netns/shop.side", "/run/netns/blog.side")
    assert side.hosts_path == web.hosts_path == "/run/netapply/7/files/shop/web/hosts"
    assert side.resolv_conf_path == "/run/netapply/7/files/shop/web/resolv.conf"
    assert side.hostname == "web.host"
    assert side.state == "sandbox"


def test_a_joiner_whose_name_is_lost_is_still_shown_where_it_stands(observation: Observation) -> None:
    more = State([joined("shop/side", "shop/web", pinned=False)])
    side = by_name(replace(observation, state=observation.state.merged(more)))["shop/side"]
    assert (side.netns, side.network_mode) == ("/run/netns/shop.web", "container:web")


def test_on_the_host_everything_is_the_hosts() -> None:
    state = State([joined("shop/web", ""), *hosts("shop/own"), joined("shop/own", "")])
    views = by_name(Observation(state, Facts(host_name="machine")))
    web, own = views["shop/web"], views["shop/own"]
    assert (web.network_mode, web.netns, web.hosts_path) == ("host", "/proc/1/ns/net", "/etc/hosts")
    assert (web.hostname, web.networks, web.state) == ("machine", (), "sandbox")
    # In host mode too a manifest may ask for files of its own.
    assert (own.hosts_path, own.hostname) == ("/run/netapply/7/files/shop/own/hosts", "own.host")


def test_in_a_namespace_that_is_not_ours_its_name_is_told() -> None:
    (view,) = containers(Observation(State([joined("shop/web", "netns:blue")])), PATHS)
    assert (view.network_mode, view.netns, view.hostname) == ("container:blue", "/run/netns/shop.web", "blue")


def test_aliases_are_the_other_names_on_that_network(observation: Observation) -> None:
    registrations = (
        Registration("shop_front", ("web", "www", "www.example"), ("172.18.0.2", "fd00::2")),
        Registration("data", ("web",), ("172.19.0.2",)),
    )
    more = State([Resolver("shop", "shop/web", registrations)])
    front, back = by_name(replace(observation, state=observation.state.merged(more)))["shop/web"].networks
    assert (front.aliases, back.aliases) == (("www", "www.example"), ())


@pytest.mark.founding("S3-08")
def test_inspect_shows_each_network_in_dockers_terms_too(observation: Observation) -> None:
    links = (("dedoimedo", ("172.18.0.9",)), ("gone", ("172.18.0.77",)))
    more = State([Resolver("shop", "shop/web", (Registration("shop_front", ("web",), ()),), links)])
    seen = replace(observation, state=observation.state.merged(more))
    front, back = details(seen, by_name(seen)["shop/web"])["networks"]
    assert front == {
        "name": "shop_front",
        "interface": "eth2",
        "ipv4": "172.18.0.2/16",
        "ipv6": "fd00::2/64",
        "mac": "02:00:00:00:00:02",
        "gateway": "172.18.0.254",
        "aliases": (),
        "ipam_config": {"ipv4_address": "172.18.0.2", "ipv6_address": "fd00::2"},
        "network_id": "shop/front",
        "endpoint_id": "nv-1",
        "ip_address": "172.18.0.2",
        "ip_prefix_len": 16,
        "ipv4_gateway": "172.18.0.254",
        "ipv6_gateway": "fd00::fe",
        "global_ipv6_address": "fd00::2",
        "global_ipv6_prefix_len": 64,
        "mac_address": "02:00:00:00:00:02",
        "driver_opts": {"bridge": "na-front", "mtu": "1500"},
        "links": ["blog/web:dedoimedo"],
    }
    assert (back["global_ipv6_address"], back["global_ipv6_prefix_len"], back["ipv6_gateway"]) == ("", 0, "")
    assert back["links"] == []


def test_on_the_hosts_own_network_a_container_stands_on_bridge() -> None:
    state = State(
        [
            Bridge("host", "host/bridge", "bridge", "na-bridge", "02:00:00:00:00:01", ""),
            Address("host", "host/bridge", "", "na-bridge", "172.17.0.1/16"),
            Namespace("shop", "shop/web", ""),
            Endpoint("shop", "shop/web", "eth0", "nv-1", "bridge", "na-bridge", "02:00:00:00:00:02", ""),
            Address("shop", "shop/web", "shop/web", "eth0", "172.17.0.2/16"),
            PublishedPort("shop", "shop/web", "tcp", "0.0.0.0", 8080, "172.17.0.2", 80),
        ]
    )
    (view,) = containers(Observation(state), PATHS)
    assert (view.network_mode, [each.name for each in view.networks]) == ("bridge", ["bridge"])
    (shown,) = details(Observation(state), view)["networks"]
    assert (shown["network_id"], shown["gateway"]) == ("bridge", "172.17.0.1")
