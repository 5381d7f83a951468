"""Names of containers, asked from inside as any program asks: through the C library, and as plain DNS questions."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from pathlib import Path

import dnslib
import pytest

from tests.kernel.isolation import inside
from tests.kernel.lab import Host, Lab, Machine

RESOLVER = "127.0.0.11"


class NameServer:
    """Answers every A question with one address, and counts who asked."""

    def __init__(self, namespace: Path, address: str, answer: str) -> None:
        self.asked: list[tuple[str, str]] = []
        """Who asked for which name."""
        self._answer = answer
        self._socket = inside(namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._socket.bind((address, 53))
        self._stop, self._stopper = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopper.send(b"x")
        self._thread.join(5)
        for each in (self._socket, self._stop, self._stopper):
            each.close()

    def _run(self) -> None:
        selector = selectors.DefaultSelector()
        selector.register(self._socket, selectors.EVENT_READ)
        selector.register(self._stop, selectors.EVENT_READ)
        while not any(key.fileobj is self._stop for key, _ in selector.select()):
            data, peer = self._socket.recvfrom(4096)
            question = dnslib.DNSRecord.parse(data)
            self.asked.append((peer[0], str(question.q.qname)))
            reply = question.reply()
            if question.q.qtype == dnslib.QTYPE.A:
                reply.add_answer(dnslib.RR(question.q.qname, dnslib.QTYPE.A, rdata=dnslib.A(self._answer), ttl=1))
            with contextlib.suppress(OSError):
                self._socket.sendto(reply.pack(), peer)
        selector.close()


def name_server(lab: Lab, machine: Machine, address: str, answer: str) -> NameServer:
    made = NameServer(machine.path, address, answer)
    lab.at_end(made.close)
    return made


def tell_host(host: Host, text: str) -> None:
    """What the host's own resolv.conf says."""
    folder = Path("/etc/netns") / host.name
    folder.mkdir(exist_ok=True)
    (folder / "resolv.conf").write_text(text)


def ask(machine: Machine, name: str, kind: str = "A", timeout: float = 3.0) -> tuple[str, list[str]]:
    """What the resolver inside answers: its code, and the addresses or names, sorted."""
    question = dnslib.DNSRecord.question(name, kind)

    def exchange() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(timeout)
            client.connect((RESOLVER, 53))
            client.send(question.pack())
            return client.recv(65535)

    answer = dnslib.DNSRecord.parse(machine.inside(exchange))
    assert answer.header.id == question.header.id
    records = [str(record.rdata).removesuffix(".") for record in answer.rr]
    return dnslib.RCODE[answer.header.rcode], sorted(records)


def addresses(host: Host, name: str) -> dict[str, str]:
    """The container's IPv4 address on each network, by real name."""
    (found,) = [each for each in host.ps() if each["name"] == name]
    return {each["name"]: each["ipv4"].partition("/")[0] for each in found["networks"] if each["ipv4"]}


SHOP = """
name: shop
containers:
  web:
    hostname: WWW.example.org
    networks: {front: {aliases: [Site]}, back: {}}
  db: {networks: [back]}
  cache: {networks: [front]}
networks: {front: {enable_ipv6: true}, back: {internal: true}}
"""


@pytest.fixture(autouse=True)
def _host_without_servers(host: Host) -> None:
    tell_host(host, "")


@pytest.mark.founding("S1-37", "S3-19")
def test_every_name_on_the_networks_that_are_shared(host: Host) -> None:
    """S3-19, S1-37: container name, alias, host name and its short form, without regard to case, in both families."""
    host.write("shop.yaml", SHOP)
    host.netapply("up", "shop.yaml")
    web, cache = addresses(host, "web"), host.container("cache")
    for name in ("web", "WEB", "site", "www.example.org", "www"):
        assert ask(cache, name) == ("NOERROR", [web["shop_front"]]), name
    (container,) = [each for each in host.ps() if each["name"] == "web"]
    ipv6 = next(each["ipv6"].partition("/")[0] for each in container["networks"] if each["ipv6"])
    assert ask(cache, "site", "AAAA") == ("NOERROR", [ipv6])
    assert ask(host.container("db"), "web", "AAAA") == ("NOERROR", [])
    # An alias belongs to its network alone.
    assert ask(host.container("db"), "web") == ("NOERROR", [web["shop_back"]])
    assert ask(host.container("db"), "site")[1] == []
    # Who stands on both networks knows both; the other two know nothing of each other.
    assert ask(host.container("web"), "db")[1] == list(addresses(host, "db").values())
    assert ask(cache, "db")[1] == []
    assert ask(host.container("db"), "cache")[1] == []
    assert host.plan("shop.yaml") == []


def test_names_that_begin_with_an_underscore(host: Host) -> None:
    """Compose has them, for bases that others extend, mostly."""
    text = "name: shop\nnetworks: {_n: }\ncontainers:\n"
    text += "  _web: {networks: [_n], ports: ['8080:80'], command: [sleep, '60']}\n  app: {networks: [_n]}\n"
    host.write("shop.yaml", text)
    host.netapply("up", "shop.yaml")
    (address,) = addresses(host, "_web").values()
    assert ask(host.container("app"), "_web") == ("NOERROR", [address])
    assert host.netapply("exec", "_web", "hostname").stdout.strip() == "_web"
    assert host.plan("shop.yaml") == []
    host.netapply("down", "shop.yaml")
    assert host.ps() == []


@pytest.mark.founding("S1-41", "S3-20")
def test_an_address_that_changes_is_seen_at_once(host: Host) -> None:
    """S1-41, S3-20."""
    text = (
        "name: shop\ncontainers:\n  web: {{networks: {{front: {{ipv4_address: {}}}}}}}\n  app: {{networks: [front]}}\n"
    )
    text += "networks: {{front: {{ipam: {{config: [{{subnet: 10.7.0.0/24}}]}}}}}}\n"
    host.write("shop.yaml", text.format("10.7.0.10"))
    host.netapply("up", "shop.yaml")
    app = host.container("app")
    assert ask(app, "web") == ("NOERROR", ["10.7.0.10"])
    host.write("shop.yaml", text.format("10.7.0.20"))
    host.netapply("up", "shop.yaml")
    assert ask(app, "web") == ("NOERROR", ["10.7.0.20"])


def test_a_network_of_two_stacks_has_the_names_of_both(host: Host) -> None:
    host.write("shop.yaml", SHOP)
    host.write(
        "other.yaml",
        "name: other\ncontainers:\n  guest: {networks: [front]}\n  web: {}\n"
        "networks: {front: {external: true, name: shop_front}}\n",
    )
    host.netapply("up", "shop.yaml")
    host.netapply("up", "other.yaml")
    guest = host.container("guest")
    shop_web = next(each for each in host.ps() if each["name"] == "web" and each["stack"] == "shop")
    on_front = next(each["ipv4"].partition("/")[0] for each in shop_web["networks"] if each["name"] == "shop_front")
    # other's own web stands elsewhere.
    assert ask(guest, "web") == ("NOERROR", [on_front])
    assert ask(host.container("cache"), "guest") == ("NOERROR", list(addresses(host, "guest").values()))
    assert ask(host.container("db"), "guest")[1] == []
    assert host.plan("shop.yaml", "other.yaml") == []
    host.netapply("down", "other.yaml")
    assert ask(host.container("cache"), "guest")[1] == []


@pytest.mark.founding("S3-14")
def test_on_the_default_bridge_there_are_no_names_but_links(host: Host) -> None:
    """S3-14."""
    host.write(
        "a.yaml",
        "name: a\ncontainers:\n  web: {network_mode: bridge}\n  app: {network_mode: bridge, links: ['web:site']}\n",
    )
    host.netapply("up", "a.yaml")
    app = host.container("app")
    assert ask(app, "web")[1] == []
    assert ask(app, "site") == ("NOERROR", list(addresses(host, "web").values()))
    assert ask(host.container("web"), "site")[1] == []
    assert host.plan("a.yaml") == []


def test_replicas_share_the_name_of_their_service(host: Host) -> None:
    host.write("a.yaml", "name: a\ncontainers:\n  web: {scale: 2}\n  app: {links: ['web:site']}\n")
    host.netapply("up", "a.yaml")
    both = sorted(address for name in ("web-1", "web-2") for address in addresses(host, name).values())
    app = host.container("app")
    assert ask(app, "web") == ("NOERROR", both)
    assert ask(app, "site") == ("NOERROR", both)
    assert len(ask(app, "web-2")[1]) == 1


def test_other_questions_go_to_the_servers_of_the_container(host: Host, outside: Machine, lab: Lab) -> None:
    """``dns:`` is asked from the container's own address, and the host's servers are not asked at all."""
    tell_host(host, "nameserver 192.0.2.1\n")
    own = name_server(lab, host, "192.0.2.1", "198.51.100.1")
    theirs = name_server(lab, outside, outside.ipv4, "198.51.100.2")
    host.write("a.yaml", f"name: a\ncontainers: {{web: {{dns: [{outside.ipv4}]}}, app: {{}}}}")
    host.netapply("up", "a.yaml")
    assert ask(host.container("web"), "example.com") == ("NOERROR", ["198.51.100.2"])
    assert ask(host.container("app"), "example.com") == ("NOERROR", ["198.51.100.1"])
    assert {name for _, name in theirs.asked} == {"example.com."}
    assert len(own.asked) == 1
    # A name of the stack is nobody else's business.
    ask(host.container("app"), "web", "AAAA")
    assert len(own.asked) == 1


def test_a_resolver_on_the_hosts_loopback_is_asked_from_the_host(host: Host, lab: Lab) -> None:
    """As systemd-resolved has it."""
    tell_host(host, "nameserver 127.0.0.53\nsearch example.net\noptions edns0 trust-ad\n")
    server = name_server(lab, host, "127.0.0.53", "198.51.100.3")
    host.write(
        "a.yaml", "name: a\ncontainers: {web: {}, alone: {networks: [closed]}}\nnetworks: {closed: {internal: true}}"
    )
    host.netapply("up", "a.yaml")
    assert ask(host.container("web"), "example.com") == ("NOERROR", ["198.51.100.3"])
    assert [peer for peer, _ in server.asked] == ["127.0.0.1"]
    seen = host.netapply("exec", "web", "cat", "/etc/resolv.conf").stdout
    assert seen == f"nameserver {RESOLVER}\nsearch example.net\noptions ndots:0\n"
    # What has no way out asks nobody, not even through the host.
    assert ask(host.container("alone"), "example.com")[1] == []
    assert len(server.asked) == 1


def test_behind_another_container_the_hosts_resolver_is_not_asked(host: Host, lab: Lab) -> None:
    """What goes through a router must not leak past it."""
    tell_host(host, "nameserver 127.0.0.53\n")
    server = name_server(lab, host, "127.0.0.53", "198.51.100.3")
    host.write(
        "a.yaml",
        "name: a\ncontainers:\n  vpn: {}\n  app: {networks: {default: {gateway: 'service:vpn'}}}\n",
    )
    host.netapply("up", "a.yaml")
    assert ask(host.container("app"), "example.com")[1] == []
    assert ask(host.container("app"), "vpn") == ("NOERROR", list(addresses(host, "vpn").values()))
    assert server.asked == []


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("{}", "nameserver 127.0.0.11\nsearch example.net\noptions ndots:0\n"),
        (
            "{dns_search: [a.example, b.example]}",
            "nameserver 127.0.0.11\nsearch a.example b.example\noptions ndots:0\n",
        ),
        ("{dns_search: '.'}", "nameserver 127.0.0.11\noptions ndots:0\n"),
        ("{dns_opt: ['ndots:2', rotate]}", "nameserver 127.0.0.11\nsearch example.net\noptions ndots:2 rotate\n"),
        (
            "{network_mode: bridge, dns: [192.0.2.8, '2001:db8::8'], dns_opt: [rotate]}",
            "nameserver 192.0.2.8\nnameserver 2001:db8::8\nsearch example.net\noptions rotate\n",
        ),
        ("{network_mode: bridge}", "nameserver 127.0.0.11\nsearch example.net\noptions ndots:0\n"),
        ("{network_mode: none}", ""),
        ("{network_mode: none, dns_search: [a.example]}", "search a.example\n"),
    ],
)
def test_resolv_conf(host: Host, keys: str, expected: str) -> None:
    tell_host(host, "nameserver 192.0.2.9\nsearch example.net\noptions edns0\n")
    host.write("a.yaml", f"name: a\ncontainers: {{web: {keys}}}")
    host.netapply("up", "a.yaml")
    assert host.netapply("exec", "web", "cat", "/etc/resolv.conf").stdout == expected
    # Live, and back.
    host.write("a.yaml", "name: a\ncontainers: {web: {dns_search: [changed.example]}}")
    host.netapply("up", "a.yaml")
    assert "search changed.example\n" in host.netapply("exec", "web", "cat", "/etc/resolv.conf").stdout


def test_servers_change_under_a_running_container(host: Host, outside: Machine, lab: Lab) -> None:
    name_server(lab, outside, outside.ipv4, "198.51.100.2")
    host.write("a.yaml", "name: a\ncontainers: {web: {dns: [192.0.2.99]}}")
    host.netapply("up", "a.yaml")
    web = host.container("web")
    host.write("a.yaml", f"name: a\ncontainers: {{web: {{dns: [{outside.ipv4}]}}}}")
    changes = host.plan("a.yaml")
    assert [(change["action"], change["name"], change["disruption"]) for change in changes] == [
        ("update", "a/web:names", "none")
    ]
    host.netapply("up", "a.yaml")
    begun = time.monotonic()
    assert ask(web, "example.com") == ("NOERROR", ["198.51.100.2"])
    assert time.monotonic() - begun < 2
