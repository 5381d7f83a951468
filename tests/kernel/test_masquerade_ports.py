"""``masquerade_ports``: who is asked sees a source port of the range, in both families and by both backends."""

from __future__ import annotations

import pytest

from tests.kernel.lab import Host, Machine

STACK = """
name: shop
networks:
  front: {{enable_ipv6: true{front}}}
  back: {{enable_ipv6: true{back}}}
services:
  web: {{networks: [front]}}
  app: {{networks: [back]}}
"""
# Outside of what the kernel chooses by itself (net.ipv4.ip_local_port_range).
FIRST, SECOND = range(20000, 20100), range(21000, 21010)
CHOSEN = range(32768, 61000)


@pytest.fixture(params=["nftables", "iptables"])
def backend(request: pytest.FixtureRequest) -> str:
    if request.param == "iptables":
        pytest.importorskip("iptc", reason="the extra netapply[iptables] is not installed")
    return str(request.param)


def option(ports: range | None) -> str:
    return f", masquerade_ports: {ports[0]}-{ports[-1]}" if ports else ""


def up(host: Host, backend: str, front: range | None, back: range | None = None) -> str:
    host.write("stack.yaml", STACK.format(front=option(front), back=option(back)))
    return host.netapply("--firewall", backend, "up", "stack.yaml").stdout


def source_ports(host: Host, asker: Machine, outside: Machine, times: int = 3) -> set[int]:
    """Those that ``outside`` sees, by TCP and UDP in both families; the address is always the host's."""
    found = set()
    for own, address in ((host.ipv4, outside.ipv4), (host.ipv6, outside.ipv6)):
        for protocol in ("tcp", "udp") * times:
            answer = asker.ask(address, 7000, protocol)
            assert answer is not None
            assert answer.peer_address == own
            found.add(answer.peer_port)
    return found


@pytest.mark.founding("S1-30")
def test_the_source_port_is_of_the_range(host: Host, outside: Machine, backend: str) -> None:
    outside.serve(7000)
    said = up(host, backend, FIRST)
    assert "masqueraded from ports 20000-20099" in said
    assert host.plan("stack.yaml") == []
    web, app = host.container("web"), host.container("app")
    assert source_ports(host, web, outside) <= set(FIRST)
    assert source_ports(host, app, outside) <= set(CHOSEN)
    # What has no ports is masqueraded as before.
    assert web.ping(outside.ipv4)
    assert web.ping(outside.ipv6)


def test_a_changed_range_is_for_new_connections(host: Host, outside: Machine, backend: str) -> None:
    outside.serve(7000)
    up(host, backend, FIRST, FIRST)
    web, app = host.container("web"), host.container("app")
    kept = [machine.connect(outside.ipv4, 7000) for machine in (web, app)]
    said = up(host, backend, SECOND, FIRST)
    assert said.startswith("~ shop/front: isolated from other networks, masqueraded from ports 21000-21009")
    assert source_ports(host, web, outside) <= set(SECOND)
    assert source_ports(host, app, outside) <= set(FIRST)
    # The range that both had goes with the last that has it; one port is a range too.
    up(host, backend, range(7001, 7002), None)
    assert source_ports(host, web, outside, 1) == {7001}
    assert source_ports(host, app, outside) <= set(CHOSEN)
    assert all(connection.alive() for connection in kept)
    for connection in kept:
        # An open socket keeps its namespace, and so the links that 'down' waits for.
        connection.close()
    host.netapply("down", "-p", "shop")
    assert host.run(["nft", "list", "ruleset"]).stdout == ""


def test_a_lost_range_is_drift_and_comes_back(host: Host, outside: Machine, backend: str) -> None:
    outside.serve(7000)
    up(host, backend, FIRST)
    web = host.container("web")
    if backend == "nftables":
        host.run(["nft", "flush", "chain", "inet", "netapply", "masquerade_20000_20099"])
    else:
        for program in ("iptables-legacy", "ip6tables-legacy"):
            rule = host.run([program, "-t", "nat", "-S", "NETAPPLY-POSTROUTING"]).stdout
            (lost,) = [line for line in rule.splitlines() if "-p udp" in line]
            host.run([program, "-t", "nat", *lost.replace("-A", "-D", 1).replace('"', "").split()])
    assert host.plan("stack.yaml") != []
    host.netapply("--firewall", backend, "up", "stack.yaml")
    assert host.plan("stack.yaml") == []
    assert source_ports(host, web, outside, 1) <= set(FIRST)
