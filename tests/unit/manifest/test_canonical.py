"""The canonical form: complete, valid input, idempotent, without secrets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from reconciler.manifest import load
from reconciler.manifest.canonical import canonical, render

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import LoadText

TEXT = """
name: shop
services:
  web:
    command: "echo $$HOME '${X:-a b}'"
    environment: {PASSWORD: c4nary, $N: c4nary}
    working_dir: /srv
    user: 1000
    rootfs: /srv/root
    hostname: www
    domainname: example.org
    sysctls: [net.core.somaxconn=9]
    expose: [80, 53/udp]
    ports: ["8080:80", 22:22, "80-82:90/udp", "[::1]:1-2:3-4", 9]
    networks:
      front: {ipv4_address: 10.1.0.5, aliases: [w], gw_priority: 2, mac_address: "10:20:30:40:50:59",
              driver_opts: {com.docker.network.endpoint.sysctls: "net.ipv4.conf.IFNAME.rp_filter=0"}}
      shared:
  app: {network_mode: "service:web"}
  lone:
networks:
  front:
    enable_ipv6: true
    ipam: {config: [{subnet: 10.1.0.0/24, gateway: 10.1.0.9, ip_range: 10.1.0.128/25, aux_addresses: {a: 10.1.0.2}}]}
    driver_opts: {com.docker.network.driver.mtu: 1400, com.docker.network.bridge.trusted_host_interfaces: "a:b"}
  shared: {external: true, name: other_net}
"""


def test_it_is_valid_input_and_idempotent(load_text: LoadText) -> None:
    manifest = load_text(TEXT, name=None)
    text = render(manifest)
    again = load(["-"], environment={"HOME": "wrong", "N": "wrong"}, stdin=text)
    assert render(again) == text
    assert canonical(again) == canonical(manifest)
    assert again.networks == manifest.networks
    for before, after in zip(manifest.containers, again.containers, strict=True):
        hidden = tuple((name, "(hidden)") for name, _ in before.environment)
        assert after.environment == hidden
        assert (after.command, after.ports, after.attachments) == (before.command, before.ports, before.attachments)


def test_no_environment_value_is_shown(load_text: LoadText) -> None:
    manifest = load_text(TEXT)
    assert "c4nary" not in render(manifest) + json.dumps(canonical(manifest))
    assert canonical(manifest)["containers"]["web"]["environment"] == {"PASSWORD": "(hidden)", "$N": "(hidden)"}


def test_long_forms_and_defaults(load_text: LoadText) -> None:
    document = canonical(load_text("containers: {web: {ports: [8080:80]}}"))
    assert document["name"] == "test"
    assert document["containers"]["web"] == {
        "networks": {"default": {"gw_priority": 0, "priority": 0}},
        "ports": [{"target": 80, "published": "8080", "protocol": "tcp"}],
    }
    assert document["networks"]["default"]["name"] == "test_default"
    assert document["networks"]["default"]["driver"] == "bridge"
    assert document["networks"]["default"]["driver_opts"]["com.docker.network.bridge.enable_icc"] == "true"


words = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Cn"]), max_size=12).map(str.strip)


@given(command=st.lists(words, min_size=1), hostname=st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True))
def test_any_text_survives(command: list[str], hostname: str) -> None:
    source = {
        "name": "t",
        "containers": {"a": {"command": [w.replace("$", "$$") for w in command], "hostname": hostname}},
    }
    first = load(["-"], environment={}, stdin=json.dumps(source, ensure_ascii=False))
    again = load(["-"], environment={}, stdin=render(first))
    assert again.containers[0].command == tuple(command)
    assert again.containers[0].hostname == hostname
