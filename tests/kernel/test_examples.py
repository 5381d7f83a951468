"""Every example of manifests/, as it stands: brought up, tried with packets, taken down without a trace."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.lab import REPOSITORY, Host, Lab, Machine

EXAMPLES = REPOSITORY / "manifests"
_FETCH = (
    "import sys, urllib.request as u; u.install_opener(u.build_opener(u.ProxyHandler({})));"
    "print(u.urlopen(sys.argv[1], timeout=2).read().decode().strip())"
)
_SECONDS = 30.0


def fetch(machine: Machine, url: str, seconds: float = _SECONDS) -> str:
    """The page, as soon as its server has come up; empty where none comes in that time."""
    deadline = time.monotonic() + seconds
    while True:
        done = machine.run(["python3", "-c", _FETCH, url], check=False)
        if done.returncode == 0:
            return done.stdout.strip()
        if time.monotonic() > deadline:
            return ""
        time.sleep(0.05)


def inside(host: Host, container: str, *command: str) -> str:
    """What the command says inside a container that runs one."""
    return host.netapply("exec", container, *command).stdout.strip()


def page_from(host: Host, container: str, url: str) -> str:
    """The page as that container gets it, with its own names."""
    deadline = time.monotonic() + _SECONDS
    while (
        done := host.netapply("exec", container, "python3", "-c", _FETCH, url, check=False)
    ).returncode and time.monotonic() < deadline:
        time.sleep(0.05)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def named(host: Host, name: str) -> dict[str, Any]:
    return next(each for each in host.ps() if each["name"] == name)


Check = Callable[[Host, Machine], None]


def mapped_container(host: Host, outside: Machine) -> None:
    assert fetch(outside, f"http://{host.ipv4}/") == "page one"
    assert fetch(outside, f"http://{host.ipv4}:8080/") == "page two"
    assert page_from(host, "web2", "http://127.0.0.1/") == "page one"
    assert page_from(host, "web1", "http://127.0.0.1:8080/") == "page two"


def host_mode(host: Host, outside: Machine) -> None:
    assert fetch(outside, "http://192.0.2.100/") == "page at .100"
    assert fetch(outside, "http://192.0.2.200/") == "page at .200"


def default_bridge(host: Host, outside: Machine) -> None:
    base1, base2 = host.container("base1"), host.container("base2")
    assert fetch(base1, f"http://{base2.ipv4}/") == "base two"
    assert fetch(outside, f"http://{host.ipv4}:8080/") == "base two"
    assert base1.ping(base2.ipv4)
    chosen = host.netapply("port", "base2", "22").stdout
    assert 0 < int(chosen.rpartition(":")[2]) < 65536


def none(host: Host, outside: Machine) -> None:
    del outside
    lonely = host.container("lonely")
    assert [line.split()[1] for line in lonely.run(["ip", "-o", "link"]).stdout.splitlines()] == ["lo:"]


def links(host: Host, outside: Machine) -> None:
    del outside
    fetch(host.container("client"), f"http://{host.container('web').ipv4}/")
    assert page_from(host, "client", "http://dedoimedo/") == "linked page"
    environment = inside(host, "client", "env")
    assert f"DEDOIMEDO_PORT_80_TCP_ADDR={host.container('web').ipv4}" in environment
    assert "dedoimedo web" in inside(host, "client", "cat", "/etc/hosts")
    assert "client" not in inside(host, "web", "cat", "/etc/hosts")


def hostname_and_dns(host: Host, outside: Machine) -> None:
    del outside
    hosts = inside(host, "mydocker1", "cat", "/etc/hosts").splitlines()
    address = host.container("mydocker1").ipv4
    assert "54.12.17.68 www.rayx.me" in [" ".join(line.split()) for line in hosts]
    assert f"{address} mydocker1.rayx.me mydocker1" in [" ".join(line.split()) for line in hosts]
    resolver = inside(host, "mydocker1", "cat", "/etc/resolv.conf").splitlines()
    assert "nameserver 8.8.8.8" in resolver
    assert "search rayx.me" in resolver
    assert inside(host, "mydocker1", "hostname") == "mydocker1.rayx.me"
    assert inside(host, "mydocker1", "getent", "ahostsv4", "www.rayx.me").split()[0] == "54.12.17.68"
    assert inside(host, "mydocker1", "getent", "ahostsv4", "database.host").split()[0] == "172.17.0.1"


def own_subnet(host: Host, outside: Machine) -> None:
    del outside
    first, second = named(host, "first")["networks"][0], named(host, "second")["networks"][0]
    assert (first["ipv4"], first["gateway"], first["name"]) == ("172.26.0.1/16", "172.26.0.2", "bridge1")
    assert second["ipv4"] not in {"172.26.0.1/16", "172.26.0.2/16"}
    assert fetch(host.container("second"), "http://172.26.0.1/") == "the first address"
    assert host.run(["ip", "-o", "link", "show", "br-own"]).stdout


def hidden_ports(host: Host, outside: Machine) -> None:
    assert fetch(outside, f"http://{host.ipv4}/") == "front of a"
    assert fetch(outside, f"http://{host.ipv4}:8000/") == "front of b"
    assert page_from(host, "app-a/front", "http://127.0.0.1:8080/") == "hidden in a"
    assert page_from(host, "app-b/front", "http://127.0.0.1:8080/") == "hidden in b"
    assert outside.ask(host.ipv4, 8080, timeout=0.5) is None


def names(host: Host, outside: Machine) -> None:
    del outside
    fetch(host.container("web"), f"http://{host.container('database').ipv4}:5432/")
    for name in ("database", "db", "storage"):
        assert page_from(host, "web", f"http://{name}:5432/") == "rows"
    assert inside(host, "visitor", "getent", "ahostsv4", "www")
    unknown = host.netapply("exec", "visitor", "getent", "ahostsv4", "database", check=False)
    assert unknown.returncode != 0, "a name of a network that it does not share"


def replicas(host: Host, outside: Machine) -> None:
    for port in (81, 82, 83):
        assert fetch(outside, f"http://{host.ipv4}:{port}/") == "one of three"
    found = inside(host, "client", "getent", "ahostsv4", "web").split()
    assert {host.container(f"web-{number}").ipv4 for number in (1, 2, 3)} <= set(found)


def sources(host: Host, outside: Machine) -> None:
    assert outside.ipv4 == "192.0.2.2"
    assert fetch(outside, f"http://{host.ipv4}:8080/") == "for some"
    outside.run(["ip", "address", "add", "192.0.2.77/24", "dev", "eth0"])
    assert outside.attempt(host.ipv4, 8080, source="192.0.2.77", timeout=0.5) == "timed out"


def allow(host: Host, outside: Machine) -> None:
    till, store = host.container("till"), host.container("store")
    assert fetch(till, "http://172.30.8.10:5432/") == "in stock"
    store.serve(99)
    till.serve(98)
    assert till.ask("172.30.8.10", 99, timeout=0.5) is None
    assert store.ask("172.30.7.10", 98, timeout=0.5) is None
    del outside


def floating_ip(host: Host, outside: Machine) -> None:
    assert fetch(outside, "http://192.0.2.50/") == "page of .50"
    assert fetch(outside, "http://192.0.2.51/") == "page of .51"
    assert fetch(host, "http://192.0.2.50/") == "page of .50"
    outside.serve(7000)
    answer = host.container("web1").ask(outside.ipv4, 7000)
    assert answer
    assert answer.peer_address == "192.0.2.50"


def egress_ip(host: Host, outside: Machine) -> None:
    outside.serve(7000)
    answer = host.container("mailer").ask(outside.ipv4, 7000)
    assert answer
    assert answer.peer_address == "192.0.2.100"


def static_routes(host: Host, outside: Machine) -> None:
    del outside
    client = host.container("client")
    assert "via 172.30.9.10" in client.run(["ip", "route", "get", "198.51.100.7"]).stdout
    assert client.run(["ip", "route", "get", "203.0.113.7"], check=False).returncode != 0


def other_namespaces(host: Host, outside: Machine) -> None:
    del outside
    owner, guest = named(host, "owner")["pid"], named(host, "guest")["pid"]
    for kind in ("net", "pid", "ipc", "uts"):
        assert Path(f"/proc/{owner}/ns/{kind}").readlink() == Path(f"/proc/{guest}/ns/{kind}").readlink()
    assert inside(host, "guest", "hostname") == "boss"


def webshop(host: Host, outside: Machine) -> None:
    assert "cheese" in fetch(outside, f"http://{host.ipv4}:8080/")


CHECKS: dict[str, Check] = {
    "mapped-container.yaml": mapped_container,
    "host-mode.yaml": host_mode,
    "default-bridge.yaml": default_bridge,
    "none.yaml": none,
    "links.yaml": links,
    "hostname-and-dns.yaml": hostname_and_dns,
    "own-subnet.yaml": own_subnet,
    "hidden-ports-a.yaml hidden-ports-b.yaml": hidden_ports,
    "names.yaml": names,
    "replicas.yaml": replicas,
    "sources.yaml": sources,
    "allow.yaml": allow,
    "floating-ip.yaml": floating_ip,
    "egress-ip.yaml": egress_ip,
    "static-routes.yaml": static_routes,
    "other-namespaces.yaml": other_namespaces,
    "webshop.yaml": webshop,
}
ELSEWHERE = {"macvlan.yaml", "gateway.yaml", "job.yaml"}
"""Those whose tests need more than a host and a neighbour."""


@pytest.fixture
def two_addresses(host: Host) -> Host:
    """The host, with two more addresses that examples speak of."""
    for address in ("192.0.2.100", "192.0.2.200"):
        host.run(["ip", "address", "add", f"{address}/24", "dev", "eth0"])
    return host


@pytest.mark.parametrize("example", CHECKS)
@pytest.mark.founding("S0-04", "S0-23", "S2-06", "S2-15", "S2-29", "S4-07", "S4-24", "S4-31", "S1-35", "S1-36")
def test_example(two_addresses: Host, outside: Machine, example: str) -> None:
    host = two_addresses
    files = [str(EXAMPLES / name) for name in example.split()]
    host.snapshot()
    before = host.snapshot()
    host.netapply("up", *files)
    assert host.plan(*files) == []
    CHECKS[example](host, outside)
    assert host.plan(*files) == []
    host.netapply("down", *files)
    assert host.snapshot() == before


@pytest.mark.founding("S1-47")
def test_the_job_example(host: Host) -> None:
    before = host.snapshot()
    manifest = str(EXAMPLES / "job.yaml")
    host.netapply("up", manifest)
    deadline = time.monotonic() + _SECONDS
    while host.ps():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    host.netapply("down", manifest)
    assert host.snapshot() == before


def test_every_example_is_tried() -> None:
    tried = {name for example in CHECKS for name in example.split()}
    assert {path.name for path in EXAMPLES.glob("*.yaml")} == tried | ELSEWHERE


def test_examples_are_their_own_canonical_form(host: Host, lab: Lab) -> None:
    """``config`` of each is a manifest that means the same."""
    del lab
    for path in sorted(EXAMPLES.glob("*.yaml")):
        first = host.netapply("config", "--format", "json", str(path)).stdout
        again = host.netapply("config", "--format", "json", "-", stdin=first).stdout
        assert json.loads(first) == json.loads(again), path.name
