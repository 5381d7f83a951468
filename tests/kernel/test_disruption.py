"""What a plan says of connections that there are is what becomes of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.kernel.changes import worst
from tests.kernel.lab import Connection, Host, Lab, Machine

STACK = """
name: shop
networks:
  front: {ipam: {config: [{subnet: 172.30.1.0/24}]}, allow: [{network: back, ports: [80, 81]}]}
  back: {ipam: {config: [{subnet: 172.30.2.0/24}]}}
containers:
  web: {networks: {front: {ipv4_address: 172.30.1.10}}}
  app: {networks: {front: {ipv4_address: 172.30.1.11}}}
  db: {networks: {back: {ipv4_address: 172.30.2.12}}}
"""
FRONT = "{ipam: {config: [{subnet: 172.30.1.0/24}]}, "
WEB = "front: {ipv4_address: 172.30.1.10"
BLACKHOLE = "{to: 192.0.2.0/24, type: blackhole}"
CUT = "connections reset"


@dataclass
class World:
    """The stack up, and machines to connect to."""

    host: Host
    outside: Machine

    def connections(self) -> dict[str, Connection]:
        """From web to everybody else, new ones each time."""
        web = self.host.container("web")
        return {
            "outside": web.connect(self.outside.ipv4, 80),
            "app": web.connect("172.30.1.11", 80),
            "db": web.connect("172.30.2.12", 80),
        }


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    lab = Lab(tmp_path_factory.mktemp("disruption"))
    try:
        host, outside = lab.host(), lab.machine("outside")
        host.run(["ip", "address", "add", "192.0.2.61/24", "dev", "eth0"])
        host.write("stack.yaml", STACK)
        host.netapply("up", "stack.yaml")
        for machine in (outside, host.container("app"), host.container("db")):
            machine.serve(80, protocols=["tcp"])
        yield World(host, outside)
    finally:
        lab.close()


@pytest.fixture
def world(standing: World) -> Iterator[World]:
    yield standing
    standing.host.write("stack.yaml", STACK)
    standing.host.netapply("up", "stack.yaml")


@pytest.mark.parametrize(
    ("old", "new", "said", "cut"),
    [
        pytest.param("[80, 81]", "[81]", CUT, {"db"}, id="allow-narrowed"),
        pytest.param(", allow: [{network: back, ports: [80, 81]}]", "", CUT, {"db"}, id="allow-removed"),
        pytest.param("{network: back, ports: [80, 81]}", "back", "none", set(), id="allow-widened"),
        pytest.param(
            FRONT,
            f'{FRONT}driver_opts: {{com.docker.network.bridge.enable_icc: "false"}}, ',
            CUT,
            {"app"},
            id="icc-off",
        ),
        pytest.param(FRONT, f"{FRONT}internal: true, ", CUT, {"outside"}, id="internal"),
        pytest.param(WEB, f"{WEB}, routes: [{BLACKHOLE}]", CUT, {"outside"}, id="blackhole"),
        pytest.param("web: {", "web: {floating_ip: 192.0.2.60, ", CUT, {"outside"}, id="floating"),
        pytest.param("web: {", "web: {egress_ip: 192.0.2.61, ", CUT, {"outside"}, id="egress"),
        pytest.param("app: {", 'app: {ports: ["8080:80"], ', "none", set(), id="a-port-more"),
    ],
)
def test_what_is_cut_is_said(world: World, old: str, new: str, said: str, cut: set[str]) -> None:
    held = world.connections()
    assert all(each.alive() for each in held.values())
    assert old in STACK
    world.host.write("stack.yaml", STACK.replace(old, new, 1))
    assert worst(world.host.plan("stack.yaml")) == said
    world.host.netapply("up", "stack.yaml")
    assert {name for name, each in held.items() if not each.alive(0.5)} == cut
