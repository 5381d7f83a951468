"""``reach`` where the bridge itself sends on what the host translated on it, against real packets."""

from __future__ import annotations

from itertools import product

from reconciler.reach.reaching import Reacher
from reconciler.resources.endpoint import Endpoint
from tests.kernel.lab import Host, Question
from tests.kernel.test_reach import observe

STACK = """\
name: shop
networks:
  front: {enable_ipv6: true}
  apart: {enable_ipv6: true, driver_opts: {com.docker.network.bridge.enable_icc: "false"}}
containers:
  web: {networks: [front], ports: ["8080:80"]}
  app: {networks: [front]}
  vpn: {networks: [front]}
  client: {networks: {front: {gateway: "container:vpn"}}, ports: ["8100:80"]}
  lone: {networks: [apart], ports: ["8200:80"]}
"""
ASKED = (("web", 8080), ("app", 8080), ("client", 8100), ("client", 8080), ("lone", 8200))


def test_a_port_without_hairpin_takes_nothing_back_where_the_bridge_sends_it_on(host: Host) -> None:
    """With bridge-nf-call, or with icc off; what the host routes needs none. IPv6 asks no forwarding then, IPv4 does."""
    host.write("stack.yaml", STACK)
    host.netapply("up", "stack.yaml")
    machines = {name: host.container(name) for name, _ in ASKED}
    for machine in machines.values():
        machine.serve(80)
    ports = [each.host_interface for each in observe(host, "nftables").state if isinstance(each, Endpoint)]
    causes = set()
    for calls, hairpin, forwards in (*product("01", ("on", "off"), "1"), ("1", "on", "0"), ("1", "off", "0")):
        for program in ("iptables", "ip6tables"):
            host.sysctl(f"net/bridge/bridge-nf-call-{program}", calls)
        lines = [f"link set {port} type bridge_slave hairpin {hairpin}" for port in ports]
        host.run(["ip", "-batch", "-"], stdin="\n".join(lines))
        host.sysctl("net/ipv4/ip_forward", forwards)
        host.sysctl("net/ipv6/conf/all/forwarding", forwards)
        seen = observe(host, "nftables")
        reacher = Reacher(seen.state, seen.facts)
        asked = [(name, address, port) for name, port in ASKED for address in (host.ipv4, host.ipv6)]
        verdicts = [reacher.reach(*each) for each in asked]
        causes |= {verdict.cause.what for verdict in verdicts if not verdict.reachable}
        questions: list[Question] = [(machines[name], address, port, "tcp") for name, address, port in asked]
        answers = host.lab.ask_all(questions, 0.3)
        for question, verdict, first in zip(questions, verdicts, answers, strict=True):
            # On a busy machine an answer may take long: who should have got one is asked once more, alone.
            answer = question[0].ask(*question[1:]) if first is None and verdict.reachable else first
            assert verdict.reachable == (answer is not None), (calls, hairpin, forwards, question, verdict)
    assert any("takes nothing back that came from it (hairpin: off)" in cause for cause in causes)
