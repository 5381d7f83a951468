"""``attach``: namespaces that other programs made are wired as ours, and left as they were."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.lab import Host, Machine
from tests.kernel.watching import Watcher, until

LAB = """
name: lab
networks:
  front:
    enable_ipv6: true
    ipam: {config: [{subnet: 172.30.1.0/24}, {subnet: "fd30:1::/64"}]}
containers:
  theirs:
    attach: {netns: blue}
    networks: {front: {ipv4_address: 172.30.1.10, ipv6_address: "fd30:1::10"}}
    ports: ["8080:80"]
    sysctls: {net.ipv4.ip_unprivileged_port_start: "70"}
  web: {networks: {front: {ipv4_address: 172.30.1.11}}}
"""


class Namespaces:
    """Network namespaces of ``ip netns`` that are none of netapply's."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def add(self, name: str = "blue") -> Machine:
        subprocess.run(["ip", "netns", "add", name], check=True, timeout=10)
        return Machine(self.host.lab, name, Path("/run/netns") / name)

    def delete(self, name: str = "blue") -> None:
        subprocess.run(["ip", "netns", "delete", name], check=True, timeout=10)


@pytest.fixture
def namespaces(host: Host) -> Iterator[Namespaces]:
    made = Namespaces(host)
    yield made
    for path in Path("/run/netns").glob("blue*"):
        made.delete(path.name)


@pytest.mark.parametrize("firewall", ["nftables", "iptables"])
def test_a_running_container_goes_into_a_namespace_of_others_and_back(
    host: Host, outside: Machine, namespaces: Namespaces, firewall: str
) -> None:
    own = LAB.replace("    attach: {netns: blue}\n", "")
    blue = namespaces.add()
    for text, place in ((own, ""), (LAB, "blue"), (own, "")):
        host.write("lab.yaml", text)
        host.netapply("--firewall", firewall, "up", "lab.yaml")
        assert host.plan("lab.yaml") == []
        assert ("eth0" in blue.run(["ip", "-br", "link"]).stdout) == bool(place)
        server = (blue if place else host.container("theirs")).serve(80, name=place or "own")
        answer = outside.ask(host.ipv4, 8080)
        assert answer is not None
        assert answer.name == (place or "own")
        server.close()


def test_wired_reached_and_left_as_it_was(host: Host, outside: Machine, namespaces: Namespaces) -> None:
    blue = namespaces.add()
    blue.run(["ip", "link", "set", "lo", "up"])
    blue.run(["ip", "link", "add", "own0", "type", "bridge"])
    blue.run(["ip", "address", "add", "10.9.9.9/24", "dev", "own0"])
    blue.sysctl("net/ipv6/conf/default/disable_ipv6", "1")
    before, host_before = blue.snapshot(), host.snapshot()
    host.write("lab.yaml", LAB)
    assert "network namespace /run/netns/blue of another program" in host.netapply("up", "lab.yaml").stdout
    assert host.plan("lab.yaml") == []
    blue.serve(80)
    assert outside.ask(host.ipv4, 8080)
    web = host.container("web")
    for address in ("172.30.1.10", "fd30:1::10"):
        assert web.ask(address, 80), address
    question = "import socket; print(socket.gethostbyname('theirs'))"
    asked = ["ip", "netns", "exec", web.path.name, "python3", "-c", question]
    assert subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip() == "172.30.1.10"
    theirs = ["ip", "netns", "exec", web.path.name.replace("web", "theirs"), "python3", "-c"]
    done = subprocess.run([*theirs, question.replace("theirs", "web")], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "172.30.1.11"
    assert blue.sysctl("net/ipv4/ip_unprivileged_port_start") == "70"
    host.netapply("down", "-p", "lab")
    assert not before.difference(blue.snapshot())
    assert not host_before.difference(host.snapshot())


def test_what_is_missing_or_in_the_way_is_named(host: Host, namespaces: Namespaces) -> None:
    host.write("lab.yaml", LAB)
    done = host.netapply("plan", "lab.yaml", check=False)
    assert done.returncode == 1
    assert "lab.yaml:9:5: " in done.stderr.replace(str(host.folder) + "/", "")
    assert "there is no network namespace at /run/netns/blue" in done.stderr
    blue = namespaces.add()
    blue.run(["ip", "link", "add", "eth0", "type", "bridge"])
    blue.run(["ip", "link", "set", "eth0", "up"])
    blue.run(["ip", "address", "add", "10.9.9.9/24", "dev", "eth0"])
    blue.run(["ip", "route", "add", "default", "via", "10.9.9.1"])
    done = host.netapply("up", "lab.yaml", check=False)
    assert "/run/netns/blue has a default route of its own" in done.stderr
    blue.run(["ip", "route", "delete", "default"])
    host.netapply("up", "lab.yaml")
    assert "eth1" in blue.run(["ip", "-br", "link"]).stdout
    host.netapply("down", "-p", "lab")
    for text, message in [
        (LAB.replace("netns: blue", "netns: /proc/self/ns/mnt"), "is not a network namespace"),
        (LAB.replace("netns: blue", f"netns: {host.path}"), "is the host's own network namespace"),
        (LAB.replace("netns: blue", "pid: 4194304"), "there is no process 4194304"),
        (LAB.replace("172.30.1.10,", "172.30.1.10, interface_name: eth0,"), "has an interface eth0 of its own"),
    ]:
        host.write("lab.yaml", text)
        done = host.netapply("up", "lab.yaml", check=False)
        assert done.returncode == 1, text
        assert message in done.stderr


def test_made_anew_it_is_wired_again(host: Host, outside: Machine, namespaces: Namespaces) -> None:
    namespaces.add()
    host.write("lab.yaml", LAB)
    host.netapply("up", "lab.yaml")
    namespaces.delete()
    assert "there is no network namespace" in host.netapply("up", "lab.yaml", check=False).stderr
    blue = namespaces.add()
    host.netapply("up", "lab.yaml")
    assert host.plan("lab.yaml") == []
    blue.serve(80)
    assert outside.ask(host.ipv4, 8080)
    host.netapply("down", "-p", "lab")
    assert "LOOPBACK,UP" not in blue.run(["ip", "link", "show", "lo"]).stdout


def test_its_name_or_record_lost(host: Host, namespaces: Namespaces) -> None:
    blue = namespaces.add()
    host.write("lab.yaml", LAB)
    host.netapply("up", "lab.yaml")
    pin = next(Path("/run/netns").glob("na.*.lab.theirs"))
    subprocess.run(["ip", "netns", "delete", pin.name], check=True)
    host.netapply("up", "lab.yaml")
    assert host.plan("lab.yaml") == []
    subprocess.run(["ip", "netns", "delete", pin.name], check=True)
    host.netapply("down", "-p", "lab")
    assert blue.sysctl("net/ipv4/ip_unprivileged_port_start") == "1024"
    assert "eth0" not in blue.run(["ip", "-br", "link"]).stdout
    host.netapply("up", "lab.yaml")
    next(Path("/run/netapply").glob("*/attached/lab.theirs")).unlink()
    host.netapply("down", "-p", "lab")
    assert not pin.exists()
    assert "eth0" not in blue.run(["ip", "-br", "link"]).stdout


def test_others_join_it(host: Host, namespaces: Namespaces) -> None:
    blue = namespaces.add()
    host.write("lab.yaml", LAB + "  tool: {network_mode: 'service:theirs', command: [sleep, '300']}\n")
    host.netapply("up", "lab.yaml")
    assert host.plan("lab.yaml") == []
    tool = next(each for each in host.ps() if each["name"] == "tool")
    assert Path(f"/proc/{tool['pid']}/ns/net").stat().st_ino == blue.path.stat().st_ino
    host.netapply("down", "-p", "lab")
    assert blue.path.exists()


def test_watch_waits_wires_and_lets_go(host: Host, outside: Machine, namespaces: Namespaces) -> None:
    host.write("manifests/lab.yaml", LAB)
    watcher = Watcher(host).wait_ready().wait_quiet()
    assert watcher.stack("lab")["state"] == "out of sync"
    assert "no network namespace at /run/netns/blue" in watcher.stack("lab")["reason"]
    assert "172.30.1.11" in str(host.ps())
    for _ in range(2):
        began = time.monotonic()
        blue = namespaces.add()
        server = blue.serve(80)
        until(lambda: outside.ask(host.ipv4, 8080, timeout=0.1), "wired")
        assert time.monotonic() - began < 15
        until(lambda: watcher.stack("lab")["state"] == "in sync", "said so")
        server.close()
        namespaces.delete()
        until(lambda: watcher.stack("lab")["state"] == "out of sync", "let go")
        until(lambda: not list(Path("/run/netns").glob("na.*.lab.theirs")), "the name is gone")
    rounds = watcher.rounds()
    time.sleep(1.5)
    assert watcher.rounds() - rounds < 5


def test_of_a_process(host: Host, outside: Machine) -> None:
    process = subprocess.Popen(["unshare", "-n", "sleep", "300"])
    until(lambda: not Path(f"/proc/{process.pid}/ns/net").samefile("/proc/self/ns/net"), "unshared")
    host.write("manifests/lab.yaml", LAB.replace("netns: blue", f"pid: {process.pid}"))
    host.netapply("up", "manifests/lab.yaml")
    # The number is given to somebody else, as far as the record can tell.
    record = next(Path("/run/netapply").glob("*/attached/lab.theirs"))
    written = record.read_text()
    record.write_text(re.sub('"started": "[0-9]+"', '"started": "1"', written))
    assert (
        "is another process than the one that was attached"
        in host.netapply("plan", "manifests/lab.yaml", check=False).stderr
    )
    record.write_text(written)
    watcher = Watcher(host).wait_ready().wait_quiet()
    assert watcher.stack("lab")["state"] == "in sync"
    theirs = Machine(host.lab, "theirs", Path(f"/proc/{process.pid}/ns/net"))
    theirs.serve(80)
    assert outside.ask(host.ipv4, 8080)
    watcher.wait_quiet(1.5)
    process.kill()
    process.wait()
    until(lambda: watcher.stack("lab")["state"] == "out of sync", "waits", 10)
    assert f"there is no process {process.pid}" in watcher.stack("lab")["reason"]
