"""Links: another container by a name of one's own for it, in files, by DNS and in variables."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.kernel.changes import named
from tests.kernel.lab import Host

pytestmark = pytest.mark.skipif(shutil.which("crun") is None, reason="needs the package crun")

CANARY = "canary-of-the-target"

TUTORIAL = """
name: tutorial
containers:
  web:
    network_mode: bridge
    ports: [80]
    expose: ["22", "53/udp"]
    environment: {{PASSWORD: {canary}, GREETING: hello, HOME: /nowhere}}
    command: [sleep, "600"]
  client:
    network_mode: bridge
    links: ["web:dedo-imedo"]
    environment: {{OWN: mine}}
    command: [sleep, "600"]
"""

SHOP = """
name: shop
containers:
  web:
    expose: ["80"]
    networks: {{front: {{ipv4_address: {address}}}}}
  client:
    command: [sleep, "600"]
    links: [web, "web:dedoimedo"]
    networks: [front]
networks: {{front: {{enable_ipv6: true, ipam: {{config: [{{subnet: 10.7.0.0/24}}, {{subnet: "fd07::/64"}}]}}}}}}
"""


def ipv4(host: Host, name: str) -> str:
    (found,) = [each for each in host.ps() if each["name"] == name]
    address: str = found["networks"][0]["ipv4"]
    return address.partition("/")[0]


def pid(host: Host, name: str) -> int:
    (found,) = [each["pid"] for each in host.ps() if each["name"] == name]
    assert isinstance(found, int)
    return found


def hosts_of(host: Host, container: str) -> list[str]:
    text = host.netapply("exec", container, "cat", "/etc/hosts").stdout
    return [line for line in text.splitlines() if not line.startswith("#")]


def lookup(host: Host, container: str, name: str) -> set[str]:
    done = host.netapply("exec", container, "getent", "ahosts", name, check=False)
    return {line.split()[0] for line in done.stdout.splitlines()}


def environment_of(host: Host, container: str) -> dict[str, str]:
    text = host.netapply("exec", container, "env").stdout
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


@pytest.mark.founding("S1-39", "S1-40", "S1-42", "S1-43", "S1-44", "S1-46", "S1-49")
def test_the_tutorials_link_is_in_hosts_file_and_environment(host: Host) -> None:
    """S1-39, S1-40, S1-42, S1-43, S1-44, S1-46, S1-49: on the default bridge, to a port that is published anywhere."""
    host.write("stack.yaml", TUTORIAL.format(canary=CANARY))
    done = host.netapply("up", "stack.yaml")
    address = ipv4(host, "web")
    assert hosts_of(host, "client").count(f"{address} dedo-imedo web") == 1
    assert not any("client" in line for line in hosts_of(host, "web"))
    assert lookup(host, "web", "client") == set()
    variables = environment_of(host, "client")
    assert {name: value for name, value in variables.items() if name.startswith("DEDO_IMEDO_")} == {
        "DEDO_IMEDO_NAME": "/client/dedo-imedo",
        "DEDO_IMEDO_PORT": f"tcp://{address}:22",
        "DEDO_IMEDO_PORT_22_TCP": f"tcp://{address}:22",
        "DEDO_IMEDO_PORT_22_TCP_ADDR": address,
        "DEDO_IMEDO_PORT_22_TCP_PORT": "22",
        "DEDO_IMEDO_PORT_22_TCP_PROTO": "tcp",
        "DEDO_IMEDO_PORT_53_UDP": f"udp://{address}:53",
        "DEDO_IMEDO_PORT_53_UDP_ADDR": address,
        "DEDO_IMEDO_PORT_53_UDP_PORT": "53",
        "DEDO_IMEDO_PORT_53_UDP_PROTO": "udp",
        "DEDO_IMEDO_PORT_80_TCP": f"tcp://{address}:80",
        "DEDO_IMEDO_PORT_80_TCP_ADDR": address,
        "DEDO_IMEDO_PORT_80_TCP_PORT": "80",
        "DEDO_IMEDO_PORT_80_TCP_PROTO": "tcp",
        "DEDO_IMEDO_ENV_GREETING": "hello",
        "DEDO_IMEDO_ENV_PASSWORD": CANARY,
    }
    assert variables["OWN"] == "mine"
    host.container("web").serve(80)
    assert lookup(host, "client", "dedo-imedo") == {address}
    answer = host.container("client").ask(address, 80)
    assert answer is not None
    assert answer.name == "web"
    # What is secret of the target stays so.
    for arguments in (("inspect", "tutorial/client"), ("snapshot",), ("plan", "--format", "json", "stack.yaml")):
        shown = host.netapply(*arguments, check=False)
        assert CANARY not in shown.stdout + shown.stderr
    assert CANARY not in done.stdout + done.stderr


@pytest.mark.founding("S1-41", "S3-20")
def test_the_name_follows_an_address_that_changes(host: Host) -> None:
    """S1-41, S3-20: in the same run, in both families, without a restart of the client."""
    host.write("stack.yaml", SHOP.format(address="10.7.0.10"))
    host.netapply("up", "stack.yaml")
    process = pid(host, "client")
    before = lookup(host, "client", "dedoimedo")
    assert "10.7.0.10" in before
    assert len(before) == 2
    assert environment_of(host, "client")["DEDOIMEDO_PORT_80_TCP_ADDR"] == "10.7.0.10"
    host.write("stack.yaml", SHOP.format(address="10.7.0.20"))
    host.netapply("up", "stack.yaml")
    assert lookup(host, "client", "dedoimedo") == before - {"10.7.0.10"} | {"10.7.0.20"}
    assert lookup(host, "client", "web") == lookup(host, "client", "dedoimedo")
    assert pid(host, "client") == process
    # As of the start: an environment cannot be changed from outside.
    assert environment_of(host, "client")["DEDOIMEDO_PORT_80_TCP_ADDR"] == "10.7.0.10"
    assert host.plan("stack.yaml") == []
    host.container("web").serve(80)
    assert host.container("client").ask("10.7.0.20", 80) is not None


def test_a_link_comes_and_goes_under_a_running_command(host: Host) -> None:
    text = SHOP.format(address="10.7.0.10")
    host.write("stack.yaml", text)
    host.netapply("up", "stack.yaml")
    process = pid(host, "client")
    host.write("stack.yaml", text.replace('[web, "web:dedoimedo"]', '["web:other"]'))
    assert {change for change in named(host.plan("stack.yaml")) if " process " in change} == set()
    host.netapply("up", "stack.yaml")
    assert lookup(host, "client", "dedoimedo") == set()
    assert "10.7.0.10" in lookup(host, "client", "other")
    assert pid(host, "client") == process


BILLING = """
name: billing
containers:
  ledger:
    command: [sleep, "600"]
    external_links: ["{target}:database"]
    networks: [shared]
networks: {{shared: {{external: true, name: shop_front}}}}
"""


@pytest.mark.parametrize("target", ["web", "shop/web"])
def test_an_external_link_leads_into_another_stack(host: Host, target: str) -> None:
    host.write("shop.yaml", SHOP.format(address="10.7.0.10"))
    host.write("billing.yaml", BILLING.format(target=target))
    host.netapply("up", "shop.yaml")
    host.netapply("up", "billing.yaml")
    assert "10.7.0.10 database web" in hosts_of(host, "ledger")
    assert "10.7.0.10" in lookup(host, "ledger", "database")
    assert host.plan("shop.yaml", "billing.yaml") == []
    # The target cannot go while the link stands, nor can it alone be taken out of its stack.
    done = host.netapply("down", "shop.yaml", check=False)
    assert done.returncode == 1
    assert "container shop/web is linked to by billing/ledger" in done.stderr
    host.netapply("down", "billing.yaml", "shop.yaml")
    assert host.ps() == []
    # Both at once, whichever is named first.
    host.netapply("up", "billing.yaml", "shop.yaml")
    assert "10.7.0.10" in lookup(host, "ledger", "database")


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (
            "name: a\ncontainers:\n  web: {}\n  client:\n    external_links:\n      - nobody\n",
            "a.yaml:6:9: error: container client links to nobody, and there is no such container",
        ),
        (
            "name: a\ncontainers:\n  web: {networks: [x]}\n  client:\n    networks: [y]\n    links:\n      - web\nnetworks: {x: {}, y: {}}\n",
            "a.yaml:7:9: error: container client links to web, but they share no network: web is on a_x, client on a_y",
        ),
        (
            "name: a\ncontainers:\n  web: {network_mode: host}\n  client:\n    links:\n      - web\n",
            "a.yaml:6:9: error: container client links to web, but that one uses the host's network",
        ),
    ],
)
def test_a_link_that_leads_nowhere_is_refused_with_its_place(host: Host, manifest: str, said: str) -> None:
    host.write("a.yaml", manifest)
    done = host.netapply("up", "a.yaml", check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert not Path("/run/netapply").exists() or not any(Path("/run/netapply").rglob("hosts"))


def test_a_link_to_a_joiner_leads_to_the_owner_of_the_namespace(host: Host) -> None:
    host.write(
        "stack.yaml",
        "name: shop\ncontainers:\n  web: {}\n  app: {network_mode: 'service:web'}\n  client: {links: [app]}\n",
    )
    host.netapply("up", "stack.yaml")
    assert f"{ipv4(host, 'web')} app" in hosts_of(host, "client")
