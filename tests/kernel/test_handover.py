"""What one network, container or stack gives up and another takes in the same run: one change, not a failure."""

from __future__ import annotations

import pytest

from tests.kernel.lab import Host, Machine


@pytest.fixture(params=["nftables", "iptables"])
def backend(request: pytest.FixtureRequest) -> str:
    if request.param == "iptables":
        pytest.importorskip("iptc", reason="the extra netapply[iptables] is not installed")
    return str(request.param)


def stack(name: str, subnet: str, port: str, network: str = "front") -> str:
    return f"""
name: {name}
networks: {{{network}: {{ipam: {{config: [{{subnet: {subnet}}}]}}}}}}
containers: {{web: {{networks: [{network}], ports: ['{port}:80']}}}}
"""


def up(host: Host, backend: str, **texts: str) -> None:
    for name, text in texts.items():
        host.write(f"stacks/{name}.yaml", text)
    host.netapply("--firewall", backend, "up", "stacks")
    assert host.plan("stacks") == []


def test_a_renamed_network_keeps_its_subnet(host: Host, outside: Machine, backend: str) -> None:
    up(host, backend, one=stack("one", "172.30.1.0/24", "801"))
    up(host, backend, one=stack("one", "172.30.1.0/24", "801", network="renamed"))
    host.container("web").serve(80)
    assert outside.ask(host.ipv4, 801) is not None
    assert outside.ask(host.container("web").ipv4, 80, timeout=0.4) is None


def test_subnets_and_ports_go_from_stack_to_stack(host: Host, outside: Machine, backend: str) -> None:
    bystander = stack("zoo", "172.30.7.0/24", "807")
    up(host, backend, one=stack("one", "172.30.1.0/24", "801"), two=stack("two", "172.30.2.0/24", "802"), zoo=bystander)
    host.container("web", stack="zoo").serve(80)
    connection = outside.connect(host.ipv4, 807)
    up(host, backend, one=stack("one", "172.30.2.0/24", "802"), two=stack("two", "172.30.1.0/24", "801"))
    # One address of the host is part of every address.
    up(host, backend, one=stack("one", "172.30.2.0/24", "127.0.0.1:801"), two=stack("two", "172.30.1.0/24", "802"))
    up(host, backend, one=stack("one", "172.30.2.0/24", "801"), two=stack("two", "172.30.3.0/24", "127.0.0.1:802"))
    # A wider subnet takes the place of two.
    up(host, backend, one=stack("one", "172.30.2.0/23", "802"), two=stack("two", "172.30.9.0/24", "801"))
    assert connection.alive()
    for name in ("one", "two"):
        host.container("web", stack=name).serve(80, name=name)
    answers = [outside.ask(host.ipv4, port) for port in (801, 802)]
    assert [answer.name if answer else "" for answer in answers] == ["two", "one"]
    assert host.sysctl("net/ipv4/ip_forward") == "1"


def test_one_takes_all_that_another_leaves(host: Host, outside: Machine, backend: str) -> None:
    up(host, backend, one=stack("one", "172.30.1.0/24", "801"), two="name: two\ncontainers: {}\n")
    up(host, backend, one="name: one\ncontainers: {}\n", two=stack("two", "172.30.1.0/24", "801"))
    host.container("web", stack="two").serve(80)
    assert outside.ask(host.ipv4, 801) is not None


def test_what_fails_is_undone_for_both(host: Host, backend: str) -> None:
    first = {"one": stack("one", "172.30.1.0/24", "801"), "two": stack("two", "172.30.2.0/24", "802")}
    up(host, backend, **first)
    before = host.snapshot()
    host.write("stacks/one.yaml", stack("one", "172.30.2.0/24", "802"))
    broken = stack("two", "172.30.1.0/24", "801").replace("'801:80']", "'801:80'], command: [/no/such/program]")
    host.write("stacks/two.yaml", broken)
    said = host.netapply("up", "stacks", check=False).stderr
    assert "/no/such/program" in said
    assert before.difference(host.snapshot()) == []
    up(host, backend, **first)
