"""A running container joins and leaves networks from the file: no restart, no connection cut (S3-17, S3-18)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.kernel.changes import named, worst
from tests.kernel.lab import Connection, Host, Lab, Machine

NETWORKS = """
name: shop
networks:
  middle: {ipam: {config: [{subnet: 172.30.2.0/24}, {subnet: "fd30:2::/64"}]}}
  alpha: {ipam: {config: [{subnet: 172.30.1.0/24}, {subnet: "fd30:1::/64"}]}}
  zeta: {ipam: {config: [{subnet: 172.30.3.0/24}, {subnet: "fd30:3::/64"}]}}
  four: {ipam: {config: [{subnet: 172.30.4.0/24}]}}
containers:
  database: {networks: [middle, alpha, zeta, four]}
"""
ADDRESS = {"alpha": "172.30.1", "middle": "172.30.2", "zeta": "172.30.3", "four": "172.30.4"}


class World:
    """``web`` runs a command on the network ``middle`` and talks to the database there, by IPv4 and IPv6."""

    host: Host
    outside: Machine
    web: Machine
    kept: Sequence[Connection] = ()

    def __init__(self, lab: Lab) -> None:
        self.host, self.outside = lab.host(), lab.machine("outside")
        self.outside.serve(80)
        self.host.write("stack.yaml", self._text("middle: {}"))
        self.host.netapply("up", "stack.yaml")
        self.web, self.database = self.host.container("web"), self.host.container("database")
        self.database.serve(5432)
        self.kept = [self.web.connect(address, 5432) for address in self.on("middle", "database")]
        self.pid, self.inode = self._pid(), self.web.path.stat().st_ino

    def connect(self, *entries: str) -> list[str]:
        """Have ``web`` on these networks: what the plan named. Whatever it was, nothing was disturbed."""
        self.host.write("stack.yaml", self._text(*entries))
        changes = self.host.plan("stack.yaml")
        assert not any(change["kind"] in {"process", "namespace"} for change in changes)
        self.host.netapply("up", "stack.yaml")
        # The order of networks must be the same when they are joined as when they were asked for.
        assert self.host.plan("stack.yaml") == []
        assert all(connection.alive() for connection in self.kept)
        assert (self._pid(), self.web.path.stat().st_ino) == (self.pid, self.inode)
        assert all(self.web.ask(address, 80) is not None for address in self.ways_out())
        moved = any(name.startswith("update route") for name in named(changes))
        if changes and not any(name.startswith("delete link") for name in named(changes)):
            assert worst(changes) == ("connections reset" if moved else "none")
        return named(changes)

    def on(self, network: str, name: str) -> list[str]:
        """The addresses of a container there."""
        found = next(each for each in self.host.ps() if each["name"] == name)
        place = next(each for each in found["networks"] if each["name"] == f"shop_{network}")
        return [place[key].partition("/")[0] for key in ("ipv4", "ipv6") if place[key]]

    def interfaces(self) -> dict[str, str]:
        """Interface names of ``web``, by the first three bytes of the IPv4 address."""
        shown = json.loads(self.web.run(["ip", "-j", "-4", "address"]).stdout)
        return {
            each["addr_info"][0]["local"].rpartition(".")[0]: each["ifname"] for each in shown if each["ifname"] != "lo"
        }

    def default(self, family: str = "-4") -> str:
        """The network that the one default route of a family leads through."""
        routes: list[dict[str, Any]] = json.loads(self.web.run(["ip", "-j", family, "route", "show", "default"]).stdout)
        assert len(routes) == 1
        interface = routes[0]["dev"]
        prefix = next(prefix for prefix, name in self.interfaces().items() if name == interface)
        return next(network for network, address in ADDRESS.items() if address == prefix)

    def ways_out(self) -> list[str]:
        """The neighbour's addresses, of the families that web has a default route of."""
        return [
            address
            for family, address in (("-4", self.outside.ipv4), ("-6", self.outside.ipv6))
            if self.web.run(["ip", family, "route", "show", "default"]).stdout
        ]

    def _pid(self) -> int:
        return int(next(each["pid"] for each in self.host.ps() if each["name"] == "web"))

    @staticmethod
    def _text(*entries: str) -> str:
        places = "".join(f"      {entry}\n" for entry in entries)
        return f'{NETWORKS}  web:\n    command: [sleep, "600"]\n    networks:\n{places}'


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    lab = Lab(tmp_path_factory.mktemp("connect"))
    try:
        yield World(lab)
    finally:
        lab.close()


@pytest.fixture
def world(standing: World) -> Iterator[World]:
    """Before and after each test ``web`` is on ``middle`` only."""
    yield standing
    standing.connect("middle: {}")


@pytest.mark.founding("S3-13", "S3-18")
def test_a_running_container_gets_a_second_interface(world: World) -> None:
    """S3-18; a name before that of the present network changes neither names nor the way out."""
    names = world.connect("middle: {}", "alpha: {}")
    assert "create link shop/web:eth1" in names
    assert not any(name.startswith(("delete", "update link", "update route")) for name in names)
    assert world.interfaces() == {"172.30.2": "eth0", "172.30.1": "eth1"}
    assert (world.default("-4"), world.default("-6")) == ("middle", "middle")
    for address in world.on("alpha", "database"):
        assert world.web.ask(address, 5432) is not None


def test_the_command_sees_the_new_interface(world: World) -> None:
    world.connect("middle: {}", "zeta: {}")
    seen = world.host.run(["nsenter", f"--net=/proc/{world.pid}/ns/net", "--", "ip", "-o", "link"]).stdout
    assert {"eth0", "eth1"} <= {line.split(":")[1].strip().partition("@")[0] for line in seen.splitlines()}


@pytest.mark.founding("S3-17")
def test_members_of_a_network_are_listed_as_they_come(world: World) -> None:
    """S3-17."""

    def members() -> set[str]:
        shown = world.host.netapply("network", "inspect", "shop_four", "--format", "json").stdout
        return {name for name in ("web", "database") if f'"{name}"' in shown or f"shop/{name}" in shown}

    assert members() == {"database"}
    world.connect("middle: {}", "four: {}")
    assert members() == {"database", "web"}


def test_the_default_route_goes_by_priority_in_both_families(world: World) -> None:
    world.connect("middle: {}", "zeta: {gw_priority: 5}")
    assert (world.default("-4"), world.default("-6")) == ("zeta", "zeta")
    world.connect("middle: {}", "zeta: {gw_priority: 5}", "alpha: {gw_priority: 9}")
    assert (world.default("-4"), world.default("-6")) == ("alpha", "alpha")
    world.connect("middle: {}", "zeta: {gw_priority: 5}", "alpha: {gw_priority: -1}")
    assert (world.default("-4"), world.default("-6")) == ("zeta", "zeta")
    assert world.interfaces() == {"172.30.2": "eth0", "172.30.3": "eth1", "172.30.1": "eth2"}


def test_the_default_route_moves_when_its_network_goes(world: World) -> None:
    world.connect("middle: {}", "zeta: {gw_priority: 5}", "alpha: {}")
    names = world.connect("middle: {}", "alpha: {}")
    assert "delete link shop/web:eth2" in names
    assert world.interfaces()["172.30.2"] == "eth0"
    assert world.default("-4") == world.default("-6")


def test_a_network_of_one_family_leads_that_family_only(world: World) -> None:
    world.connect("middle: {}", "four: {gw_priority: 5}")
    assert (world.default("-4"), world.default("-6")) == ("four", "middle")
    # And stays so: a third network of both families takes neither over.
    world.connect("middle: {gw_priority: 5}", "four: {gw_priority: 5}", "alpha: {}")
    assert (world.default("-4"), world.default("-6")) == ("four", "middle")


def test_interface_names_stay_when_one_in_between_goes(world: World) -> None:
    world.connect("middle: {}", "alpha: {}", "zeta: {}")
    before = world.interfaces()
    others = [world.web.connect(address, 5432) for address in world.on("zeta", "database")]
    world.connect("middle: {}", "zeta: {}")
    assert world.interfaces() == {prefix: name for prefix, name in before.items() if prefix != "172.30.1"}
    assert all(connection.alive() for connection in others)
    # The next one takes the name that is free.
    world.connect("middle: {}", "zeta: {}", "four: {}")
    assert world.interfaces()["172.30.4"] == before["172.30.1"]
    assert all(connection.alive() for connection in others)


def test_ipv6_comes_and_goes_with_a_network(host: Host, outside: Machine) -> None:
    """A sandbox without IPv6 gets it with the first network that has it; the connections of the other stay."""
    plain = NETWORKS + '  web: {command: [sleep, "600"], networks: {four: {}}}\n'
    both = NETWORKS + '  web: {command: [sleep, "600"], networks: {four: {}, alpha: {}}}\n'
    host.write("stack.yaml", plain)
    host.netapply("up", "stack.yaml")
    web, database = host.container("web"), host.container("database")
    database.serve(5432)
    outside.serve(80)
    place = next(each for each in host.ps() if each["name"] == "database")["networks"]
    address = next(each["ipv4"] for each in place if each["name"] == "shop_four").partition("/")[0]
    kept = web.connect(address, 5432)
    for text, expected in ((both, True), (plain, False), (both, True)):
        host.write("stack.yaml", text)
        host.netapply("up", "stack.yaml")
        assert host.plan("stack.yaml") == []
        assert kept.alive()
        assert (web.ask(outside.ipv6, 80, timeout=1 if expected else 0.3) is not None) == expected
        assert web.ask(outside.ipv4, 80) is not None
