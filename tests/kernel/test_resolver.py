"""Names, asked from inside containers: who sees whom, and what keeps that so."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from dnslib import EDNS0, QTYPE, RCODE, RR, A, DNSRecord

from reconciler.kernel import agent_control
from reconciler.kernel.agent_control import AgentStatus
from reconciler.kernel.host import cookie
from reconciler.kernel.processes import process_status
from tests.kernel.isolation import inside
from tests.kernel.lab import Host, Machine
from tests.kernel.talk import connected

SERVER = "127.0.0.11"

TWO_NETWORKS = """\
name: shop
networks:
  front: {enable_ipv6: true, ipam: {config: [{subnet: 10.7.0.0/24}, {subnet: "fd00:7::/64"}]}}
  back: {internal: true, ipam: {config: [{subnet: 10.8.0.0/24}]}}
containers:
  web:
    networks:
      front: {ipv4_address: 10.7.0.2, ipv6_address: "fd00:7::2", aliases: [Shop, www]}
  proxy:
    networks:
      front: {ipv4_address: 10.7.0.3, ipv6_address: "fd00:7::3", aliases: [www]}
      back: {ipv4_address: 10.8.0.3}
  db:
    networks:
      back: {ipv4_address: 10.8.0.4}
"""


def ask(
    machine: Machine, name: str, kind: str = "A", *, protocol: Any = "udp", edns: int = 0, timeout: float = 2.0
) -> DNSRecord:
    """The reply to a question that is asked inside."""
    question = DNSRecord.question(name, kind)
    if edns:
        question.add_ar(EDNS0(udp_len=edns))
    return DNSRecord.parse(exchange(machine, question.pack(), protocol, timeout))


def exchange(machine: Machine, data: bytes, protocol: Any = "udp", timeout: float = 2.0) -> bytes:
    with connected(machine.path, SERVER, 53, protocol, timeout=timeout) as client:
        if protocol == "udp":
            client.send(data)
            return client.recv(65535)
        client.sendall(len(data).to_bytes(2, "big") + data)
        return read_framed(client)


def read_framed(client: socket.socket) -> bytes:
    received = b""
    while len(received) < 2 or len(received) < 2 + int.from_bytes(received[:2], "big"):
        block = client.recv(65537)
        assert block, "closed"
        received += block
    return received[2:]


def addresses(reply: DNSRecord) -> list[str]:
    assert reply.header.rcode == RCODE.NOERROR
    return sorted(str(record.rdata) for record in reply.rr)


def code(reply: DNSRecord) -> str:
    return str(RCODE[reply.header.rcode])


def status_of(host: Host) -> AgentStatus:
    status = agent_control.status(run_folder(host))
    assert status is not None
    return status


def run_folder(host: Host) -> Path:
    return Path("/run/netapply") / str(inside(host.path, cookie))


def kill_agent(host: Host) -> None:
    pid = status_of(host).pid
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while (found := process_status(pid)) is not None and found.state != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def _no_servers(host: Host) -> None:
    """The host knows no nameserver, whatever the machine that the tests run on has."""
    folder = Path("/etc/netns") / host.name
    folder.mkdir()
    (folder / "resolv.conf").write_text("")


@pytest.fixture
def shop(host: Host) -> Host:
    host.write("shop.yaml", TWO_NETWORKS)
    host.netapply("up", "shop.yaml")
    assert host.plan("shop.yaml") == []
    return host


def test_a_container_sees_the_names_of_its_networks_and_no_others(shop: Host) -> None:
    web, proxy, db = shop.container("web"), shop.container("proxy"), shop.container("db")
    assert addresses(ask(web, "proxy")) == ["10.7.0.3"]
    assert addresses(ask(web, "proxy", "AAAA")) == ["fd00:7::3"]
    assert addresses(ask(web, "www")) == ["10.7.0.2", "10.7.0.3"]
    assert addresses(ask(web, "shop")) == ["10.7.0.2"]
    assert addresses(ask(web, "web.shop_front")) == ["10.7.0.2"]
    assert code(ask(web, "db")) == "NXDOMAIN"
    assert code(ask(web, "proxy.shop_back")) == "NXDOMAIN"
    assert addresses(ask(proxy, "db")) == ["10.8.0.4"]
    assert addresses(ask(proxy, "proxy")) == ["10.7.0.3", "10.8.0.3"]
    assert code(ask(db, "web")) == "NXDOMAIN"
    assert addresses(ask(db, "proxy")) == ["10.8.0.3"]


def test_names_of_a_network_that_stacks_share_are_seen_by_both_and_by_nobody_else(shop: Host) -> None:
    shop.write(
        "blog.yaml",
        """\
name: blog
networks:
  front: {external: true, name: shop_front}
  own: {}
containers:
  reader: {networks: {front: {ipv4_address: 10.7.0.9}}}
  writer: {networks: [own]}
  web: {networks: [own]}
""",
    )
    shop.netapply("up", "blog.yaml")
    web, reader, writer = shop.container("web", "shop"), shop.container("reader"), shop.container("writer")
    assert addresses(ask(web, "reader")) == ["10.7.0.9"]
    assert addresses(ask(reader, "web")) == ["10.7.0.2"]
    assert addresses(ask(writer, "web")) == [shop.container("web", "blog").ipv4]
    assert code(ask(writer, "proxy")) == "NXDOMAIN"
    shop.netapply("down", "blog.yaml")
    assert code(ask(web, "reader")) == "NXDOMAIN"


def test_a_name_without_the_asked_record_is_there_but_empty(shop: Host) -> None:
    db = shop.container("db")
    for kind in ("AAAA", "MX", "TXT", "HTTPS"):
        reply = ask(db, "proxy", kind)
        assert (code(reply), reply.rr) == ("NOERROR", [])
    assert code(ask(db, "nobody", "AAAA")) == "NXDOMAIN"


def test_letters_of_either_case_mean_the_same_and_come_back_as_asked(shop: Host) -> None:
    reply = ask(shop.container("web"), "pRoXy.SHOP_front")
    assert addresses(reply) == ["10.7.0.3"]
    assert str(reply.q.qname) == str(reply.rr[0].rname) == "pRoXy.SHOP_front."
    assert reply.rr[0].ttl <= 1


def test_addresses_of_shared_networks_are_looked_up_backwards(shop: Host) -> None:
    web, db = shop.container("web"), shop.container("db")
    (pointer,) = ask(web, "3.0.7.10.in-addr.arpa", "PTR").rr
    assert str(pointer.rdata) == "proxy.shop_front."
    reverse = ip_address("fd00:7::3").reverse_pointer
    (pointer,) = ask(web, reverse, "PTR").rr
    assert str(pointer.rdata) == "proxy.shop_front."
    assert code(ask(web, "4.0.8.10.in-addr.arpa", "PTR")) == "NXDOMAIN"
    assert code(ask(db, "2.0.7.10.in-addr.arpa", "PTR")) == "NXDOMAIN"


def test_addresses_of_one_name_take_turns(shop: Host) -> None:
    web = shop.container("web")
    firsts = {str(ask(web, "www").rr[0].rdata) for _ in range(4)}
    assert firsts == {"10.7.0.2", "10.7.0.3"}


def test_the_c_library_finds_names_and_fails_fast(shop: Host) -> None:
    lookup = "import socket, sys\nfor name in sys.argv[1:]:\n    try: print(sorted({i[4][0] for i in socket.getaddrinfo(name, 80)}))\n    except OSError as error: print(error.errno == socket.EAI_NONAME)"
    # ip shows a program the sandbox's own resolv.conf.
    command = ["ip", "netns", "exec", shop.container("web").path.name, sys.executable, "-c", lookup]
    started = time.monotonic()
    shown = subprocess.run([*command, "proxy", "www", "db"], capture_output=True, text=True, timeout=20, check=True)
    assert shown.stdout.splitlines() == [
        "['10.7.0.3', 'fd00:7::3']",
        "['10.7.0.2', '10.7.0.3', 'fd00:7::2', 'fd00:7::3']",
        "True",
    ]
    # One try that is not answered takes 5 seconds.
    assert time.monotonic() - started < 5


def test_over_tcp_a_name_of_many_containers_comes_whole_and_over_udp_cut_off(host: Host) -> None:
    lines = [f"  c{n}: {{networks: {{net: {{aliases: [all]}}}}}}" for n in range(60)]
    host.write("many.yaml", "\n".join(["name: many", "networks: {net: {}}", "containers:", *lines, ""]))
    host.netapply("up", "many.yaml")
    c0 = host.container("c0")
    cut = ask(c0, "all")
    assert cut.header.tc
    assert 0 < len(cut.rr) < 60
    assert len(cut.pack()) <= 512
    larger = ask(c0, "all", edns=1232)
    assert (larger.header.tc, len(larger.rr)) == (0, 60)
    whole = ask(c0, "all", protocol="tcp")
    assert (whole.header.tc, len(whole.rr)) == (0, 60)


def test_one_connection_carries_many_questions(shop: Host) -> None:
    questions = [DNSRecord.question(name).pack() for name in ("proxy", "nobody", "web") for _ in range(20)]
    with connected(shop.container("web").path, SERVER, 53, "tcp", timeout=3) as client:
        client.sendall(b"".join(len(each).to_bytes(2, "big") + each for each in questions))
        received = b""
        replies: list[bytes] = []
        while len(replies) < len(questions):
            received += client.recv(65536)
            while len(received) >= 2 and len(received) >= 2 + int.from_bytes(received[:2], "big"):
                end = 2 + int.from_bytes(received[:2], "big")
                replies.append(received[2:end])
                received = received[end:]
    assert [reply[:2] for reply in replies] == [question[:2] for question in questions]


def test_a_container_may_serve_names_itself_on_every_address(shop: Host) -> None:
    web, proxy = shop.container("web"), shop.container("proxy")
    web.serve(53, addresses=["0.0.0.0"])
    answer = proxy.ask("10.7.0.2", 53, "udp")
    assert answer is not None
    assert answer.name == "web"
    assert web.ask("127.0.0.1", 53, "tcp") is not None
    assert addresses(ask(web, "proxy")) == ["10.7.0.3"]
    assert addresses(ask(web, "proxy", protocol="tcp")) == ["10.7.0.3"]
    assert shop.plan("shop.yaml") == []


def test_a_killed_agent_is_drift_and_comes_back_with_all_names(shop: Host) -> None:
    kill_agent(shop)
    web = shop.container("web")
    with pytest.raises(OSError, match=r"timed out|refused"):
        ask(web, "proxy", timeout=0.3)
    changes = {change["name"]: change for change in shop.plan("shop.yaml")}
    assert {"shop/web:names", "shop/proxy:names", "shop/db:names"} <= changes.keys()
    shop.netapply("up", "shop.yaml")
    assert addresses(ask(web, "proxy")) == ["10.7.0.3"]
    assert addresses(ask(web, "proxy", protocol="tcp")) == ["10.7.0.3"]
    assert shop.plan("shop.yaml") == []


@pytest.mark.parametrize(
    "damage",
    [
        "flush ruleset",
        "flush table ip netapply",
        "add table ip netapply { flags dormant; }",
        "add rule ip netapply names drop",
        "insert rule ip netapply names ip daddr 127.0.0.11 accept",
        "add chain ip netapply names { policy drop; }",
    ],
)
def test_rules_that_somebody_changed_inside_are_healed(shop: Host, damage: str) -> None:
    web = shop.container("web")
    web.run(["nft", damage])
    (change,) = shop.plan("shop.yaml")
    assert (change["name"], change["action"]) == ("shop/web:names", "update")
    shop.netapply("up", "shop.yaml")
    assert addresses(ask(web, "proxy")) == ["10.7.0.3"]
    assert shop.plan("shop.yaml") == []


def test_rules_of_the_containers_own_are_left_alone(shop: Host) -> None:
    web = shop.container("web")
    web.run(["nft", "add table inet mine; add chain inet mine out { type filter hook output priority 0; }"])
    assert shop.plan("shop.yaml") == []
    assert addresses(ask(web, "proxy")) == ["10.7.0.3"]


def test_connection_tracking_stays_off_and_finds_nothing_wrong_where_it_is_on(shop: Host) -> None:
    web = shop.container("web")
    assert addresses(ask(web, "proxy")) == ["10.7.0.3"]
    assert "127.0.0.11" not in web.run(["conntrack", "-L"], check=False).stdout
    web.run(["nft", "add table inet mine; add chain inet mine in { type filter hook input priority 0; policy drop; }"])
    web.run(["nft", "add rule inet mine in ct state invalid drop; add rule inet mine in iif lo accept"])
    for protocol in ("udp", "tcp"):
        assert addresses(ask(web, "proxy", protocol=protocol)) == ["10.7.0.3"]


def test_a_host_that_lets_nothing_in_has_no_say(shop: Host) -> None:
    shop.run(
        ["nft", "add table inet guard; add chain inet guard in { type filter hook input priority 0; policy drop; }"]
    )
    assert addresses(ask(shop.container("web"), "proxy")) == ["10.7.0.3"]


def test_names_change_without_losing_a_question(shop: Host) -> None:
    web, stop, results = shop.container("web"), threading.Event(), []

    def loop() -> None:
        with connected(web.path, SERVER, 53, "udp", timeout=2) as client:
            while not stop.is_set():
                client.send(DNSRecord.question("proxy").pack())
                try:
                    results.append(addresses(DNSRecord.parse(client.recv(4096))))
                except TimeoutError:
                    results.append(["lost"])

    asker = threading.Thread(target=loop)
    asker.start()
    try:
        sockets = status_of(shop).names["shop/web"]
        for turn in range(3):
            shop.write("shop.yaml", TWO_NETWORKS.replace("[www]", f"[www, turn{turn}]"))
            shop.netapply("up", "shop.yaml")
            assert addresses(ask(web, f"turn{turn}")) == ["10.7.0.3"]
        assert status_of(shop).names["shop/web"] == sockets
    finally:
        stop.set()
        asker.join()
    assert len(results) > 100
    assert all(each == ["10.7.0.3"] for each in results)


def test_a_changed_address_is_seen_at_once(shop: Host) -> None:
    web = shop.container("web")
    assert addresses(ask(web, "proxy")) == ["10.7.0.3"]
    shop.write("shop.yaml", TWO_NETWORKS.replace("10.7.0.3", "10.7.0.33"))
    shop.netapply("up", "shop.yaml")
    assert addresses(ask(web, "proxy")) == ["10.7.0.33"]


def test_nothing_is_left_when_all_goes(host: Host) -> None:
    before = host.snapshot()
    host.write("shop.yaml", TWO_NETWORKS)
    host.netapply("up", "shop.yaml")
    host.netapply("down", "shop.yaml")
    assert host.snapshot() == before
    assert not run_folder(host).exists()


def test_before_a_sandbox_goes_the_agent_closes_all_that_it_has_there(shop: Host) -> None:
    shop.write(
        "inner.yaml", "name: inner\nnetworks: {net: {}}\ncontainers: {c: {networks: [net], dns: [192.0.2.99]}}\n"
    )
    shop.netapply("up", "inner.yaml")
    pid, inner = status_of(shop).pid, shop.container("c")
    with (
        connected(inner.path, SERVER, 53, "tcp", timeout=2) as idle,
        connected(inner.path, SERVER, 53, "udp", timeout=2) as asker,
    ):
        idle.sendall(b"\0")
        asker.send(DNSRecord.question("www.example").pack())
        deadline = time.monotonic() + 30
        # Two that listen, a connection, and a question that nobody answers.
        while len(there := inner.inside(internet_sockets) & files_of(pid)) < 4:
            assert time.monotonic() < deadline, there
            time.sleep(0.005)
    shop.netapply("down", "inner.yaml")
    assert there & files_of(pid) == set()
    assert status_of(shop).pid == pid


def internet_sockets() -> set[str]:
    """The inodes of those of the namespace that this thread is in."""
    lines = [
        line
        for protocol in ("udp", "tcp")
        for line in Path(f"/proc/thread-self/net/{protocol}").read_text().splitlines()[1:]
    ]
    return {f"socket:[{line.split()[9]}]" for line in lines} - {"socket:[0]"}


def files_of(pid: int) -> set[str]:
    found = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(file.readlink()))
    return found


def test_a_sandbox_made_anew_is_served_anew(shop: Host) -> None:
    shop.run(["umount", str(shop.container("db").path)])
    shop.netapply("up", "shop.yaml")
    assert addresses(ask(shop.container("db"), "proxy")) == ["10.8.0.3"]
    assert shop.plan("shop.yaml") == []


def test_an_agent_that_hangs_keeps_no_namespace(shop: Host) -> None:
    os.kill(status_of(shop).pid, signal.SIGSTOP)
    path = shop.container("web").path
    shop.netapply("down", "shop.yaml", timeout=60)
    assert not path.exists()
    assert not run_folder(shop).exists()


def test_random_bytes_and_floods_take_no_memory_and_no_answers_away(shop: Host) -> None:
    web, proxy, pid = shop.container("web"), shop.container("proxy"), status_of(shop).pid
    ask(web, "proxy")
    before = resident(pid)
    with connected(web.path, SERVER, 53, "udp", timeout=2) as client:
        client.settimeout(0)
        for number in range(30000):
            data = secrets.token_bytes(secrets.randbelow(600))
            if number % 3 == 0:
                data = DNSRecord.question(f"{secrets.token_hex(8)}.example").pack()
            if number % 3 == 1:
                data = data[:2] + DNSRecord.question(case_of("proxy.shop_front", number)).pack()[2:]
            try:
                client.send(data)
            except BlockingIOError:
                time.sleep(0.0005)
            if number % 5000 == 0:
                started = time.monotonic()
                assert addresses(ask(proxy, "db")) == ["10.8.0.4"]
                assert time.monotonic() - started < 1
    clients = [connected(web.path, SERVER, 53, "tcp", timeout=2) for _ in range(100)]
    for each in clients:
        with contextlib.suppress(OSError):
            each.send(secrets.token_bytes(1000))
    assert addresses(ask(proxy, "db", protocol="tcp")) == ["10.8.0.4"]
    for each in clients:
        each.close()
    assert resident(pid) - before < 12_000
    assert addresses(ask(web, "proxy")) == ["10.7.0.3"]


def case_of(name: str, number: int) -> str:
    return "".join(letter.upper() if number >> place & 1 else letter for place, letter in enumerate(name))


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0])


class NameServer:
    """Answers A questions for anything below ``example`` with 198.51.100.1, over UDP and TCP, and counts."""

    def __init__(self, machine: Machine, address: str, answer: Callable[[DNSRecord], DNSRecord | None]) -> None:
        self.questions: list[str] = []
        self.peers: set[str] = set()
        self._answer = answer
        self._stopped = False
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._datagrams, self._connections = inside(
            machine.path, lambda: (socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_STREAM))
        )
        self._connections.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for each in (self._datagrams, self._connections):
            each.bind((address, 53))
            each.settimeout(0.05)
        self._connections.listen()
        self._threads = [threading.Thread(target=run) for run in (self._run_datagrams, self._run_connections)]
        for thread in self._threads:
            thread.start()
        machine.lab.at_end(self.close)

    def close(self) -> None:
        self._stopped = True
        for thread in self._threads:
            thread.join()
        self._datagrams.close()
        self._connections.close()

    def _run_datagrams(self) -> None:
        while not self._stopped:
            try:
                data, peer = self._datagrams.recvfrom(65535)
            except TimeoutError:
                continue
            self.peers.add(peer[0])
            reply = self._reply(data)
            if reply is not None:
                if len(reply.pack()) > 512:
                    reply.header.tc, reply.rr[:] = 1, []
                self._datagrams.sendto(reply.pack(), peer)

    def _run_connections(self) -> None:
        while not self._stopped:
            try:
                client, _ = self._connections.accept()
            except TimeoutError:
                continue
            with client:
                reply = self._reply(read_framed(client))
                if reply is not None:
                    packed = reply.pack()
                    client.sendall(len(packed).to_bytes(2, "big") + packed)

    def _reply(self, data: bytes) -> DNSRecord | None:
        question = DNSRecord.parse(data)
        self.questions.append(str(question.q.qname))
        return self._answer(question)


def one_address(question: DNSRecord) -> DNSRecord:
    reply = question.reply()
    reply.add_answer(RR(question.q.qname, QTYPE.A, rdata=A("198.51.100.1"), ttl=60))
    return reply


def with_code(number: int) -> Callable[[DNSRecord], DNSRecord]:
    def answer(question: DNSRecord) -> DNSRecord:
        reply = question.reply()
        reply.header.rcode = number
        return reply

    return answer


@pytest.fixture
def outward(host: Host, outside: Machine) -> Callable[[str], Machine]:
    """Bring up a container ``asker`` that asks these servers; ``outside`` is 192.0.2.2."""
    del outside

    def up(servers: str) -> Machine:
        host.write(
            "asker.yaml",
            "name: out\nnetworks: {net: {}}\ncontainers:\n"
            f"  asker: {{networks: [net], dns: {servers}}}\n  other: {{networks: [net]}}\n",
        )
        host.netapply("up", "asker.yaml")
        return host.container("asker")

    return up


def test_other_names_are_asked_of_the_servers_from_inside(
    outside: Machine, outward: Callable[[str], Machine], host: Host
) -> None:
    server = NameServer(outside, "192.0.2.2", one_address)
    asker = outward("[192.0.2.2]")
    reply = ask(asker, "www.example")
    assert addresses(reply) == ["198.51.100.1"]
    assert addresses(ask(asker, "www.example", protocol="tcp")) == ["198.51.100.1"]
    assert server.questions == ["www.example.", "www.example."]
    assert server.peers == {host.ipv4}  # masqueraded: it came from the container's network
    assert addresses(ask(asker, "other")) == [host.container("other").ipv4]
    assert len(server.questions) == 2


def test_a_server_that_fails_or_is_silent_is_passed_over(outside: Machine, outward: Callable[[str], Machine]) -> None:
    NameServer(outside, "192.0.2.2", with_code(RCODE.SERVFAIL))
    outside.run(["ip", "address", "add", "192.0.2.200/24", "dev", "eth0"])
    NameServer(outside, "192.0.2.200", one_address)
    asker = outward("[192.0.2.2, 192.0.2.200]")
    assert addresses(ask(asker, "www.example")) == ["198.51.100.1"]


def test_without_any_answer_it_says_so_before_clients_give_up(
    outside: Machine, outward: Callable[[str], Machine]
) -> None:
    NameServer(outside, "192.0.2.2", with_code(RCODE.REFUSED))
    asker = outward("[192.0.2.2]")
    started = time.monotonic()
    assert code(ask(asker, "www.example")) == "SERVFAIL"
    assert time.monotonic() - started < 1
    assert code(ask(asker, "www.example", protocol="tcp")) == "SERVFAIL"


def test_an_answer_too_large_is_asked_again_over_tcp(outside: Machine, outward: Callable[[str], Machine]) -> None:
    def many(question: DNSRecord) -> DNSRecord:
        reply = question.reply()
        for number in range(100):
            reply.add_answer(RR(question.q.qname, QTYPE.A, rdata=A(f"198.51.100.{number}")))
        return reply

    NameServer(outside, "192.0.2.2", many)
    asker = outward("[192.0.2.2]")
    assert ask(asker, "www.example").header.tc
    assert len(ask(asker, "www.example", protocol="tcp").rr) == 100


def test_a_container_without_a_way_out_gets_an_answer_at_once(outside: Machine, host: Host) -> None:
    server = NameServer(outside, "192.0.2.2", one_address)
    host.write(
        "inner.yaml",
        "name: inner\nnetworks: {net: {internal: true}}\ncontainers:\n  c: {networks: [net], dns: [192.0.2.2]}\n"
        "  d: {networks: [net]}\n",
    )
    host.netapply("up", "inner.yaml")
    inner, told = host.container("d"), host.container("c")
    started = time.monotonic()
    assert code(ask(inner, "www.example")) == "NXDOMAIN"
    assert code(ask(told, "www.example")) == "SERVFAIL"
    assert time.monotonic() - started < 1
    assert server.questions == []


def test_names_work_on_the_hosts_own_lan_and_on_a_network_without_a_way_out(host: Host) -> None:
    host.write(
        "home.yaml",
        "name: home\nnetworks:\n"
        "  lan: {driver: macvlan, driver_opts: {parent: eth0}, ipam: {config: [{subnet: 192.0.2.0/24, gateway: 192.0.2.254}]}}\n"
        "  inner: {internal: true}\n"
        "containers:\n"
        "  tv: {networks: {lan: {ipv4_address: 192.0.2.50}}}\n"
        "  nas: {networks: {lan: {ipv4_address: 192.0.2.51}, inner: {}}}\n"
        "  disk: {networks: [inner]}\n",
    )
    host.netapply("up", "home.yaml")
    television, storage, disk = host.container("tv"), host.container("nas"), host.container("disk")
    assert addresses(ask(television, "nas")) == ["192.0.2.51"]
    assert addresses(ask(storage, "disk")) == [disk.ipv4]
    assert code(ask(television, "disk")) == "NXDOMAIN"
    assert code(ask(disk, "tv")) == "NXDOMAIN"
    assert host.plan("home.yaml") == []
