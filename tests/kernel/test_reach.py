"""``reach`` against real packets: every answer that it gives is the one that the kernel gives."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from reconciler.observation import Observation
from reconciler.reach.packet import family_of
from reconciler.reach.reaching import Reacher
from reconciler.reach.verdict import Verdict
from reconciler.reach.world import HOST, OUTSIDE
from reconciler.resources.bridge import Bridge
from reconciler.snapshot import observation_from_document
from tests.kernel.lab import Host, Lab, Machine
from tests.kernel.random_stacks import PROTOCOLS, SERVICES, Stack, random_stack
from tests.kernel.talk import Protocol
from tests.kernel.test_isolation import needs

HOST_SERVICE = 7000
"""What a program of the host's listens on, on all of its addresses."""
QUESTIONS = 120
"""How many are tried for each stack."""


class Question(NamedTuple):
    """``asker`` is a container, host, or one of the machines outside by its name."""

    asker: str
    address: str
    port: int
    protocol: Protocol


class World:
    """A host that netapply wired, everybody on it and around it, and what ``snapshot`` says of it."""

    def __init__(self, lab: Lab, stack: Stack, outsiders: int = 2) -> None:
        self.host = lab.host()
        self.outsiders = [lab.machine(f"outside{number}") for number in range(1, outsiders + 1)]
        for command in stack.before:
            self.host.run(command)
        self.host.write("stack.yaml", json.dumps(stack.manifest, indent=1))
        self.host.netapply("--firewall", stack.backend, "up", "stack.yaml")
        self.observation = observe(self.host, stack.backend)
        bridges = sorted(each.interface for each in self.observation.state if isinstance(each, Bridge))
        if stack.drift and bridges:
            for command in stack.drift:
                self.host.run([bridges[0] if word == "BRIDGE" else word for word in command], check=False)
            self.observation = observe(self.host, stack.backend)
        self.reacher = Reacher(self.observation.state, self.observation.facts)
        self.machines = self._machines(lab)
        for outsider in self.outsiders:
            # Somebody who sends us whatever he does not know, as the LAN's router would.
            lines = [f"route add default via {self.host.ipv4}", f"route add default via {self.host.ipv6}"]
            outsider.run(["ip", "-batch", "-"], stdin="\n".join(lines))

    def _machines(self, lab: Lab) -> dict[str, Machine]:
        """All of them by the word that ``reach`` has for them, each with a server."""
        homes = self.reacher.world.homes
        found: dict[str, Machine] = {"host": self.host, **{each.name: each for each in self.outsiders}}
        for each in self.host.ps():
            name = f"{each['stack']}/{each['name']}"
            found[name] = Machine(lab, name, Path(each["netns"]))
        self.host.serve(HOST_SERVICE, name="host")
        for outsider in self.outsiders:
            outsider.serve(*SERVICES, name=OUTSIDE)
        for name, machine in found.items():
            if homes.get(name) == name:
                machine.serve(*SERVICES, name=name)
        return found

    def verdict(self, question: Question) -> Verdict:
        asker = self.machines[question.asker]
        word = question.asker
        if asker in self.outsiders:
            word = asker.ipv6 if family_of(question.address) == 6 else asker.ipv4
        return self.reacher.reach(word, question.address, question.port, question.protocol)

    def questions(self, dice: random.Random) -> list[Question]:
        world = self.reacher.world
        places = [(place, sorted(addresses)) for place, addresses in sorted(world.local.items()) if addresses]
        published = sorted({(port.host_port, port.protocol) for port in self.reacher.rules.ports.values()})
        found = []
        for _ in range(QUESTIONS):
            asker = dice.choice(sorted(self.machines))
            place, addresses = dice.choice([*places, *[each for each in places if each[0] == HOST] * 2])
            protocol = dice.choice(PROTOCOLS)
            port = dice.choice(SERVICES)
            if place == HOST and self.reacher.world.homes.get(asker, HOST) == HOST:
                addresses = [*addresses, "127.0.0.1"]
            if place == HOST:
                port = HOST_SERVICE
                if published and dice.random() < 0.8:
                    port, word = dice.choice(published)
                    protocol = "udp" if word == "udp" else "tcp"
            floating = self.reacher.rules.floating
            address = dice.choice(addresses)
            if address in floating and (address, protocol, port) not in self.reacher.rules.ports:
                port = dice.choice(SERVICES)
            if dice.random() < 0.1 and self.machines[asker] not in self.outsiders:
                outsider = dice.choice(self.outsiders)
                address, port = dice.choice([outsider.ipv4, outsider.ipv6]), dice.choice(SERVICES)
            found.append(Question(asker, address, port, protocol))
        return sorted(set(found))

    def disagreements(self, questions: list[Question], lab: Lab) -> Iterator[str]:
        verdicts = {question: self.verdict(question) for question in questions}
        groups = [[q for q in questions if verdicts[q].reachable is wanted] for wanted in (True, False)]
        for group, patience in zip(groups, (2.0, 0.4), strict=True):
            asked = [(self.machines[q.asker], q.address, q.port, q.protocol) for q in group]
            for question, first in zip(group, lab.ask_all(asked, patience), strict=True):
                verdict = verdicts[question]
                # On a busy machine an answer may take long: who should have got one is asked once more, alone.
                missing = first is None and verdict.reachable
                answer = self.machines[question.asker].ask(*question[1:], timeout=5.0) if missing else first
                heard = answer.name if answer else None
                if heard != words(verdict):
                    yield report(question, heard, verdict)


def words(verdict: Verdict) -> str | None:
    """The name of the server that should answer."""
    return "host" if verdict.answered_by == HOST else verdict.answered_by


def report(question: Question, heard: str | None, verdict: Verdict) -> str:
    path = "\n".join(f"    {hop}" for hop in verdict.path)
    return f"{question}: {heard or 'nobody'} answers, reach says {words(verdict) or 'nobody'}:\n{path}"


def observe(host: Host, backend: str) -> Observation:
    return observation_from_document(json.loads(host.netapply("--firewall", backend, "snapshot").stdout))


@contextmanager
def a_lab(folder: Path) -> Iterator[Lab]:
    folder.mkdir()
    lab = Lab(folder)
    try:
        yield lab
    finally:
        lab.close()


def compare(folder: Path, seed: int) -> list[str]:
    stack = random_stack(seed)
    with a_lab(folder / str(seed)) as lab:
        world = World(lab, stack)
        questions = world.questions(random.Random(seed))  # noqa: S311  # a test's examples
        found = list(world.disagreements(questions, lab))
    return [f"seed {seed}, {stack}", *found] if found else []


@pytest.mark.founding("S1-50")
@pytest.mark.parametrize("seed", range(12))
def test_every_answer_is_the_kernels(tmp_path: Path, seed: int) -> None:
    if random_stack(seed).backend == "iptables":
        needs("iptables")
    found = compare(tmp_path, seed)
    assert not found, "\n".join(found)


STACK = """\
name: shop
networks:
  front: {}
  back: {}
containers:
  web: {networks: [front], ports: ["8080:80"]}
  db: {networks: [back]}
"""


def reached(host: Host, *arguments: str, code: int = 0) -> Any:
    done = host.netapply("reach", "--format", "json", *arguments, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.founding("S1-28", "S1-50")
def test_the_command_asks_the_host_as_it_is_and_says_what_is_missing(host: Host, outside: Machine) -> None:
    """S1-28, S1-50."""
    host.write("stack.yaml", STACK)
    host.netapply("up", "stack.yaml")
    host.container("web").serve(80)
    verdict = reached(host, "outside", "host:8080")
    assert verdict["reachable"]
    assert [hop["at"] for hop in verdict["path"]] == ["outside", "host", "host", "host", "container web"]
    assert outside.ask(host.ipv4, 8080)
    placed = reached(host, "-f", "stack.yaml", "--live", "outside", "host:8080")
    assert "stack.yaml:6:36" in [hop["source"] for hop in placed["path"]]
    text = host.netapply("reach", "db", "web:80", check=False)
    assert text.returncode == 2
    assert text.stdout.splitlines()[0] == "db does not reach web:80/tcp"
    assert "x 3. host: forward: drop, addresses of network front" in text.stdout
    host.sysctl("net/ipv4/ip_forward", "0")
    assert outside.ask(host.ipv4, 8080, timeout=0.4) is None
    cause = reached(host, "outside", "host:8080", code=2)["path"][-1]
    assert (cause["at"], cause["what"]) == ("host", "does not forward: sysctl net.ipv4.ip_forward = 1 is missing")
    assert reached(host, "-f", "stack.yaml", "--planned", "outside", "host:8080")["reachable"]
    for wrong in (("web",), ("web", "db"), ("web", "db:0"), ("wbe", "db:80"), ("web", "db:80", "--matrix")):
        done = host.netapply("reach", *wrong, check=False)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)


@pytest.mark.founding("S2-11", "S2-26")
def test_the_missing_input_rule_of_host_mode_is_named(host: Host, outside: Machine) -> None:
    """S2-11, S2-26."""
    for rule in ("-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-i lo -j ACCEPT"):
        host.run(["iptables", "-w", "-A", "INPUT", *rule.split()])
    host.run(["iptables", "-w", "-P", "INPUT", "DROP"])
    host.write(
        "stack.yaml", "name: s\ncontainers:\n  web: {network_mode: host, open: [80]}\n  app: {network_mode: host}\n"
    )
    host.netapply("up", "stack.yaml")
    host.serve(80, 81)
    assert outside.ask(host.ipv4, 80)
    assert reached(host, "192.0.2.2", "web:80")["reachable"]
    assert outside.ask(host.ipv4, 81, timeout=0.4) is None
    cause = reached(host, "192.0.2.2", "app:81", code=2)["path"][-1]["what"]
    assert (
        "chain INPUT of ip filter (iptables-nft) drops what its rules, which are not followed, do not accept" in cause
    )
    assert "no container opens 192.0.2.1:81/tcp with open:" in cause


def test_the_probe_tries_it_and_says_where_it_disagrees(host: Host, outside: Machine) -> None:
    host.write("stack.yaml", STACK)
    host.netapply("up", "stack.yaml")
    for question, code in (("host host:8080", 0), ("db host:8080", 0), ("db web:80", 2), ("host web:53/udp", 0)):
        found = reached(host, "--probe", *question.split(), code=code)
        assert found["probe"]["arrives"] == (code == 0), found
    host.container("web").serve(80)
    assert reached(host, "--probe", "host", "host:8080")["probe"]["arrives"]
    host.run(
        [
            "nft",
            "add table ip other; add chain ip other x { type filter hook forward priority 5; }; add rule ip other x tcp dport 80 drop",
        ]
    )
    done = host.netapply("reach", "--probe", "db", "host:8080", check=False)
    assert done.returncode == 1
    assert "the probe disagrees: nothing came back within two seconds" in done.stderr
    assert "cannot be tried from here" in host.netapply("reach", "--probe", "outside", "host:8080", check=False).stderr


def test_the_matrix_of_a_live_host(host: Host) -> None:
    host.write("stack.yaml", STACK)
    host.netapply("up", "stack.yaml")
    cells = {(cell["from"], cell["to"], cell["port"]): cell["reachable"] for cell in reached(host, "--matrix")}
    assert cells["outside", "host", 8080]
    assert not cells["outside", "shop/web", 80]
    assert cells["shop/db", "host", 8080]
    assert not cells["shop/db", "shop/web", 80]
    assert cells["host", "shop/web", 80]
    whole = host.netapply("reach", "--matrix")
    assert "shop/web:80/tcp\n    from  host\n    not   shop/db, outside\n" in whole.stdout
    assert whole.stderr == ""
    host.run(["nft", "insert", "rule", "inet", "netapply", "judge", "drop"])
    for question, code in ((["--matrix"], 0), (["host", "db:80"], 0), (["outside", "host:8080"], 1)):
        done = host.netapply("reach", *question, check=False)
        assert (done.returncode, "were changed by somebody" in done.stderr) == (code, True)


@pytest.mark.long
@pytest.mark.founding("S1-50")
@pytest.mark.parametrize("seed", range(100, 340))
def test_every_answer_is_the_kernels_for_two_hundred_stacks(tmp_path: Path, seed: int) -> None:
    test_every_answer_is_the_kernels(tmp_path, seed)
