"""Containers: networks, modes, process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.manifest.model import Attachment, Container, Network, PortMapping

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.manifest.conftest import LoadText


def test_everything_a_container_can_say(load_text: LoadText, tmp_path: Path) -> None:
    manifest = load_text("""
        services:
          web:
            command: python3 -m http.server --bind 'two words'
            environment: {A: 1.10, B: true, C: , D: "", E: 017}
            working_dir: /srv
            user: 1000:1000
            rootfs: images/web
            hostname: www
            domainname: example.org
            sysctls: [net.ipv4.ip_unprivileged_port_start=0, net.core.somaxconn]
            expose: [80, "3000-3005/udp", 80/tcp]
            ports: [8080:80]
            networks:
              front:
                aliases: [www, site]
                ipv4_address: 10.1.0.5
                mac_address: 02-42-AC-11-00-05
                interface_name: web0
                gw_priority: 10
              back:
        networks:
          front: {ipam: {config: [{subnet: 10.1.0.0/24}]}}
          back:
    """)
    assert manifest.containers == (
        Container(
            name="web",
            hostname="www",
            domainname="example.org",
            attachments=(
                Attachment("front", ("www", "site"), "10.1.0.5", None, "02:42:ac:11:00:05", "web0", 10),
                Attachment("back"),
            ),
            ports=(PortMapping(80, (8080, 8080)),),
            expose=("80/tcp", "3000-3005/udp"),
            command=("python3", "-m", "http.server", "--bind", "two words"),
            environment=(("A", "1.10"), ("B", "true"), ("D", ""), ("E", "017")),
            working_dir="/srv",
            user="1000:1000",
            rootfs=str(tmp_path / "images/web"),
            sysctls=(("net.ipv4.ip_unprivileged_port_start", "0"), ("net.core.somaxconn", "")),
        ),
    )
    assert str(manifest.containers[0].source) == "a.yaml:3:3"
    assert str(manifest.containers[0].ports[0].source) == "a.yaml:13:13"
    assert (manifest.stack, manifest.named, manifest.origin) == ("test", True, str(tmp_path / "a.yaml"))


@pytest.mark.parametrize("networks", ["", "networks: ", "networks: {}", "networks: []", "networks: [default]"])
def test_without_networks_the_default_one_is_joined(load_text: LoadText, networks: str) -> None:
    manifest = load_text(f"containers: {{web: {{{networks}}}}}")
    assert manifest.containers[0].attachments == (Attachment("default"),)
    assert manifest.networks == (Network("default", "test_default"),)


def test_the_default_network_is_there_only_if_used_and_can_be_described(load_text: LoadText) -> None:
    assert load_text("containers: {a: {networks: [n]}}\nnetworks: {n: }").networks == (Network("n", "test_n"),)
    (network,) = load_text("containers: {a: }\nnetworks: {default: {internal: true}}").networks
    assert network == Network("default", "test_default", internal=True)


def test_list_and_map_form_mean_the_same(load_text: LoadText) -> None:
    first = load_text("""
        containers: {a: {networks: [m, n], environment: [A=1, B=, C], sysctls: [net.x=1], command: [a, b c]}}
        networks: {m: , n: }
    """)
    second = load_text("""
        services: {a: {networks: {m: , n: {}}, environment: {A: 1, B: "", C: }, sysctls: {net.x: 1}, command: a 'b c'}}
        networks: {m: , n: }
    """)
    assert first.containers == second.containers


def test_containers_and_services_together(load_text: LoadText) -> None:
    manifest = load_text("containers: {a: }\nservices: {b: }")
    assert [container.name for container in manifest.containers] == ["a", "b"]


def test_environment_without_value_comes_from_outside(load_text: LoadText) -> None:
    manifest = load_text("containers: {a: {environment: [A, B, C=]}}", A="outer")
    assert manifest.containers[0].environment == (("A", "outer"), ("C", ""))


@pytest.mark.founding("S2-01")
@pytest.mark.parametrize("mode", ["none", "host", "bridge", "service:b", "container:other", "container:called"])
def test_network_modes(load_text: LoadText, mode: str) -> None:
    manifest = load_text(f"containers: {{a: {{network_mode: '{mode}'}}, b: {{container_name: called}}}}")
    assert manifest.containers[0].attachments == ()
    assert manifest.containers[0].network_mode == ("service:b" if mode == "container:called" else mode)


def test_container_name_is_one_more_alias(load_text: LoadText) -> None:
    manifest = load_text("containers: {a: {container_name: shop-a, networks: {default: {aliases: [x]}}}}")
    assert manifest.containers[0].name == "a"
    assert manifest.containers[0].attachments[0].aliases == ("x", "shop-a")


def test_the_old_place_of_the_mac_address_is_the_network_joined_first(load_text: LoadText) -> None:
    manifest = load_text("""
        containers: {a: {mac_address: 02:00:00:00:00:01, networks: {m: , n: {priority: 9}}}}
        networks: {m: , n: }
    """)
    assert [each.mac_address for each in manifest.containers[0].attachments] == [None, "02:00:00:00:00:01"]


def test_entrypoint_comes_before_the_command(load_text: LoadText) -> None:
    manifest = load_text("containers: {a: {entrypoint: [sh, -c], command: 'ls'}, b: {command: []}, c: {command: }}")
    assert [container.command for container in manifest.containers] == [("sh", "-c", "ls"), None, None]


def test_profiles(load_text: LoadText) -> None:
    text = "containers: {a: , b: {profiles: [debug, more]}, c: {profiles: [other]}}"
    assert [each.name for each in load_text(text).containers] == ["a"]
    assert [each.name for each in load_text(text, COMPOSE_PROFILES="x,debug").containers] == ["a", "b"]
    assert [each.name for each in load_text(text, COMPOSE_PROFILES="*").containers] == ["a", "b", "c"]


def test_an_environment_value_is_not_in_the_representation(load_text: LoadText) -> None:
    assert "c4nary" not in repr(load_text("containers: {a: {environment: {A: c4nary}}}"))
