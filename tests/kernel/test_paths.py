"""The ways in, out and between, as the tutorial on containers' networking walks them: three containers, 22 and 80."""

from __future__ import annotations

import json
import select
import socket
import struct
import time
from ipaddress import ip_address, ip_network

import pytest

from tests.kernel.lab import Answer, Host, Machine

SSH, WEB = 22, 80
THREE = "name: nets\ncontainers:\n" + "".join(f"  net{number}: {{ports: ['22', '80']}}\n" for number in (1, 2, 3))
NAMES = ("net1", "net2", "net3")


@pytest.fixture
def nets(host: Host) -> dict[str, Machine]:
    """net1, net2 and net3, each with something at 22 and 80."""
    host.write("nets.yaml", THREE)
    host.netapply("up", "nets.yaml")
    machines = {name: host.container(name) for name in NAMES}
    for machine in machines.values():
        machine.serve(SSH, WEB)
    return machines


def published(host: Host) -> dict[tuple[str, int], int]:
    """The host port for every name and target, of IPv4."""
    return {
        (each["name"], port["target"]): port["published"]
        for each in host.ps()
        for port in each["ports"]
        if port["host_ip"] == "0.0.0.0"
    }


def bridge_address(host: Host) -> str:
    found = json.loads(host.netapply("network", "inspect", "nets_default", "--format", "json").stdout)
    gateway: str = found["subnets"][0]["gateway"]
    return gateway


def reaches(asker: Machine, address: str, port: int, name: str) -> None:
    answer = asker.attempt(address, port)
    assert isinstance(answer, Answer), f"{asker.name} asked {address} port {port}: {answer}"
    assert answer.name == name


def pings(machine: Machine, address: str) -> bool:
    """Whether an echo request is answered within three seconds (RFC 792); not every machine has a ping."""

    def ask() -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
            head = struct.pack("!BBHHH", 8, 0, 0, 7, 1)
            total = sum(struct.unpack("!4H", head))
            raw.sendto(struct.pack("!BBHHH", 8, 0, ~total & 0xFFFF, 7, 1), (address, 0))
            deadline = time.monotonic() + 3
            while (left := deadline - time.monotonic()) > 0 and select.select([raw], [], [], left)[0]:
                packet, (source, _) = raw.recvfrom(1500)
                if source == address and packet[20] == 0 and packet[24:28] == head[4:8]:
                    return True
        return False

    return machine.inside(ask)


@pytest.mark.founding("S1-01", "S1-06", "S1-07", "S1-15", "S1-20", "S1-21", "S1-25", "S1-52", "S3-21", "S4-17")
def test_a_client_needs_the_host_ports_only(host: Host, outside: Machine, nets: dict[str, Machine]) -> None:
    del nets
    ports = published(host)
    assert set(ports) == {(name, target) for name in NAMES for target in (SSH, WEB)}
    low, high = (int(word) for word in host.sysctl("net/ipv4/ip_local_port_range").split())
    assert all(low <= port <= high for port in ports.values())
    assert len(set(ports.values())) == 6
    shown = host.netapply("ps").stdout
    for (name, target), port in ports.items():
        assert f"0.0.0.0:{port}->{target}/tcp" in shown
        reaches(outside, host.ipv4, port, name)
        reaches(host, "127.0.0.1", port, name)


@pytest.mark.founding("S1-23", "S4-20")
def test_a_host_port_says_whose_it_is(host: Host, nets: dict[str, Machine]) -> None:
    del nets
    for (name, target), port in published(host).items():
        assert f"{target}/tcp -> 0.0.0.0:{port}" in host.netapply("port", name).stdout.splitlines()
        assert host.netapply("port", "--reverse", str(port)).stdout == f"nets/{name}:{target}/tcp\n"


@pytest.mark.founding("S1-10", "S1-24")
def test_the_plan_says_the_ports_and_they_stay(host: Host) -> None:
    host.write("nets.yaml", THREE)
    planned = host.netapply("plan", "nets.yaml", check=False).stdout
    assert host.netapply("plan", "nets.yaml", check=False).stdout == planned
    host.netapply("up", "nets.yaml")
    first = published(host)
    for (name, target), port in first.items():
        assert f"publish {port}/tcp -> {name}:{target}" in planned
    host.netapply("down", "nets.yaml")
    host.netapply("up", "nets.yaml")
    assert published(host) == first


@pytest.mark.founding("S1-03", "S1-04", "S1-05", "S1-18", "S3-11", "S3-10")
def test_the_host_reaches_each_at_its_address(host: Host, nets: dict[str, Machine]) -> None:
    subnet = json.loads(host.netapply("network", "inspect", "nets_default", "--format", "json").stdout)["subnets"][0]
    found = set()
    for name in NAMES:
        (shown,) = json.loads(host.netapply("inspect", name).stdout)["networks"]
        assert ip_address(shown["ip_address"]) in ip_network(subnet["subnet"])
        assert (shown["ipv6"], shown["global_ipv6_address"]) == (None, ""), "IPv6 is there only where it was asked for"
        reaches(host, shown["ip_address"], SSH, name)
        found.add(shown["ip_address"])
    assert found == {machine.ipv4 for machine in nets.values()}
    assert len(found) == 3


@pytest.mark.founding("S1-19")
def test_nobody_else_reaches_an_address_directly(host: Host, outside: Machine, nets: dict[str, Machine]) -> None:
    outside.run(["ip", "route", "add", nets["net1"].ipv4, "via", host.ipv4])
    assert outside.ask(nets["net1"].ipv4, SSH, timeout=0.4) is None


@pytest.mark.founding("S1-08", "S1-27", "S1-28", "S1-33")
def test_host_ports_answer_at_the_bridges_own_address(host: Host, nets: dict[str, Machine]) -> None:
    address = bridge_address(host)
    assert all(pings(machine, address) for machine in nets.values())
    for (name, _), port in published(host).items():
        reaches(host, address, port, name)
        for machine in nets.values():
            reaches(machine, address, port, name)
            reaches(machine, host.ipv4, port, name)


@pytest.mark.founding("S1-35", "S1-36", "S4-07")
def test_neighbours_reach_each_other(nets: dict[str, Machine]) -> None:
    assert pings(nets["net1"], nets["net2"].ipv4)
    assert pings(nets["net1"], nets["net3"].ipv4)
    reaches(nets["net1"], nets["net2"].ipv4, SSH, "net2")
    reaches(nets["net1"], nets["net2"].ipv4, WEB, "net2")


@pytest.mark.founding("S1-26", "S1-34")
def test_they_reach_other_machines_masqueraded(host: Host, outside: Machine, nets: dict[str, Machine]) -> None:
    outside.serve(7000)
    answer = nets["net1"].attempt(outside.ipv4, 7000)
    assert isinstance(answer, Answer)
    assert (answer.name, answer.peer_address) == ("outside", host.ipv4)


@pytest.mark.founding("S1-11", "S1-29")
def test_forwarding_is_set_where_it_is_needed_and_the_plan_says_so(host: Host) -> None:
    host.sysctl("net/ipv4/ip_forward", "0")
    host.write("nets.yaml", THREE)
    assert "sysctl net.ipv4.ip_forward = 1" in host.netapply("plan", "nets.yaml", check=False).stdout
    host.netapply("up", "nets.yaml")
    assert host.sysctl("net/ipv4/ip_forward") == "1"
    host.sysctl("net/ipv4/ip_forward", "0")
    assert [change["name"] for change in host.plan("nets.yaml")] == ["host:net/ipv4/ip_forward"]
    host.netapply("up", "nets.yaml")
    host.netapply("down", "nets.yaml")
    assert host.sysctl("net/ipv4/ip_forward") == "0"


@pytest.mark.founding("S1-09", "S3-05")
def test_without_any_choice_there_is_a_bridge_with_a_subnet(host: Host, nets: dict[str, Machine]) -> None:
    shown = json.loads(host.netapply("network", "inspect", "nets_default", "--format", "json").stdout)
    assert (shown["driver"], set(shown["containers"])) == ("bridge", set(NAMES))
    assert ip_address(nets["net1"].ipv4) in ip_network(shown["subnets"][0]["subnet"])


@pytest.mark.founding("S4-02", "S4-06")
def test_the_bridge_has_an_id_no_stp_and_an_interface_for_each(host: Host, nets: dict[str, Machine]) -> None:
    del nets
    shown = json.loads(host.netapply("network", "inspect", "nets_default", "--format", "json").stdout)
    (bridge,) = json.loads(host.run(["ip", "-d", "-j", "link", "show", shown["interface"]]).stdout)
    data = bridge["linkinfo"]["info_data"]
    ports = json.loads(host.run(["ip", "-j", "link", "show", "master", shown["interface"]]).stdout)
    # iproute2 leaves leading zeros away.
    priority, _, mac = data["bridge_id"].partition(".")
    assert shown["bridge"]["id"] == f"{priority}.{''.join(part.zfill(2) for part in mac.split(':'))}"
    assert data["stp_state"] == 0
    assert sorted(shown["bridge"]["ports"]) == sorted(port["ifname"] for port in ports)
    assert len(ports) == 3


@pytest.mark.founding("S3-09")
def test_macs_are_our_own_and_stay(host: Host, nets: dict[str, Machine]) -> None:
    del nets

    def macs() -> dict[str, str]:
        return {each["name"]: each["networks"][0]["mac"] for each in host.ps()}

    first = macs()
    # Locally administered, not a group's (IEEE 802-2014, 8.4).
    assert all(int(mac[:2], 16) & 0b11 == 0b10 for mac in first.values())
    assert len(set(first.values())) == 3
    host.netapply("down", "nets.yaml")
    host.netapply("up", "nets.yaml")
    assert macs() == first


@pytest.mark.founding("S1-16")
def test_a_static_address_and_known_ports(host: Host, outside: Machine) -> None:
    text = "name: one\nnetworks: {front: {ipam: {config: [{subnet: 172.31.5.0/24}]}}}\n"
    host.write(
        "one.yaml", text + "containers: {web: {networks: {front: {ipv4_address: 172.31.5.80}}, ports: ['8080:80']}}\n"
    )
    host.netapply("up", "one.yaml")
    web = host.container("web")
    assert web.ipv4 == "172.31.5.80"
    web.serve(WEB)
    reaches(outside, host.ipv4, 8080, "web")


@pytest.mark.founding("S0-25")
def test_each_stack_says_and_shows_what_it_exposes(host: Host) -> None:
    for stack, port in (("a", 8001), ("b", 8002)):
        host.write(f"{stack}.yaml", f"name: {stack}\ncontainers: {{web: {{ports: ['{port}:80']}}}}\n")
    host.netapply("up", "a.yaml", "b.yaml")
    for stack, port in (("a", 8001), ("b", 8002)):
        (web,) = host.ps("-p", stack)
        assert {each["published"] for each in web["ports"]} == {port}


@pytest.mark.founding("S4-16")
def test_only_certain_ports_are_published(host: Host, outside: Machine) -> None:
    host.write("one.yaml", "name: one\ncontainers: {web: {expose: ['80', '81'], ports: ['8080:80']}}\n")
    host.netapply("up", "one.yaml")
    web = host.container("web")
    web.serve(80, 81)
    reaches(outside, host.ipv4, 8080, "web")
    assert {each["target"] for each in host.ps()[0]["ports"]} == {80}


@pytest.mark.founding("S4-16")
def test_all_exposed_ports_are_published(host: Host, outside: Machine) -> None:
    text = "name: one\ncontainers: {web: {expose: ['80', '81-82/tcp'], publish_all: true, ports: ['8080:80']}}\n"
    host.write("one.yaml", text)
    host.netapply("up", "one.yaml")
    host.container("web").serve(80, 81, 82)
    ports = {each["target"]: each["published"] for each in host.ps()[0]["ports"]}
    assert ports.keys() == {80, 81, 82}
    assert ports[80] == 8080
    for port in ports.values():
        reaches(outside, host.ipv4, port, "web")
