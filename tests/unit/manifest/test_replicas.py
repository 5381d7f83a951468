"""``scale`` and ``deploy.replicas``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.manifest import load
from reconciler.manifest.canonical import canonical, render
from reconciler.manifest.model import Link, PortMapping
from tests.corpus.outcomes import is_same

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import FaultsOf, LoadText


@pytest.mark.founding("S2-29")
@pytest.mark.parametrize("count", ["scale: 3", "deploy: {replicas: 3}", "scale: 3, deploy: {replicas: '${N:-3}'}"])
def test_host_ports_are_dealt_out_in_order(load_text: LoadText, count: str) -> None:
    """S2-29: 81:80, 82:80, 83:80 from one line."""
    manifest = load_text(f"""\
        containers:
          web: {{{count}, ports: ["81-83:80", "127.0.0.1::9", "90-99:90/udp"], networks: {{n: {{aliases: [web, w]}}}}}}
        networks: {{n: }}
    """)
    assert [each.name for each in manifest.containers] == ["web-1", "web-2", "web-3"]
    assert {each.service for each in manifest.containers} == {"web"}
    assert [each.ports for each in manifest.containers] == [
        (
            PortMapping(80, (81 + number, 81 + number)),
            PortMapping(9, None, "127.0.0.1"),
            PortMapping(90, (90 + number, 90 + number), protocol="udp"),
        )
        for number in range(3)
    ]
    assert {each.attachments[0].aliases for each in manifest.containers} == {("w", "web")}
    assert str(manifest.containers[2].source) == "a.yaml:2:3"
    document = canonical(manifest)["containers"]
    assert list(document) == ["web"]
    assert document["web"]["deploy"] == {"replicas": 3}
    assert is_same(manifest, load(["-"], environment={}, stdin=render(manifest)))


def test_one_keeps_its_name_and_none_is_not_there(load_text: LoadText) -> None:
    manifest = load_text("containers: {a: {scale: 1, ports: ['81-83:80']}, b: {deploy: {replicas: 0}}, c: {deploy: }}")
    assert [(each.name, each.service) for each in manifest.containers] == [("a", None), ("c", None)]
    assert manifest.containers[0].ports == (PortMapping(80, (81, 83)),)
    assert manifest.containers[0].attachments[0].aliases == ()


def test_a_link_to_several_leads_to_all_of_them(load_text: LoadText) -> None:
    manifest = load_text("containers: {web: {scale: 2}, a: {links: [web, 'web:x']}}")
    assert manifest.containers[2].links == (
        Link("web-1", "web"),
        Link("web-2", "web"),
        Link("web-1", "x"),
        Link("web-2", "x"),
    )
    assert is_same(manifest, load(["-"], environment={}, stdin=render(manifest)))


@pytest.mark.parametrize(
    ("written", "place", "message", "hint"),
    [
        ("scale: 2, ports: ['80:80']", 36, "host port 80 for 2 containers", "write 80-81:80"),
        ("scale: 3, ports: ['80-81:80']", 36, "host ports 80-81 for 3 containers", "write 80-82:80"),
        ("scale: 2, ports: ['80-81:80-81']", 36, "host port 80 for 2 containers", "write 80-81:80"),
        ("scale: 2, networks: {default: {ipv4_address: 10.1.0.9}}", 63, "'ipv4_address' is one container's", ""),
        ("scale: 2, mac_address: '02:00:00:00:00:01'", 41, "'mac_address' is one container's", ""),
        ("scale: 2, networks: {default: {mac_address: '02:00:00:00:00:01'}}", 62, "'mac_address' is one", ""),
        ("scale: 2, networks: {default: {link_local_ips: [169.254.1.1]}}", 49, "'link_local_ips' is one", ""),
        ("scale: 2, floating_ip: 192.0.2.50", 41, "leads to one container, but 'a' is 2", ""),
        ("scale: 2, container_name: x", 44, "container_name 'x' is one name, but there are 2", "a-1 to a-2"),
        ("scale: 2, deploy: {replicas: 3}", 25, "scale 2 of container 'a' and deploy.replicas 3 at", "remove one"),
        ("scale: -1", 25, "-1 containers are not possible", "0 to 1000"),
        ("deploy: {replicas: 1001}", 37, "1001 containers are not possible", "0 to 1000"),
        ("scale: two", 25, "'scale' takes a whole number, not 'two'", ""),
        ("deploy: {replcas: 2}", 27, "unknown key 'replcas'", "did you mean 'replicas'?"),
        ("scale: 2, links: [a]", 36, "container 'a' links to itself", ""),
    ],
)
def test_what_only_one_can_have(faults_of: FaultsOf, written: str, place: int, message: str, hint: str) -> None:
    fault = faults_of(
        f"containers: {{a: {{{written}}}}}\nnetworks: {{default: {{ipam: {{config: [{{subnet: 10.1.0.0/24}}]}}}}}}"
    )[0]
    assert message in fault.message
    assert hint in fault.hint
    assert str(fault.source) == f"a.yaml:1:{place}"


def test_one_fault_is_not_repeated_for_each_replica(faults_of: FaultsOf) -> None:
    faults = faults_of("""\
        containers:
          a: {scale: 3, floating_ip: 192.0.2.50, ports: ["80:80"], networks: {n: {ipv4_address: 10.1.0.9}}}
        networks: {n: {ipam: {config: [{subnet: 10.1.0.0/24}]}}}
    """)
    assert len(faults) == 3


def test_a_replicas_name_may_be_taken(faults_of: FaultsOf) -> None:
    (fault,) = faults_of("containers: {a: {scale: 2}, a-2: }")
    assert fault.message == "container 'a-2' is also the name of a replica of 'a' at a.yaml:1:14"


def test_a_subnet_must_have_room_for_all_replicas(faults_of: FaultsOf) -> None:
    (fault,) = faults_of("containers: {a: {scale: 9}}\nnetworks: {default: {ipam: {config: [{subnet: 10.1.0.0/29}]}}}")
    assert "has 9 containers without a fixed address" in fault.message
