"""What was chosen once stays chosen, whatever happens around it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.kernel.lab import Host, Lab

NAMES = ["alpha", "beta", "gamma", "delta"]


def manifest(names: list[str], *, more: str = "") -> str:
    """Containers in that order on two networks in that order, with everything left to choose."""
    networks = "".join(
        f"  {name}: {{enable_ipv6: true}}\n" for name in (["front", "back"] if names == NAMES else ["back", "front"])
    )
    containers = "".join(f"  {name}: {{networks: [front, back], ports: ['80', '53/udp']}}\n" for name in names)
    return f"name: shop\nnetworks:\n{networks}containers:\n{containers}{more}"


def chosen(host: Host) -> dict[str, Any]:
    """Everything that netapply chose for each container: interfaces, addresses, MACs, ports."""
    found: dict[str, Any] = {}
    for container in host.ps("-p", "shop"):
        links = json.loads(host.run(["ip", "-j", "-n", container["netns"].rpartition("/")[2], "link"]).stdout)
        found[container["name"]] = {
            "networks": container["networks"],
            "ports": container["ports"],
            "links": sorted(
                (link["ifname"], link["address"], link.get("ifalias", "")) for link in links if link["ifname"] != "lo"
            ),
        }
    links = json.loads(host.run(["ip", "-j", "link"]).stdout)
    found["host"] = sorted((link["ifname"], link["address"]) for link in links if "netapply" in link.get("ifalias", ""))
    return found


def bring_up(host: Host, text: str) -> dict[str, Any]:
    host.write("stack.yaml", text)
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []
    return chosen(host)


@pytest.mark.founding("S1-24", "S3-09")
def test_the_order_of_the_file_and_down_and_up_change_nothing(host: Host) -> None:
    first = bring_up(host, manifest(NAMES))
    host.write("stack.yaml", manifest(NAMES[::-1]))
    assert host.plan("stack.yaml") == []
    host.netapply("down", "stack.yaml")
    assert bring_up(host, manifest(NAMES[::-1])) == first
    host.netapply("down", "stack.yaml")
    assert bring_up(host, manifest(NAMES)) == first


def test_neighbours_that_come_and_go_move_nobody(host: Host) -> None:
    first = bring_up(host, manifest(NAMES))
    crowd = "".join(f"  extra{number}: {{networks: [back]}}\n" for number in range(8))
    grown = bring_up(host, manifest(NAMES, more=crowd))
    assert {name: grown[name] for name in NAMES} == {name: first[name] for name in NAMES}
    shrunk = bring_up(host, manifest(["alpha", "gamma"]))
    assert {name: shrunk[name] for name in ("alpha", "gamma")} == {name: first[name] for name in ("alpha", "gamma")}
    assert bring_up(host, manifest(NAMES)) == first
    # Nor do those that were there before.
    host.netapply("down", "stack.yaml")
    crowd = "".join(f"  aaa{number}: {{networks: [back]}}\n" for number in range(8))
    crowded = bring_up(host, manifest(NAMES, more=crowd))
    assert {name: crowded[name] for name in NAMES} == {name: first[name] for name in NAMES}


def test_two_hosts_choose_alike(lab: Lab) -> None:
    one, two = lab.host("one"), lab.host("two")
    assert bring_up(one, manifest(NAMES)) == bring_up(two, manifest(NAMES[::-1]))


def test_what_was_chosen_elsewhere_is_kept_clear_of(host: Host) -> None:
    free = bring_up(host, manifest(NAMES))
    host.netapply("down", "stack.yaml")
    (front,) = {network["gateway"] for network in free["alpha"]["networks"] if network["name"] == "shop_front"}
    port = next(port["published"] for port in free["alpha"]["ports"] if port["target"] == 80)
    host.run(["ip", "route", "add", f"{front.rpartition('.')[0]}.0/24", "via", "192.0.2.9"])
    code = f"import socket,time; s=socket.create_server(('0.0.0.0', {port})); print(flush=True); time.sleep(60)"
    program = host.spawn(["python3", "-c", code])
    assert program.stdout is not None
    program.stdout.readline()
    other = bring_up(host, manifest(NAMES))
    assert front not in {network["gateway"] for network in other["alpha"]["networks"]}
    assert port not in {each["published"] for each in other["alpha"]["ports"]}
    program.kill()
    host.run(["ip", "route", "delete", f"{front.rpartition('.')[0]}.0/24"])
    # The first choice is free again, but what is there stays.
    assert host.plan("stack.yaml") == []


@pytest.mark.founding("S1-16")
def test_static_addresses_come_before_chosen_ones(host: Host) -> None:
    network = "networks: {front: {ipam: {config: [{subnet: 172.30.1.0/24}]}}}\n"
    text = "name: shop\n" + network + "containers:\n  first: {networks: [front]}\n%s"
    alone = bring_up(host, text % "")
    address = alone["first"]["networks"][0]["ipv4"].partition("/")[0]
    rival = f"  rival: {{networks: {{front: {{ipv4_address: {address}}}}}}}\n"
    both = bring_up(host, text % rival)
    assert both["rival"]["networks"][0]["ipv4"] == f"{address}/24"
    assert both["first"]["networks"][0]["ipv4"] != f"{address}/24"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("subnet: 172.30.1.0/30}]}}}\ncontainers: {a: {networks: [n]}, b: {networks: [n]}}", "has room for 1"),
        ("subnet: 192.0.2.128/25}]}}}\ncontainers: {a: {networks: [n]}}", "192.0.2.0/24"),
        (
            "subnet: 172.30.1.0/24}]}}}\ncontainers:\n  a: &a {networks: {n: {ipv4_address: 172.30.1.9}}}\n  b: *a",
            "172.30.1.9",
        ),
    ],
    ids=["pool full", "host's own subnet", "address twice"],
)
def test_what_cannot_be_is_an_error_at_plan_time(host: Host, text: str, said: str) -> None:
    host.write("stack.yaml", "name: shop\nnetworks: {n: {ipam: {config: [{" + text + "\n")
    done = host.netapply("plan", "stack.yaml", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("stack.yaml:")
    assert said in done.stderr


def test_a_bridge_takes_1023_containers_and_no_more(host: Host) -> None:
    names = "".join(f"  c{number}: {{networks: [n]}}\n" for number in range(1024))
    host.write("stack.yaml", "name: shop\nnetworks: {n: {}}\ncontainers:\n" + names)
    done = host.netapply("plan", "stack.yaml", check=False)
    assert done.returncode == 1
    assert "1024 containers; a bridge takes 1023" in done.stderr
