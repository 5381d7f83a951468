"""One change in the manifest is the smallest change in the kernel: nobody else's connection notices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernel.changes import named, worst
from tests.kernel.lab import Connection, Host, Lab, Machine

SHOP = """
name: shop
networks:
  front:
    ipam: {config: [{subnet: 172.30.1.0/24}]}
    driver_opts: {com.docker.network.bridge.name: brfront}
  back:
    ipam: {config: [{subnet: 172.30.2.0/24}]}
    driver_opts: {com.docker.network.bridge.name: brback}
containers:
  web:
    networks:
      front: {ipv4_address: 172.30.1.10}
    ports: ["8080:80", "8081:81"]
  app:
    networks:
      front: {ipv4_address: 172.30.1.11}
      back: {ipv4_address: 172.30.2.11}
    command: [sleep, "600"]
  database:
    networks:
      back: {ipv4_address: 172.30.2.12}
"""


@dataclass
class World:
    """The stack up, with a connection from outside to ``web`` and one from ``app`` to the database."""

    host: Host
    outside: Machine
    pins: dict[str, Path]
    through_port: Connection
    between: Connection

    def change(self, *pairs: tuple[str, str]) -> tuple[list[str], str]:
        """Change the manifest, plan and run it: what the plan named, and its worst disruption."""
        text = SHOP
        for old, new in pairs:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        self.host.write("stack.yaml", text)
        changes = self.host.plan("stack.yaml")
        self.host.netapply("up", "stack.yaml")
        assert self.host.plan("stack.yaml") == []
        return named(changes), worst(changes)


def identities(pins: dict[str, Path]) -> dict[str, int]:
    return {name: path.stat().st_ino for name, path in pins.items()}


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    lab = Lab(tmp_path_factory.mktemp("live"))
    try:
        host, outside = lab.host(), lab.machine("outside")
        host.write("stack.yaml", SHOP)
        host.netapply("up", "stack.yaml")
        pins = {each["name"]: Path(each["netns"]) for each in host.ps()}
        Machine(lab, "web", pins["web"]).serve(80, 81)
        Machine(lab, "database", pins["database"]).serve(5432)
        through = outside.connect(host.ipv4, 8080)
        between = Machine(lab, "app", pins["app"]).connect("172.30.2.12", 5432)
        yield World(host, outside, pins, through, between)
    finally:
        lab.close()


@pytest.fixture
def world(standing: World) -> Iterator[World]:
    """Afterwards both connections live, every namespace is the same, and the file is as it was."""
    before = identities(standing.pins)
    yield standing
    assert standing.through_port.alive()
    assert standing.between.alive()
    assert identities(standing.pins) == before
    standing.host.write("stack.yaml", SHOP)
    standing.host.netapply("up", "stack.yaml")
    assert standing.host.plan("stack.yaml") == []
    assert standing.through_port.alive()
    assert standing.between.alive()
    assert identities(standing.pins) == before


def test_one_more_port(world: World) -> None:
    found = world.change(('"8081:81"', '"8081:81", "8082:81"'))
    assert found == (["create port shop/web:0.0.0.0:8082/tcp"], "none")
    assert world.outside.ask(world.host.ipv4, 8082) is not None


def test_another_host_port(world: World) -> None:
    found = world.change(('"8081:81"', '"9081:81"'))
    assert found == (["update port shop/web:0.0.0.0:9081/tcp"], "none")
    assert world.outside.ask(world.host.ipv4, 9081) is not None
    assert world.outside.ask(world.host.ipv4, 8081, timeout=0.3) is None


def test_another_target_port(world: World) -> None:
    names, _ = world.change(('"8081:81"', '"8081:80"'))
    assert names == ["update port shop/web:0.0.0.0:8081/tcp"]
    answer = world.outside.ask(world.host.ipv4, 8081)
    assert answer is not None


def test_a_port_less_cuts_only_what_went_through_it(world: World) -> None:
    cut = world.outside.connect(world.host.ipv4, 8081)
    names, worst_class = world.change((', "8081:81"', ""))
    assert (names, worst_class) == (["delete port shop/web:0.0.0.0:8081/tcp"], "connections reset")
    assert not cut.alive(0.5)


def test_ports_swapped_between_two_targets(world: World) -> None:
    names, _ = world.change(
        ('ports: ["8080:80", "8081:81"]', 'ports: ["8080:80"]'),
        ('command: [sleep, "600"]', 'command: [sleep, "600"]\n    ports: ["8081:81"]'),
    )
    assert len(names) == 2
    answer = Machine(world.host.lab, "app", world.pins["app"]).serve(81)
    heard = world.outside.ask(world.host.ipv4, 8081)
    assert heard is not None
    assert heard.name == "app"
    answer.close()


def test_a_container_joins_a_network(world: World) -> None:
    names, worst_class = world.change(
        (
            "      front: {ipv4_address: 172.30.1.10}\n",
            "      front: {ipv4_address: 172.30.1.10}\n      back: {ipv4_address: 172.30.2.10}\n",
        )
    )
    assert "create link shop/web:eth1" in names
    assert not any(name.startswith("delete") for name in names)
    assert worst_class == "none"
    assert Machine(world.host.lab, "web", world.pins["web"]).ask("172.30.2.12", 5432) is not None


def test_a_container_leaves_a_network(world: World) -> None:
    names, _ = world.change(("      front: {ipv4_address: 172.30.1.11}\n", ""))
    assert "delete link shop/app:eth1" in names
    assert not any("web" in name or "database" in name for name in names)


def test_another_address(world: World) -> None:
    names, _ = world.change(("ipv4_address: 172.30.1.11", "ipv4_address: 172.30.1.21"))
    # Whoever asks for its name gets the new one.
    assert names == [
        "create address shop/app:eth1 172.30.1.21/24",
        "delete address shop/app:eth1 172.30.1.11/24",
        "update agent shop/app:names",
        "update file shop/app:hosts",
    ]
    app = Machine(world.host.lab, "app", world.pins["app"])
    server = app.serve(70)
    assert world.host.ask("172.30.1.21", 70) is not None
    assert world.host.ask("172.30.1.11", 70, timeout=0.3) is None
    server.close()


def test_an_alias_and_an_exposed_port_change_nothing_in_the_kernel(world: World) -> None:
    names, worst_class = world.change(
        ("{ipv4_address: 172.30.2.12}", "{ipv4_address: 172.30.2.12, aliases: [db]}\n    expose: ['5432']")
    )
    assert (names, worst_class) == (["update agent shop/database:names"], "none")


def test_a_container_more_and_less(world: World) -> None:
    names, worst_class = world.change(("  database:\n", "  extra: {networks: [front, back]}\n  database:\n"))
    assert worst_class == "none"
    assert all("shop/extra" in name for name in names)


def test_another_environment_restarts_that_command_only(world: World) -> None:
    (app,) = [each for each in world.host.ps() if each["name"] == "app"]
    names, worst_class = world.change(('command: [sleep, "600"]', 'command: [sleep, "600"]\n    environment: {A: b}'))
    assert set(names) <= {
        "create process shop/app:command",
        "delete process shop/app:command",
        "update process shop/app:command",
    }
    assert names
    assert worst_class == "recreate"
    (after,) = [each for each in world.host.ps() if each["name"] == "app"]
    assert after["pid"] != app["pid"]


@pytest.mark.founding("S3-13", "S4-31")
def test_a_network_more(world: World) -> None:
    names, worst_class = world.change(
        ("  back:\n    ipam", "  third: {}\n  back:\n    ipam"),
        ("      back: {ipv4_address: 172.30.2.12}", "      back: {ipv4_address: 172.30.2.12}\n      third: {}"),
    )
    assert worst_class == "none"
    assert any("shop/third" in name for name in names)
    assert not any(name.startswith("delete") for name in names)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{config: [{subnet: 172.30.1.0/24}]}\n", "{config: [{subnet: 172.30.1.0/24}]}\n    internal: false\n"),
        ("bridge.name: brback}", "bridge.name: brback, com.docker.network.bridge.enable_icc: 'true'}"),
    ],
    ids=["internal: false", "icc on"],
)
def test_what_is_default_already_changes_nothing(world: World, old: str, new: str) -> None:
    assert world.change((old, new)) == ([], "none")


def test_another_mtu_is_set_in_place(world: World) -> None:
    names, _ = world.change(("bridge.name: brfront}", "bridge.name: brfront, com.docker.network.driver.mtu: '1400'}"))
    assert names == ["update link shop/app:eth1", "update link shop/front:brfront", "update link shop/web:eth0"]


def test_a_changed_subnet_keeps_the_namespaces(lab: Lab) -> None:
    host, outside = lab.host(), lab.machine("outside")
    host.write("stack.yaml", SHOP)
    host.netapply("up", "stack.yaml")
    pins = {each["name"]: Path(each["netns"]) for each in host.ps()}
    before = identities(pins)
    (app,) = [each for each in host.ps() if each["name"] == "app"]
    Machine(lab, "web", pins["web"]).serve(80)
    Machine(lab, "database", pins["database"]).serve(5432)
    kept = Machine(lab, "app", pins["app"]).connect("172.30.2.12", 5432)
    host.write("stack.yaml", SHOP.replace("172.30.1.", "172.30.9."))
    assert not any("namespace" in name or "process" in name for name in named(host.plan("stack.yaml")))
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []
    assert identities(pins) == before
    assert [each["pid"] for each in host.ps() if each["name"] == "app"] == [app["pid"]]
    assert kept.alive()
    assert outside.ask(host.ipv4, 8080) is not None
    assert host.container("web").ipv4 == "172.30.9.10"
    assert host.ask("172.30.9.10", 80) is not None


def test_another_mac_is_known_at_once(lab: Lab) -> None:
    """To the host, and so to who comes by a port, and to the neighbours; by themselves they would take 45 s."""
    host, outside = lab.host(), lab.machine("outside")
    text = """name: shop
networks: {front: {enable_ipv6: true}}
containers:
  web: {ports: ["8080:80"], networks: {front: {mac_address: "02:42:ac:1c:00:0a"}}}
  app: {networks: [front]}
"""
    host.write("stack.yaml", text)
    host.netapply("up", "stack.yaml")
    web, app = host.container("web"), host.container("app")
    web.serve(80)

    def answers() -> list[bool]:
        ways = [(outside, host.ipv4, 8080), (outside, host.ipv6, 8080), (app, web.ipv4, 80), (app, web.ipv6, 80)]
        return [each is not None for each in lab.ask_all([(*way, "tcp") for way in ways], timeout=5)]

    assert answers() == [True] * 4
    host.write("stack.yaml", text.replace("00:0a", "00:0b"))
    host.netapply("up", "stack.yaml")
    assert answers() == [True] * 4
    assert host.plan("stack.yaml") == []


REUSED = """
name: reused
networks: {n: {enable_ipv6: true, ipam: {config: [{subnet: 172.30.9.0/24}, {subnet: "fd30:9::/64"}]}}}
containers:
  asker: {networks: [n]}
  one: {networks: {n: {ipv4_address: 172.30.9.10, ipv6_address: "fd30:9::10"}}}
  two: {networks: {n: {ipv4_address: 172.30.9.11, ipv6_address: "fd30:9::11"}}}
"""


def test_who_gets_an_address_that_another_had_is_found_at_once(lab: Lab) -> None:
    """The host and the neighbours remember a MAC for most of a minute."""
    host = lab.host()
    swapped = REUSED.replace(".10,", ".99,").replace(".11,", ".10,").replace(".99,", ".11,")
    swapped = swapped.replace('::10"', '::99"').replace('::11"', '::10"').replace('::99"', '::11"')
    without = "\n".join(line for line in REUSED.splitlines() if " one:" not in line) + "\n"
    again = without + "  heir: " + REUSED.split("  one: ")[1].splitlines()[0] + "\n"
    for text, name in ((REUSED, "one"), (swapped, "two"), (without, ""), (again, "heir")):
        host.write("stack.yaml", text)
        host.netapply("up", "stack.yaml")
        if name:
            host.container(name).serve(80, name=name, protocols=["tcp"])
        for asker in (host, host.container("asker")) if name else ():
            for address in ("172.30.9.10", "fd30:9::10"):
                answer = asker.ask(address, 80, timeout=5)
                assert answer is not None, (name, address)
                assert answer.name == name
