"""What ``ps`` shows."""

from __future__ import annotations

import json
from dataclasses import replace

from reconciler.observation import Observation, Runtime
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.namespace import Namespace
from reconciler.resources.process import Process
from reconciler.state import State
from reconciler.views.containers import ContainerView, containers, details, names, render


def path(container: str) -> str:
    return f"/run/netns/{container.replace('/', '.')}" if container else "/proc/1/ns/net"


def by_name(observation: Observation) -> dict[str, ContainerView]:
    return {view.container: view for view in containers(observation, path)}


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
    }


def test_an_ended_command_and_a_sandbox_are_told_apart(observation: Observation) -> None:
    views = by_name(observation)
    job, box = views["shop/job"], views["shop/box"]
    assert (job.state, job.pid, job.exit_code) == ("exited", None, 1)
    assert (box.state, box.pid, box.exit_code) == ("sandbox", None, None)
    assert (box.network_mode, box.networks, box.hostname) == ("none", (), "box")


def test_a_namespace_that_a_crash_left_unpinned_is_no_container() -> None:
    state = State([Namespace("shop", "shop/web", "", pinned=False)])
    assert names(Observation(state)) == ()


def test_half_an_interface_pair_is_no_place_on_a_network() -> None:
    half = Endpoint("shop", "shop/web", "eth0", "", "", "", "02:00:00:00:00:02", "")
    other = Endpoint("shop", "shop/web", "", "nv-1", "shop_front", "na-front", "", "")
    state = State([Namespace("shop", "shop/web", ""), half, other])
    (view,) = containers(Observation(state), path)
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
    (view,) = containers(Observation(State([lost])), path)
    assert (view.network_mode, view.netns) == ("none", "/run/netns/shop.web")


def test_only_the_stacks_asked_for(observation: Observation) -> None:
    assert [view.container for view in containers(observation, path, frozenset({"blog"}))] == ["blog/web"]
    assert len(containers(observation, path)) == 4
    assert containers(observation, path, frozenset({"nobody"})) == ()


def test_the_table_is_aligned_and_says_the_same(observation: Observation) -> None:
    assert render(containers(observation, path)) == (
        "CONTAINER   STATE                ADDRESSES                                              PORTS\n"
        "blog/web    sandbox              172.18.0.9 on shop_front                               -\n"
        "shop/box    sandbox              -                                                      -\n"
        "shop/job    exited (1)           -                                                      -\n"
        "shop/web    running (pid 4242)   172.18.0.2 fd00::2 on shop_front, 172.19.0.2 on data   "
        "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp\n"
    )


def test_an_end_that_nobody_saw_is_called_unknown(observation: Observation) -> None:
    unseen = replace(observation, runtimes={"shop/job": Runtime(None, None)})
    assert "exited (unknown)" in render(containers(unseen, path))


def test_inspect_names_the_variables_and_hides_their_values(observation: Observation) -> None:
    shown = details(observation, by_name(observation)["shop/web"])
    assert shown["kind"] == "container"
    assert shown["process"]["environment"] == ["KEY"]
    assert "canary" not in json.dumps(shown)
    assert details(observation, by_name(observation)["shop/box"])["process"] is None
