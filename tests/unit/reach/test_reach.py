"""``reach``: what it says of a stack, and of one of which a part is missing. The kernel's word: tests/kernel/test_reach.py."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from reconciler.cli.main import netapply
from reconciler.desired.assumed import assumed_facts
from reconciler.desired.build import desired
from reconciler.desired.scope import Scope
from reconciler.errors import NetapplyError
from reconciler.firewall.policy import FirewallBase, HostAccept
from reconciler.library import load_manifest
from reconciler.observation import Observation
from reconciler.reach.matrix import Cell, matrix, matrix_difference
from reconciler.reach.reaching import Reacher, reach
from reconciler.reach.verdict import Verdict
from reconciler.resources.address import Address
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.namespace import Namespace
from reconciler.resources.sysctl import Sysctl
from reconciler.state import Resource, State
from tests.kernel.random_stacks import random_stack

SCHEMA = Path(__file__).parents[3] / "schemas/plan.schema.json"
STACK = """\
name: shop
networks:
  front: {enable_ipv6: true, allow: [{network: open, ports: [80/tcp]}]}
  back: {internal: true}
  apart: {driver_opts: {com.docker.network.bridge.enable_icc: "false"}}
  open: {driver_opts: {com.docker.network.bridge.gateway_mode_ipv4: nat-unprotected}}
  direct: {driver_opts: {com.docker.network.bridge.gateway_mode_ipv4: routed}}
  lan: {driver: macvlan, driver_opts: {parent: eth9}, ipam: {config: [{subnet: 198.51.100.0/24}]}}
containers:
  web: {networks: [front, back], ports: ["8080:80", "127.0.0.1:8081:81"]}
  app: {networks: [front], ports: [{target: 80, published: 8090, sources: [192.0.2.7]}]}
  db: {networks: [back]}
  a1: {networks: [apart], ports: ["9000:90"]}
  a2: {networks: [apart]}
  o1: {networks: [open]}
  r1: {networks: [direct], ports: ["80"]}
  side: {network_mode: "service:web"}
  alone: {network_mode: none}
  hostly: {network_mode: host, open: [{port: 7000, sources: [192.0.2.0/25]}]}
  vpn: {networks: [front, open]}
  client: {networks: {front: {gateway: "container:vpn"}}, ports: ["8100:80"]}
  m1: {networks: [lan]}
  m2: {networks: [lan]}
  lost: {networks: {front: {routes: [{to: 192.0.2.0/24, type: blackhole}]}}}
"""


@pytest.fixture(scope="module")
def observation(tmp_path_factory: pytest.TempPathFactory) -> Observation:
    """What ``STACK`` makes of an empty host."""
    return made(tmp_path_factory.mktemp("reach") / "stack.yaml", STACK)


def made(path: Path, text: str) -> Observation:
    path.write_text(text)
    manifest = load_manifest(path)
    facts = assumed_facts([manifest])
    return Observation(desired(Scope(frozenset({manifest.stack}), (manifest,)), Observation(State(), facts)), facts)


def ask(observation: Observation, question: str) -> Verdict:
    origin, target = question.split()
    to, _, port = target.rpartition(":")
    number, _, protocol = port.partition("/")
    return reach(observation.state, observation.facts, origin, to, int(number), protocol or "tcp")


def without(observation: Observation, unwanted: Callable[[Resource], bool], **facts: Any) -> Observation:
    state = observation.state.where(lambda resource: not unwanted(resource))
    return Observation(state, replace(observation.facts, **facts))


@pytest.mark.founding("S1-28", "S1-50")
@pytest.mark.parametrize(
    ("question", "cause"),
    [
        ("web db:5432", "container db"),
        ("db web:80", "container web"),
        ("app web:80", "container web"),
        ("side db:80", "container db"),
        ("side web:80", "over lo"),
        ("web side:80", "over lo"),
        ("outside host:8080", "container web"),
        ("host host:8080", "container web"),
        ("host host:8081", "container web"),
        ("web host:8080", "container web"),
        ("app host:8080/tcp", "container web"),
        ("a1 host:8080", "container web"),
        ("a2 host:9000", "container a1"),
        ("192.0.2.7 host:8090", "container app"),
        ("host host:8090", "container app"),
        ("host db:80", "container db"),
        ("web host:22", "host"),
        ("db 192.0.2.1:22", None),
        ("web outside:443", "outside"),
        ("app o1:80", "container o1"),
        ("outside o1:80", "container o1"),
        ("outside r1:80", "container r1"),
        ("outside hostly:7000", "only the host's filter INPUT is passed, no translation and no bridge"),
        ("client outside:80", "outside"),
        ("host host:8100", "container client"),
        ("m1 m2:80", "container m2"),
        ("outside m1:80", "container m1"),
        ("m1 host:22", None),
        ("db outside:80", None),
    ],
)
def test_yes_and_who_has_it_in_the_end(observation: Observation, question: str, cause: str | None) -> None:
    verdict = ask(observation, question)
    assert verdict.reachable == (cause is not None), verdict
    assert cause is None or cause in str(verdict.cause)


@pytest.mark.founding("S1-50")
@pytest.mark.parametrize(
    ("question", "at", "what", "line"),
    [
        ("a1 a2:80", "network shop_apart", "kept apart (icc off)", 5),
        ("a1 web:80", "host", "addresses of network front are not reached from elsewhere (gateway mode nat)", 3),
        ("outside web:80", "host", "addresses of network front are not reached from elsewhere (gateway mode nat)", 3),
        ("o1 db:80", "host", "network back is internal", 4),
        ("db outside:80", "container db", "no route to", 12),
        ("alone web:80", "container alone", "only its own loopback", 18),
        ("web alone:80", "alone", "no address that could be asked", 18),
        ("outside host:8081", "host", "published at 127.0.0.1 only", 10),
        ("outside host:8090", "host", "published from 192.0.2.7/32 only, not for 192.0.2.254", 11),
        ("outside r1:81", "host", "is not published, and network direct has gateway mode routed", 7),
        ("outside host:8100", "container vpn", "the answer is lost: drop, it belongs to no connection", 21),
        ("m1 host:22", "container m1", "is sent to the LAN's router", None),
        ("lost 192.0.2.9:80", "container lost", "blackhole route to 192.0.2.0/24", 24),
        ("web 172.20.229.99:80", "container web", "nobody on the network shop_front has the address", 10),
    ],
)
def test_no_names_the_cause_and_the_line(
    observation: Observation, question: str, at: str, what: str, line: int | None
) -> None:
    verdict = ask(observation, question)
    cause = verdict.cause
    assert not verdict.reachable
    assert cause.at == at, verdict
    assert what in cause.what
    assert (cause.source.line if cause.source else None) == line


@pytest.mark.founding("S1-11", "S1-28")
def test_the_missing_piece_is_named(observation: Observation) -> None:
    """S1-11, S1-28."""
    still = without(observation, lambda each: isinstance(each, Sysctl) and not each.namespace)
    verdict = ask(still, "outside host:8080")
    assert not verdict.reachable
    assert str(verdict.cause) == "host: does not forward: sysctl net.ipv4.ip_forward = 1 is missing"

    flushed = without(observation, lambda each: isinstance(each, FirewallBase))
    assert ask(flushed, "outside host:8080").answered_by == ""
    assert ask(flushed, "a1 web:80").reachable
    assert "firewall table is missing" in ask(flushed, "a1 web:80").path[-2].what

    down = State(replace(each, up=False) if isinstance(each, Bridge) else each for each in observation.state)
    assert "is down" in ask(Observation(down, observation.facts), "web app:80").cause.what

    loose = State(replace(each, bridge="") if isinstance(each, Endpoint) else each for each in observation.state)
    assert "is on no bridge" in ask(Observation(loose, observation.facts), "web app:80").cause.what


@pytest.mark.founding("S1-28", "S2-11")
def test_the_hosts_own_firewall_is_named_with_the_rule_that_is_missing(observation: Observation) -> None:
    """S1-28, S2-11."""
    forward = HostAccept("nft", "inet", "filter", "FORWARD")
    incoming = HostAccept("iptables-nft", "ip", "filter", "INPUT", hook="input")
    closed = without(observation, lambda _: False, wanted_accepts=(forward, incoming))
    dropped = ask(closed, "outside host:8080")
    assert not dropped.reachable
    assert "chain FORWARD of inet filter (nft) drops it" in dropped.cause.what
    opened = ask(closed, "192.0.2.7 hostly:7000")
    assert "netapply's rule that accepts its mark is missing there" in opened.cause.what
    assert opened.cause.source is not None
    assert opened.cause.source.line == 19
    other = ask(closed, "192.0.2.7 hostly:7001")
    assert "chain INPUT of ip filter" in other.cause.what
    assert "no container opens" in other.cause.what

    ruled = Observation(State((*closed.state, forward, incoming)), closed.facts)
    assert ask(ruled, "outside host:8080").reachable
    assert ask(ruled, "192.0.2.7 hostly:7000").reachable
    assert not ask(ruled, "192.0.2.200 hostly:7000").reachable
    without_effect = Observation(State((*closed.state, replace(forward, mark=0))), closed.facts)
    assert not ask(without_effect, "outside host:8080").reachable


@pytest.mark.founding("S2-26")
def test_host_mode_passes_the_hosts_input_and_nothing_else(observation: Observation) -> None:
    """S2-26."""
    verdict = ask(observation, "outside hostly:80")
    assert [hop.at for hop in verdict.path] == ["outside", "host"]
    assert "only the host's filter INPUT is passed, no translation and no bridge" in verdict.cause.what


def test_the_way_is_told_hop_by_hop_with_the_lines_behind_it(observation: Observation) -> None:
    path = ask(observation, "a1 host:8080").path
    assert [hop.at for hop in path] == ["container a1", "host", "host", "host", "container web"]
    assert [hop.source.line if hop.source else None for hop in path] == [13, 10, 3, None, None]
    assert "default route" in path[0].what
    assert "publish 8080/tcp -> web:80" in path[1].what


def test_what_follows_the_handshake_is_lost_where_the_answer_passes_the_host_by(observation: Observation) -> None:
    """A neighbour that is on another network too answers directly; with bridge-nf-call the host sees it all the same."""
    (address,) = (
        each.address.partition("/")[0]
        for each in observation.state
        if isinstance(each, Address) and (each.place, each.interface) == ("shop/vpn", "eth1") and "." in each.address
    )
    lost = ask(observation, f"app {address}:81")
    assert not lost.reachable
    assert "the answer comes by another way, so it knows no connection" in lost.cause.what
    assert ask(observation, f"app {address}:81/udp").reachable
    assert ask(without(observation, lambda _: False, filtered_bridging=(4,)), f"app {address}:81").reachable


def test_with_bridge_nf_call_the_host_catches_what_a_router_was_to_send_on(observation: Observation) -> None:
    called = without(observation, lambda _: False, filtered_bridging=(4, 6))
    ways = [[hop.at for hop in ask(each, "client host:8080").path] for each in (observation, called)]
    assert "container vpn" in ways[0]
    assert "container vpn" not in ways[1]


@pytest.mark.parametrize("question", ["web host:8080", "client host:8100", "a1 host:9000"])
def test_a_port_without_hairpin_matters_where_the_bridge_sends_on(observation: Observation, question: str) -> None:
    """Two machines of one network behind other ports are no hairpin; what the host routes is none either."""
    flat = State(replace(each, hairpin=False) if isinstance(each, Endpoint) else each for each in observation.state)
    called = Observation(flat, replace(observation.facts, filtered_bridging=(4, 6)))
    verdict = ask(called, question)
    assert not verdict.reachable
    assert verdict.cause.what.endswith("takes nothing back that came from it (hairpin: off)")
    assert verdict.cause.source is not None
    assert ask(called, "app host:8080").reachable
    # With icc off the bridge calls the rules by itself.
    routed = ask(Observation(flat, observation.facts), question)
    assert routed.reachable == (not question.startswith("a1")), routed


def test_without_its_namespace_nothing_goes_to_or_from_a_container(observation: Observation) -> None:
    """What stands on the bridge without its other half is all that is left of it; of another only a name."""
    half = next(each for each in observation.state if isinstance(each, Endpoint) and each.container == "shop/db")
    rest = without(observation, lambda each: each.sandbox in {"shop/db", "shop/web"})
    name = Namespace("shop", "shop/web", "", pinned=False)
    gone = Observation(State((*rest.state, replace(half, interface=""), name)), rest.facts)
    for question in ("db db:80", "db app:80", "app db:80", "web web:80", "side web:80", "app side:80"):
        verdict = ask(gone, question)
        assert not verdict.reachable, question
        assert verdict.cause.what == "its network namespace is gone; netapply up makes it again", question
    found = matrix(gone.state, gone.facts)
    assert not any(reachable for cell, reachable in found.items() if cell.origin in {"shop/db", "shop/side"})


@pytest.mark.parametrize(
    ("question", "holds"),
    [
        ("db web:80", True),  # there is no route, whatever the rules say
        ("a1 web:80", False),
        ("outside host:8080", False),  # without rules the host itself answers
        ("web app:80", True),
        ("host web:80", True),
    ],
)
def test_what_is_certain_although_somebody_changed_the_rules(
    observation: Observation, question: str, *, holds: bool
) -> None:
    changed = State(replace(e, intact=False) if isinstance(e, FirewallBase) else e for e in observation.state)
    origin, target = question.split()
    to, _, port = target.rpartition(":")
    for state, expected in ((observation.state, True), (changed, holds)):
        reacher = Reacher(state, observation.facts)
        verdict = reacher.reach(origin, to, int(port))
        assert reacher.holds(verdict, origin, to, int(port)) == expected
        assert reacher.rules.base


@pytest.mark.parametrize(
    ("origin", "target", "words"),
    [
        ("web", "fe80::1", "fe80::1 is a link-local address"),
        ("fe80::1%eth0", "web", "is a link-local address"),
        ("web", "224.0.0.1", "is a multicast address"),
        ("ff02::1", "web", "is a multicast address"),
        ("web", "255.255.255.255", "is the broadcast address, which is everybody's"),
        ("192.0.2.255", "web", "192.0.2.255 is the broadcast address of 192.0.2.0/24"),
        ("web", "172.20.229.255", "172.20.229.255 is the broadcast address of 172.20.229."),
        ("web", "0.0.0.0", "is no machine's address"),
        ("::", "web", "is no machine's address"),
        ("127.0.0.1", "web", "is an address that every machine has for itself"),
        ("::1", "web", "is an address that every machine has for itself"),
        ("192.0.2.7", "2001:db8::1", "192.0.2.7 is an IPv4 address, 2001:db8::1 is none"),
        ("2001:db8::7", "192.0.2.1", "2001:db8::7 is an IPv6 address, 192.0.2.1 is none"),
    ],
)
def test_an_address_that_no_machine_has_is_an_error(
    observation: Observation, origin: str, target: str, words: str
) -> None:
    with pytest.raises(NetapplyError, match=re.escape(words)) as raised:
        reach(observation.state, observation.facts, origin, target, 80)
    assert raised.value.problems[0].hint


def test_a_floating_address_is_its_containers_not_the_hosts(tmp_path: Path) -> None:
    ports = 'ports: ["127.0.0.1:8106:80", "192.0.2.60:8107:81"]'
    host = made(tmp_path / "m.yaml", f"{{name: m, containers: {{d: {{floating_ip: 192.0.2.60}}, web: {{{ports}}}}}}}")
    assert not ask(host, "outside host:8106").reachable
    assert ask(host, "outside 192.0.2.60:8106").answered_by == "m/d"
    # A port that is published at that very address goes before.
    assert ask(host, "outside host:8107").answered_by == "m/web"
    found = matrix(host.state, host.facts)
    assert [cell.origin for cell, reached in found.items() if cell.port == (8106, "tcp") and reached] == ["host"]


def test_who_has_no_address_of_that_family_has_none(observation: Observation) -> None:
    assert ask(observation, "2001:db8::7 db:80").cause.what == "db has no IPv6 address"


def test_names_that_nobody_has_are_errors(observation: Observation) -> None:
    with pytest.raises(NetapplyError, match="there is no container wbe"):
        ask(observation, "wbe db:80")
    with pytest.raises(NetapplyError, match="there is no container dbb"):
        ask(observation, "web dbb:80")


def test_the_matrix_says_what_reach_says(observation: Observation) -> None:
    reacher = Reacher(observation.state, observation.facts)
    found = matrix(observation.state, observation.facts, {"shop/db": [(5432, "tcp")]})
    assert len(found) > 200
    assert found[Cell("shop/web", "shop/db", (5432, "tcp"))]
    for cell, reachable in found.items():
        number, protocol = cell.port or (9, "tcp")
        verdict = reacher.reach(cell.origin, cell.target, number, protocol)
        assert verdict.reachable == reachable, (cell, verdict)


def test_the_matrix_does_not_take_a_healthy_container_for_its_like(tmp_path: Path) -> None:
    """One of two that stand alike has lost its namespace, one its hairpin."""
    text = "name: m\nnetworks: {n: {}}\ncontainers:\n"
    for index in (1, 2):
        text += f"  alone{index}: {{network_mode: none, expose: ['80']}}\n  side{index}: {{network_mode: 'service:alone{index}'}}\n"
        text += f"  web{index}: {{networks: [n], ports: ['{8000 + index}:80']}}\n"
    whole = made(tmp_path / "stack.yaml", text)

    def suffers(each: Resource) -> Resource:
        if isinstance(each, Namespace) and each.container == "m/alone2":
            return replace(each, pinned=False)
        return replace(each, hairpin=False) if isinstance(each, Endpoint) and each.container == "m/web2" else each

    facts = replace(whole.facts, filtered_bridging=(4, 6))
    found = matrix(State(map(suffers, whole.state)), facts, {"m/alone1": [(80, "tcp")], "m/alone2": [(80, "tcp")]})
    assert found[Cell("m/side1", "m/alone1", (80, "tcp"))]
    assert not found[Cell("m/side2", "m/alone2", (80, "tcp"))]
    assert found[Cell("m/web1", "host", (8001, "tcp"))]
    assert not found[Cell("m/web2", "host", (8002, "tcp"))]


@pytest.mark.parametrize("seed", range(20))
def test_the_matrix_of_any_stack_says_what_reach_says(tmp_path: Path, seed: int) -> None:
    stack = random_stack(seed)
    seen = made(tmp_path / "stack.yaml", json.dumps(stack.manifest))
    for facts in (seen.facts, replace(seen.facts, filtered_bridging=(4, 6))):
        reacher = Reacher(seen.state, facts)
        for cell, reachable in matrix(seen.state, facts).items():
            number, protocol = cell.port or (9, "tcp")
            assert reacher.reach(cell.origin, cell.target, number, protocol).reachable == reachable, cell


def test_what_a_change_opens_and_closes(tmp_path: Path, observation: Observation) -> None:
    changed = STACK.replace('"8080:80", ', '"8085:80", ').replace("back: {internal: true}", "back: {}")
    after = made(tmp_path / "stack.yaml", changed)
    old, new = (matrix(each.state, each.facts) for each in (observation, after))
    difference = matrix_difference(old, new)
    assert "outside -> host:8085/tcp" in map(str, difference.opened)
    assert "outside -> host:8080/tcp" in map(str, difference.closed)
    assert not matrix_difference(new, new)


def test_certain_ports_say_nothing_of_any_other() -> None:
    any_port, one = Cell("outside", "host", None), Cell("outside", "host", (8080, "tcp"))
    difference = matrix_difference({any_port: True}, {one: True})
    assert (difference.opened, difference.closed) == ((one,), ())
    assert matrix_difference({}, {any_port: True}).opened == (any_port,)


WITH_PORT = "name: m\ncontainers: {web: {ports: ['8080:80']}, db: {expose: ['5432']}}\n"


@pytest.fixture
def matrix_plan(tmp_path: Path) -> Callable[[str, str], str]:
    """What ``plan --matrix`` of a form prints, from an old manifest to WITH_PORT."""

    def printed(old: str, form: str) -> str:
        for file_name, text in (("old.yaml", old), ("new.yaml", WITH_PORT)):
            (tmp_path / file_name).write_text(text)
        arguments = ["plan", "--matrix", "--format", form, "--base"]
        return (
            CliRunner()
            .invoke(netapply, [*arguments, *(str(tmp_path / each) for each in ("old.yaml", "new.yaml"))])
            .output
        )

    return printed


WAY = "host:8080/tcp  from host, m/db, m/web, outside"


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("text", f"reaches from now on\n  + {WAY}\n"),
        ("markdown", f"<summary>Who reaches whom</summary>\n\n```diff\n+ {WAY}\n"),
        ("html", f'<h3>reaches from now on</h3><ul><li class="added">+ {WAY}</li>'),
    ],
)
def test_a_plan_shows_who_reaches_what_from_now_on(
    matrix_plan: Callable[[str, str], str], form: str, line: str
) -> None:
    assert line in matrix_plan("name: m\ncontainers: {}\n", form)
    same = matrix_plan(WITH_PORT.replace("web: {", "web: {extra_hosts: ['a:192.0.2.1'], "), form)
    assert "who reaches whom stays as it is" in same
    assert WAY not in same


def test_programs_read_who_reaches_what_from_now_on(matrix_plan: Callable[[str, str], str]) -> None:
    document = json.loads(matrix_plan(WITH_PORT.replace("8080:80", "8081:80"), "json"))
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)
    cell = {"from": "outside", "to": "host", "port": 8080, "protocol": "tcp"}
    assert cell in document["reach"]["opened"]
    assert {**cell, "port": 8081} in document["reach"]["closed"]


def test_the_matrix_of_a_hundred_containers_takes_less_than_a_second(tmp_path: Path) -> None:
    networks = "".join(f"  n{index}: {{enable_ipv6: true}}\n" for index in range(8))
    containers = "".join(
        f'  c{index}: {{networks: [n{index % 8}, n{(index + 1) % 8}], ports: ["{8000 + index}:80"], expose: ["90"]}}\n'
        for index in range(100)
    )
    large = made(tmp_path / "stack.yaml", f"name: shop\nnetworks:\n{networks}containers:\n{containers}")
    times = []
    for _ in range(3):
        start = time.process_time()
        assert len(matrix(large.state, large.facts)) > 100 * 100
        times.append(time.process_time() - start)
    # The aim is a second, which is a third of it on a slow machine.
    assert min(times) < 3.0
