"""From nothing to a stack and back to nothing, as a user would try it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.changes import assert_unchanged, lines, named
from tests.kernel.lab import Host, Lab, Machine

SHOP = """
name: shop
networks:
  front:
    enable_ipv6: true
    ipam:
      config:
        - subnet: 172.30.1.0/24
          gateway: 172.30.1.254
          ip_range: 172.30.1.64/26
          aux_addresses: {printer: 172.30.1.65}
        - subnet: fd30:1::/64
    driver_opts:
      com.docker.network.bridge.name: brfront
      com.docker.network.driver.mtu: "1400"
  back:
    internal: true
  other: {}
containers:
  web:
    hostname: www
    networks:
      front:
        ipv4_address: 172.30.1.10
        ipv6_address: fd30:1::10
        mac_address: 02:00:5e:10:00:01
        interface_name: front0
        gw_priority: 1
      back: {}
    ports: ["8080:80", "8081:81"]
    sysctls:
      net.ipv4.ip_unprivileged_port_start: "70"
    command: [sleep, "600"]
  app:
    networks: [back]
  pair1:
    networks: [other]
  pair2:
    networks: [other]
"""


def json_of(machine: Machine, *command: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(machine.run(["ip", "-j", *command]).stdout)
    return [each for each in found if each]


@pytest.fixture
def files(host: Host) -> Iterator[None]:
    """The manifest in place; afterwards the host is as it was before."""
    host.write("stack.yaml", SHOP)
    before = host.snapshot()
    yield
    assert_unchanged(before, host.snapshot())


@pytest.mark.founding("S1-32", "S1-51")
def test_up_twice_change_one_port_down(host: Host, outside: Machine, files: None) -> None:
    host.netapply("up", "stack.yaml")
    assert host.netapply("up", "stack.yaml").stdout == "Nothing to do.\n"
    assert host.plan("stack.yaml") == []
    server = host.container("web").serve(80, 81)
    kept = outside.connect(host.ipv4, 8080)
    assert outside.ask(host.ipv4, 8081) is not None

    host.write("stack.yaml", SHOP.replace("8081:81", "9081:81"))
    (line, *more) = lines(host, "stack.yaml")
    # One for each address family of the network.
    assert len(more) == 1
    assert "9081" in line
    changes = [change for change in host.plan("stack.yaml") if change["kind"] == "port"]
    assert {change["disruption"] for change in changes} == {"none"}
    host.netapply("up", "stack.yaml")
    assert kept.alive()
    assert outside.ask(host.ipv4, 9081) is not None
    assert outside.ask(host.ipv4, 8081, timeout=0.3) is None
    assert host.plan("stack.yaml") == []

    server.close()
    kept.close()
    host.netapply("down", "stack.yaml")
    assert host.netapply("down", "stack.yaml").stdout == "Nothing to do.\n"


def test_what_stands_inside_is_what_the_manifest_says(host: Host, files: None) -> None:
    host.netapply("up", "stack.yaml")
    web = host.container("web")
    links = {link["ifname"]: link for link in json_of(web, "-d", "link")}
    assert set(links) == {"lo", "front0", "eth0"}
    front = links["front0"]
    assert (front["address"], front["mtu"], front["operstate"]) == ("02:00:5e:10:00:01", 1400, "UP")
    addresses = {
        f"{address['local']}/{address['prefixlen']}": address
        for link in json_of(web, "address", "show", "dev", "front0")
        for address in link["addr_info"]
        if address["scope"] == "global"
    }
    assert set(addresses) == {"172.30.1.10/24", "fd30:1::10/64"}
    assert not any("tentative" in address for address in addresses.values())
    gateways = [
        route["gateway"] for family in ("-4", "-6") for route in json_of(web, family, "route", "show", "default")
    ]
    assert gateways == ["172.30.1.254", "fd30:1::1"]
    assert web.sysctl("net/ipv4/ip_unprivileged_port_start") == "70"
    assert (links["eth0"]["mtu"], links["lo"]["operstate"]) == (1500, "UNKNOWN")
    app = host.container("app")
    assert json_of(app, "route", "show", "default") == []
    assert app.sysctl("net/ipv6/conf/all/disable_ipv6") == "1"
    bridge = json_of(host, "-d", "link", "show", "brfront")[0]
    assert (bridge["mtu"], bridge["linkinfo"]["info_kind"]) == (1400, "bridge")
    (container,) = [each for each in host.ps() if each["name"] == "web"]
    assert container["state"] == "running"
    assert container["hostname"] == "www"
    said = subprocess.run(
        ["nsenter", "-u", "-n", "-t", str(container["pid"]), "hostname"], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "www"
    host.netapply("down", "stack.yaml")


@pytest.mark.founding("S3-10")
def test_ipv6_is_there_at_once(host: Host, outside: Machine, files: None) -> None:
    host.netapply("up", "stack.yaml")
    web = host.container("web")
    server = web.serve(80)
    assert outside.ask(host.ipv6, 8080) is not None
    assert host.ask("fd30:1::10", 80) is not None
    server.close()
    host.netapply("down", "stack.yaml")


@pytest.mark.parametrize("lost", ["manifest", "manifest and run folder", "one of everything"])
def test_down_by_name(host: Host, files: None, lost: str) -> None:
    host.netapply("up", "stack.yaml")
    (host.folder / "stack.yaml").unlink()
    if lost == "manifest and run folder":
        (folder,) = Path("/run/netapply").iterdir()
        shutil.rmtree(folder)
    elif lost == "one of everything":
        host.run(["nft", "flush ruleset"])
        host.run(["ip", "netns", "delete", Path(host.container("app").path).name])
        host.run(["ip", "link", "delete", "brfront"])
        host.container("pair1").run(["ip", "link", "delete", "eth0"])
        (web,) = [each for each in host.ps() if each["name"] == "web"]
        subprocess.run(["kill", "-9", str(web["pid"])], check=True)
    said = host.netapply("down", "-p", "shop")
    if lost == "manifest and run folder":
        assert "warning" in said.stderr
        for name in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
            # What was before us is written nowhere any more: left alone, and said.
            assert name.replace("/", ".") in said.stderr
            assert host.sysctl(name) == "1"
            host.sysctl(name, "0")
        host.sysctl("net/ipv6/conf/eth0/accept_ra", "1")
    assert host.netapply("down", "-p", "shop").stdout == "Nothing to do.\n"


@pytest.mark.founding("S2-16", "S2-17")
def test_a_port_of_a_foreign_program_is_an_error_that_names_it(host: Host, files: None) -> None:
    code = "import socket,time; s=socket.create_server(('0.0.0.0', 8081)); print('ready', flush=True); time.sleep(60)"
    program = host.spawn(["python3", "-c", code])
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    before = host.snapshot()
    for command in ("plan", "up"):
        said = host.netapply(command, "stack.yaml", check=False)
        assert said.returncode == 1
        assert "8081/tcp" in said.stderr
        assert f"python3 (process {program.pid})" in said.stderr
        assert said.stderr.startswith("stack.yaml:30:24: error:")
    assert_unchanged(before, host.snapshot())
    program.kill()
    program.wait(5)


def test_the_agent_keeps_foreign_programs_from_published_ports(host: Host, files: None) -> None:
    host.netapply("up", "stack.yaml")

    def bind() -> None:
        with socket.socket() as taken:
            taken.bind(("0.0.0.0", 8081))

    with pytest.raises(OSError, match="in use"):
        host.inside(bind)
    host.netapply("down", "stack.yaml")
    host.inside(bind)


@pytest.mark.parametrize(
    ("obstacle", "culprit"),
    [
        (["ip", "link", "add", "brfront", "type", "bridge"], "brfront"),
        (["ip", "route", "add", "172.30.1.128/25", "dev", "eth0"], "172.30.1.128/25"),
        (["ip", "address", "add", "172.30.1.9/28", "dev", "eth0"], "172.30.1."),
    ],
    ids=["bridge", "route", "address"],
)
def test_a_foreign_object_in_the_way_is_named(host: Host, obstacle: list[str], culprit: str) -> None:
    host.write("stack.yaml", SHOP)
    host.run(obstacle)
    before = host.snapshot()
    for command in ("plan", "up"):
        said = host.netapply(command, "stack.yaml", check=False)
        assert said.returncode == 1
        assert culprit in said.stderr
        assert "Traceback" not in said.stderr
    assert_unchanged(before, host.snapshot())


def test_plan_leaves_nothing_behind(host: Host, files: None) -> None:
    before = host.snapshot()
    assert named(host.plan("stack.yaml"))
    assert_unchanged(before, host.snapshot())
    assert not list(Path("/run/netapply").glob("*"))


@pytest.mark.founding("S2-32")
def test_a_failure_in_the_middle_rolls_back_and_names_the_line(host: Host, files: None) -> None:
    host.write("stack.yaml", SHOP.replace('command: [sleep, "600"]', "command: [/no/such/program]"))
    said = host.netapply("up", "stack.yaml", check=False)
    assert said.returncode == 1
    assert "/no/such/program" in said.stderr
    assert "stack.yaml:" in said.stderr
    assert "Traceback" not in said.stderr


def test_a_failed_change_leaves_the_stack_as_it_was(host: Host, outside: Machine, files: None) -> None:
    host.netapply("up", "stack.yaml")
    server = host.container("web").serve(80)
    kept = outside.connect(host.ipv4, 8080)
    standing = host.snapshot()
    broken = SHOP + "  late:\n    networks: [front]\n    command: [/no/such/program]\n"
    host.write("stack.yaml", broken.replace("8081:81", "9081:81"))
    assert host.netapply("up", "stack.yaml", check=False).returncode == 1
    assert_unchanged(standing, host.snapshot())
    assert kept.alive()
    host.write("stack.yaml", SHOP)
    assert host.plan("stack.yaml") == []
    server.close()
    kept.close()
    host.netapply("down", "stack.yaml")


def test_five_faults_are_five_places_in_one_run(host: Host) -> None:
    host.write(
        "stack.yaml",
        """
name: shop
networks:
  front: {driver: brigde}
containers:
  web:
    networks: [frnt]
    ports: ["80:80:80:80"]
    comand: [sleep]
  app:
    networks: {front: {ipv4_address: 1.2.3.400}}
""",
    )
    for command in ("plan", "up"):
        said = host.netapply(command, "stack.yaml", check=False)
        assert said.returncode == 1
        places = [line.split(" ")[0] for line in said.stderr.splitlines() if line.startswith("stack.yaml:")]
        assert [place.split(":")[1] for place in places] == ["4", "7", "8", "9", "11"], said.stderr


def test_many_stacks_in_one_run_and_only_the_named_one_goes(host: Host, lab: Lab) -> None:
    before = host.snapshot()
    for name in ("one", "two"):
        host.write(f"{name}.yaml", f"name: {name}\ncontainers:\n  web: {{}}\n")
    host.netapply("up", "one.yaml", "two.yaml")
    assert host.plan("one.yaml", "two.yaml") == []
    host.netapply("down", "one.yaml")
    assert host.plan("two.yaml") == []
    assert [container["stack"] for container in host.ps()] == ["two"]
    host.netapply("down", "-p", "two")
    assert_unchanged(before, host.snapshot())
