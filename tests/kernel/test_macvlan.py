"""Containers on the LAN of a host's interface: macvlan with real packets; ipvlan and VLANs as far as the kernel has them."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import pytest

from tests.kernel.lab import REPOSITORY, Answer, Host, Lab, Machine, Snapshot

# A router advertisement for all nodes: a prefix to take addresses from, and a default route (RFC 4861, 4.2 and 4.6.2).
ADVERTISE = """
import socket, struct
probe = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
prefix = struct.pack("!BBBBIII16s", 3, 4, 64, 0xc0, 600, 600, 0, socket.inet_pton(socket.AF_INET6, "fd99::"))
advertisement = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 600, 0, 0) + prefix
probe.sendto(advertisement, ("ff02::1", 0, 0, socket.if_nametoindex("eth0")))
"""
POOLS = """[
  {subnet: 192.0.2.0/24, gateway: 192.0.2.2, ip_range: 192.0.2.128/25},
  {subnet: "2001:db8::/64", gateway: "2001:db8::2", ip_range: "2001:db8::ff00/120"}]"""


def stack(
    options: str = "parent: eth0",
    containers: str = "web, db",
    *,
    driver: str = "macvlan",
    more: str = "",
    pools: str = POOLS,
) -> str:
    """A stack of plain containers on one network of the LAN; ``more`` are lines of the network."""
    lines = [
        "name: home",
        "networks:",
        "  lan:",
        f"    driver: {driver}",
        f"    driver_opts: {{{options}}}",
        f"    ipam: {{config: {pools}}}",
        *(f"    {line}" for line in more.splitlines()),
        "containers:",
        *(f"  {name}: {{networks: [lan]}}" for name in containers.split(", ")),
    ]
    return "\n".join(lines) + "\n"


def up(host: Host, text: str) -> None:
    host.write("home.yaml", text)
    host.netapply("up", "home.yaml")
    assert host.plan("home.yaml") == []


def settled(host: Host) -> Snapshot:
    """The host as it is once the kernel has found its link-local address to be nobody else's."""
    deadline = time.monotonic() + 30
    while "tentative" in host.run(["ip", "-6", "address", "show", "dev", "eth0"]).stdout:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return host.snapshot()


def refusal(host: Host, text: str) -> str:
    """What ``up`` says to a stack that it refuses, after which the host is as before."""
    before = settled(host)
    host.write("home.yaml", text)
    done = host.netapply("up", "home.yaml", check=False)
    assert done.returncode == 1, f"{done.returncode}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
    assert before.difference(host.snapshot()) == []
    return done.stderr


def link(machine: Machine) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(machine.run(["ip", "-j", "-d", "link", "show", "eth0"]).stdout)
    return found[0]


def seen_as(asker: Machine, address: str, port: int = 80, *, timeout: float = 3.0) -> str:
    """Which address the server there sees the asker come from; empty without an answer."""
    answer = asker.ask(address, port, timeout=timeout)
    return answer.peer_address if answer else ""


def test_a_bridge_in_its_place_takes_a_subnet_of_its_own(host: Host, outside: Machine) -> None:
    """And so it does where the manifest gives it none: the LAN's would be cut off by it."""
    up(host, stack(containers="web"))
    bridged = "name: home\nnetworks: {lan: {enable_ipv6: true}}\ncontainers: {web: {networks: [lan]}}\n"
    up(host, bridged)
    routes = host.run(["ip", "route", "show", "192.0.2.0/24"]).stdout.splitlines()
    assert ["dev eth0" in line for line in routes] == [True]
    assert host.container("web").ping(outside.ipv4)
    given = bridged.replace("enable_ipv6: true", "ipam: {config: [{subnet: 192.0.2.0/24}]}")
    up(host, stack(containers="web"))
    assert "overlaps 192.0.2.0/24, a route or address of the host" in refusal(host, given)


@pytest.fixture
def router(outside: Machine) -> Machine:
    """The LAN's router: a machine of the LAN with an address that is not the LAN's."""
    for address in ("198.51.100.1/32", "2001:db8:99::1/128"):
        outside.run(["ip", "address", "add", address, "dev", "lo"])
    outside.run(["ip", "link", "set", "lo", "up"])
    outside.serve(80)
    return outside


@pytest.mark.founding("S2-24")
def test_each_container_is_a_host_of_the_lan_with_its_real_ports(host: Host, router: Machine) -> None:
    """S2-24: groups with addresses of their own on the LAN, each service on its real port."""
    before = settled(host)
    up(host, stack())
    web, db = host.container("web"), host.container("db")
    web.serve(80, 443)
    db.serve(80)
    for ours, theirs, far, sibling in (
        (web.ipv4, router.ipv4, "198.51.100.1", db.ipv4),
        (web.ipv6, router.ipv6, "2001:db8:99::1", db.ipv6),
    ):
        assert seen_as(router, ours, 80) == seen_as(router, ours, 443) == theirs
        assert seen_as(web, theirs) == ours
        assert seen_as(web, far) == ours
        assert seen_as(web, sibling) == ours
    assert host.ask(web.ipv4, 80, timeout=1.0) is None  # no way in without a host_address
    macs = [link(machine)["address"] for machine in (web, db)]
    host.netapply("down", "home.yaml")
    assert before.difference(host.snapshot()) == []
    # At once: what is gone must not hold its MAC any more.
    host.netapply("up", "home.yaml")
    assert [link(host.container(name))["address"] for name in ("web", "db")] == macs
    assert host.container("web").ipv4 == web.ipv4


def test_modes(host: Host, lab: Lab, outside: Machine) -> None:
    """bridge and vepa let containers reach each other, vepa through the switch; private does not."""
    for mode, direct, reflected in (("bridge", True, True), ("private", False, False), ("vepa", False, True)):
        up(host, stack(f"parent: eth0, macvlan_mode: {mode}"))
        web, db = host.container("web"), host.container("db")
        server = web.serve(80)
        assert bool(outside.ask(web.ipv4, 80)), mode
        assert bool(db.ask(web.ipv4, 80, timeout=3.0 if direct else 1.0)) == direct, mode
        port = ["ip", "-n", "switch", "link", "set", "host", "type", "bridge_slave", "hairpin"]
        outside.run([*port, "on"])
        # A search that went unanswered is repeated once a second only, which may be just after this question.
        db.run(["ip", "neighbour", "flush", "all"])
        assert bool(db.ask(web.ipv4, 80, timeout=3.0 if reflected else 1.0)) == reflected, mode
        outside.run([*port, "off"])
        server.close()


def test_a_mode_changes_in_place_and_cuts_nothing(host: Host, outside: Machine) -> None:
    up(host, stack(containers="web"))
    web = host.container("web")
    web.serve(80)
    kept = outside.connect(web.ipv4, 80)
    host.write("home.yaml", stack("parent: eth0, macvlan_mode: private", "web"))
    assert [(c["action"], c["kind"]) for c in host.plan("home.yaml")] == [("update", "link")]
    up(host, stack("parent: eth0, macvlan_mode: private", "web"))
    assert link(web)["linkinfo"]["info_data"]["mode"] == "private"
    assert kept.alive()
    # The kernel does not turn passthru on in place, so the link is made anew; its MAC is the parent's.
    up(host, stack("parent: eth0, macvlan_mode: passthru", "web"))
    assert link(web)["linkinfo"]["info_data"]["mode"] == "passthru"
    assert link(web)["address"] == link(host)["address"]
    assert outside.ask(web.ipv4, 80) is not None
    up(host, stack(containers="web"))
    assert link(web)["linkinfo"]["info_data"]["mode"] == "bridge"
    assert outside.ask(web.ipv4, 80) is not None


def test_passthru_takes_one_container(host: Host) -> None:
    text = stack("parent: eth0, macvlan_mode: passthru")
    assert "home.yaml:11:19: error: eth0 takes one container in mode passthru; there are db, web" in refusal(host, text)
    text = stack("parent: eth0, macvlan_mode: passthru", "web").replace(
        "[lan]", "{lan: {mac_address: '02:00:00:00:00:99'}}"
    )
    assert "container web has the MAC of eth0 on network home_lan (mode passthru)" in refusal(host, text)


@pytest.mark.parametrize(
    "command",
    [
        "link set eth0 type macvlan mode vepa",
        "link set eth0 mtu 1400",
        "link set eth0 address 02:00:00:00:00:99",
        "link set eth0 down",
        "link set eth0 alias something",
        "link delete eth0",
        "address add 192.0.2.77/24 dev eth0",
        "-6 address flush dev eth0 scope global",
        "route delete default",
        "route replace default via 192.0.2.77",
    ],
)
def test_drift_is_seen_and_healed(host: Host, router: Machine, command: str) -> None:
    up(host, stack(containers="web"))
    web = host.container("web")
    web.serve(80)
    web.run(["ip", *command.split()])
    assert host.plan("home.yaml") != []
    host.netapply("up", "home.yaml")
    assert host.plan("home.yaml") == []
    for address in (web.ipv4, web.ipv6):
        assert router.ask(address, 80) is not None
    assert seen_as(web, "198.51.100.1") == web.ipv4


def test_what_a_kill_left_between_birth_and_label_is_taken_over(host: Host, outside: Machine) -> None:
    up(host, stack(containers="web"))
    web = host.container("web")
    web.run(["ip", "link", "delete", "eth0"])
    born = f"link add link eth0 name eth0 netns {web.path.name} group 28257 type macvlan mode bridge"
    host.run(["ip", *born.split()])
    up(host, stack(containers="web"))
    web.serve(80)
    assert outside.ask(web.ipv4, 80) is not None


def test_a_routers_advertisements_change_nothing(host: Host, router: Machine) -> None:
    up(host, stack(containers="web"))
    web = host.container("web")
    router.python(ADVERTISE)
    # The host's own interface follows it, which shows that it was one.
    for _ in range(100):
        if "fd99::" in host.run(["ip", "-6", "address", "show", "dev", "eth0"]).stdout:
            break
    else:
        pytest.fail("the advertisement did not arrive")
    assert "fd99::" not in web.run(["ip", "-6", "address"]).stdout
    assert host.plan("home.yaml") == []


def test_another_mac_is_known_at_once_on_the_lan(host: Host, router: Machine) -> None:
    text = stack(containers="web").replace("[lan]", "{lan: {mac_address: '02:00:00:00:00:98'}}")
    up(host, text)
    web = host.container("web")
    web.serve(80)
    for last in ("98", "99"):
        up(host, text.replace("00:98", f"00:{last}"))
        assert [router.ask(each, 80, timeout=5) is not None for each in (web.ipv4, web.ipv6)] == [True, True]


def test_the_host_gets_a_way_in_on_wish(host: Host, router: Machine) -> None:
    before = settled(host)
    given = 'host_address: [192.0.2.100, "2001:db8::100"]'
    up(host, stack(more=given))
    web, db = host.container("web"), host.container("db")
    for machine in (web, db, host):
        machine.serve(80)
    for own, member, lan in ((host.ipv4, web.ipv4, "192.0.2.100"), (host.ipv6, db.ipv6, "2001:db8::100")):
        assert seen_as(host, member) == lan
        assert seen_as(web, lan) == (web.ipv6 if ":" in lan else web.ipv4)
        # A host answers for each of its IPv4 addresses on every interface, for IPv6 only on the address's own.
        assert seen_as(web, own, timeout=1.0) == ("" if ":" in own else web.ipv4)
    assert seen_as(router, host.ipv4) == router.ipv4  # everything else as before
    # Routes go and come with members, and drift of them is healed.
    up(host, stack(containers="web", more=given))
    assert db.ipv4 not in host.run(["ip", "route"]).stdout
    host.run(["ip", "route", "delete", web.ipv4])
    assert [c["action"] for c in host.plan("home.yaml")] == ["create"]
    up(host, stack(containers="web", more=given))
    assert seen_as(host, web.ipv4) == "192.0.2.100"
    up(host, stack(containers="web"))
    assert "192.0.2.100" not in host.run(["ip", "address"]).stdout
    host.netapply("down", "home.yaml")
    assert before.difference(host.snapshot()) == []


@pytest.mark.parametrize(
    ("options", "address", "said"),
    [
        ("parent: eth0", "192.0.2.1", "host_address 192.0.2.1 of network home_lan is an address of the host's already"),
        (
            "parent: eth0, macvlan_mode: private",
            "192.0.2.100",
            "in mode private the host does not reach its containers",
        ),
    ],
)
def test_a_host_address_that_cannot_be(host: Host, options: str, address: str, said: str) -> None:
    assert said in refusal(host, stack(options, "web", more=f"host_address: {address}"))


MIXED = stack(containers="web").replace("[lan]}", "{lan: , zone: }, ports: ['8080:80']}")
MIXED = MIXED.replace("networks:\n", "networks:\n  zone: {enable_ipv6: true}\n", 1)


@pytest.mark.parametrize("preferred", ["lan", "zone"])
def test_beside_a_bridge_network_each_way_in_is_a_way_out(host: Host, router: Machine, preferred: str) -> None:
    """A container on the LAN and on a bridge: its published port and its own address both answer, to near and far."""
    host.run(["ip", "route", "add", "default", "via", router.ipv4])
    host.run(["ip", "-6", "route", "add", "default", "via", router.ipv6])
    up(host, MIXED.replace(f"{preferred}: ,", f"{preferred}: {{gw_priority: 1}},").replace("zone: }", "zone: {}}"))
    found = next(each for each in host.ps() if each["name"] == "web")
    lan = next(each for each in found["networks"] if each["name"] == "home_lan")
    web = host.container("web")
    web.serve(80)
    for family, near, far in (("ipv4", router.ipv4, "198.51.100.1"), ("ipv6", router.ipv6, "2001:db8:99::1")):
        own, published = lan[family].partition("/")[0], getattr(host, family)
        for source in (near, far):
            for address, port in ((own, 80), (published, 8080)):
                answer = router.attempt(address, port, source=source)
                assert isinstance(answer, Answer), (family, source, address, answer)
                assert answer.peer_address == source
        assert host.ask(published, 8080) is not None
        assert web.ask(far, 80) is not None
    for drift in ("rule delete priority 11000", "route flush table all proto 110"):
        web.run(["ip", *drift.split()])
        assert host.plan("home.yaml") != []
        host.netapply("up", "home.yaml")
        assert host.plan("home.yaml") == []
        assert router.ask(host.ipv4, 8080) is not None
    # Off the LAN again, nothing of it is left.
    up(host, MIXED.replace("lan: , zone: ", "zone: "))
    assert "11000" not in web.run(["ip", "rule"]).stdout + web.run(["ip", "-6", "rule"]).stdout
    assert "table 18" not in web.run(["ip", "route", "show", "table", "all"]).stdout
    assert router.ask(host.ipv4, 8080) is not None


def test_an_address_that_moves_to_another_container_is_heard_of_at_once(host: Host, outside: Machine) -> None:
    fixed = stack(containers="FIRST").replace(
        "[lan]", "{lan: {ipv4_address: 192.0.2.50, ipv6_address: '2001:db8::50'}}"
    )
    for name in ("one", "two"):
        up(host, fixed.replace("FIRST", name))
        host.container(name).serve(80)
        for address in ("192.0.2.50", "2001:db8::50"):
            answer = outside.ask(address, 80)
            assert answer is not None
            assert answer.name == name


def test_a_port_of_a_container_of_the_lan_alone_cannot_be_published(host: Host) -> None:
    text = stack(containers="web").replace("[lan]}", "{lan: {ipv4_address: 192.0.2.150}}, ports: ['8080:80']}")
    said = refusal(host, text)
    assert (
        "container web cannot publish port 80/tcp: on network home_lan (macvlan) it has an address of its own" in said
    )
    assert "remove the port, and ask 192.0.2.150 for 80" in said


def test_neither_the_hosts_address_nor_the_routers_is_ever_given_away(host: Host, outside: Machine) -> None:
    small = "[{subnet: 192.0.2.0/29, gateway: 192.0.2.2}]"
    up(host, stack(containers="a, b, c, d", pools=small))
    given = {host.container(name).ipv4 for name in "abcd"}
    assert given == {f"192.0.2.{number}" for number in (3, 4, 5, 6)}
    host.netapply("down", "home.yaml")
    assert "has no free address left" in refusal(host, stack(containers="a, b, c, d, e", pools=small))
    text = stack(containers="web").replace("[lan]", f"{{lan: {{ipv4_address: {host.ipv4}}}}}")
    assert "address 192.0.2.1 on network home_lan is taken by the host" in refusal(host, text)
    own = stack(containers="web", pools="[{subnet: 192.0.2.0/24}]")
    assert "gateway 192.0.2.1 of network home_lan is this host's own address" in refusal(host, own)


def test_a_parent_that_cannot_be(host: Host) -> None:
    host.run(
        ["ip", "-batch", "-"],
        stdin="link add br9 type bridge\nlink add x1 type veth peer name x2\nlink set x1 master br9\n",
    )
    said = refusal(host, stack("parent: eht0"))
    assert "home.yaml:3:3: error: network home_lan (macvlan): there is no interface eht0 on this host" in said
    assert "did you mean eth0? There is: br9, eth0, x1, x2" in said
    assert "is a port of br9" in refusal(host, stack("parent: x1"))
    assert "has no parent" in refusal(host, stack("macvlan_mode: bridge"))
    assert "MTU 9000 is more than the 1500 of its parent eth0" in refusal(
        host, stack("parent: eth0, com.docker.network.driver.mtu: 9000")
    )


def test_a_parent_that_goes_takes_its_networks_along_until_it_is_back(host: Host, lab: Lab) -> None:
    host.run(["ip", "-batch", "-"], stdin="link add x1 type veth peer name x2\nlink set x1 up\nlink set x2 up\n")
    text = stack("parent: x1")
    up(host, text)
    assert host.container("web").ask(host.container("db").ipv4, 80) is None
    host.run(["ip", "link", "delete", "x1"])
    done = host.netapply("plan", "home.yaml", check=False)
    assert (done.returncode, "there is no interface x1 on this host" in done.stderr) == (1, True)
    host.run(["ip", "-batch", "-"], stdin="link add x1 type veth peer name x2\nlink set x1 up\nlink set x2 up\n")
    up(host, text)
    host.container("web").serve(80)
    assert host.container("db").ask(host.container("web").ipv4, 80) is not None
    host.run(["ip", "link", "set", "x1", "down"])
    assert "interface x1 of the host is down" in host.netapply("plan", "home.yaml").stderr


def test_another_stack_joins_with_an_address_of_its_choice(host: Host, outside: Machine) -> None:
    up(host, stack(containers="web"))
    joiner = """
name: guests
networks:
  home_lan: {external: true}
containers:
  guest:
    networks: {home_lan: {ADDRESSES}}
"""
    host.write("guests.yaml", joiner.replace("ADDRESSES", ""))
    done = host.netapply("plan", "guests.yaml", check=False)
    assert "guests.yaml:7:16: error: which addresses of network home_lan are free is not known from here" in done.stderr
    addresses = "ipv4_address: 192.0.2.99, ipv6_address: '2001:db8::99'"
    host.write("guests.yaml", joiner.replace("ADDRESSES", addresses))
    host.netapply("up", "guests.yaml")
    assert host.plan("guests.yaml") == host.plan("home.yaml") == []
    host.container("guest").serve(80)
    assert seen_as(outside, "192.0.2.99") == outside.ipv4
    assert "via 192.0.2.2" in host.container("guest").run(["ip", "route"]).stdout
    shown = json.loads(host.netapply("network", "inspect", "home_lan", "--format", "json").stdout)
    assert (shown["driver"], shown["interface"], sorted(shown["containers"])) == (
        "macvlan",
        "eth0",
        ["guests/guest", "web"],
    )
    assert shown["subnets"][0] == {"subnet": "192.0.2.0/24", "gateway": "192.0.2.2"}


def test_an_internal_network_of_the_lan_gives_no_default_route(host: Host, outside: Machine) -> None:
    up(host, stack(containers="web", more="internal: true"))
    web = host.container("web")
    assert "default" not in web.run(["ip", "route"]).stdout
    web.serve(80)
    assert outside.ask(web.ipv4, 80) is not None
    listed = json.loads(host.netapply("network", "ls", "--format", "json").stdout)
    assert next(each["internal"] for each in listed if each["name"] == "home_lan") is True


def test_a_vlan_of_the_hosts_own_is_used_as_it_is(host: Host, outside: Machine) -> None:
    # A kernel without VLANs can have another link of such a name.
    lines = "link add eth0.10 type veth peer name x2\nlink set eth0.10 up\nlink set x2 up\n"
    host.run(["ip", "-batch", "-"], stdin=lines)
    up(host, stack("parent: eth0.10"))
    web, db = host.container("web"), host.container("db")
    web.serve(80)
    assert db.ask(web.ipv4, 80) is not None
    host.netapply("down", "home.yaml")
    assert "eth0.10@x2" in host.run(["ip", "link", "show", "eth0.10"]).stdout


def fetch(machine: Machine, url: str) -> str:
    """The page, which may take a moment to come."""
    code = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=1).read().decode().strip())"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        done = machine.run([sys.executable, "-c", code, url], check=False)
        if done.returncode == 0:
            return done.stdout.strip()
    return ""


def test_the_example(host: Host, outside: Machine) -> None:
    before = settled(host)
    host.write("macvlan.yaml", (REPOSITORY / "manifests" / "macvlan.yaml").read_text())
    host.netapply("up", "macvlan.yaml")
    assert host.plan("macvlan.yaml") == []
    for machine in (outside, host, host.container("reader")):
        assert fetch(machine, "http://192.0.2.200/") == "page of the lan"
    assert host.container("reader").ipv4.startswith("192.0.2.")
    names = "import socket; print(socket.gethostbyname('web'))"
    assert host.netapply("exec", "reader", "python3", "-c", names).stdout.strip() == "192.0.2.200"
    host.netapply("down", "macvlan.yaml")
    assert before.difference(host.snapshot()) == []


@pytest.mark.founding("S4-30")
@pytest.mark.parametrize(("driver", "near"), [("maclan", "macvlan"), ("ipvla", "ipvlan"), ("brige", "bridge")])
def test_an_unknown_driver_brings_a_suggestion(host: Host, driver: str, near: str) -> None:
    """S4-30: drivers have names, and a misspelt one is recognised."""
    said = refusal(host, stack(driver=driver))
    assert f"home.yaml:4:13: error: unknown network driver '{driver}'" in said
    assert f"did you mean '{near}'?" in said


@pytest.mark.founding("S4-30")
@pytest.mark.parametrize(
    ("driver", "instead"),
    [("host", "network_mode: host"), ("none", "network_mode: none"), ("overlay", ""), ("vlan", "parent: eth0.10")],
)
def test_a_driver_that_makes_no_network(host: Host, driver: str, instead: str) -> None:
    """S4-30: a name that Docker knows too is not mistaken for a misspelt one."""
    said = refusal(
        host, f"name: home\nnetworks: {{lan: {{driver: {driver}}}}}\ncontainers: {{web: {{networks: [lan]}}}}\n"
    )
    assert f"driver {driver} of network home_lan is not supported" in said
    assert instead in said


def has(host: Host, kind: str) -> bool:
    """Whether this kernel knows that kind of link."""
    arguments = ["id", "9"] if kind == "vlan" else []
    made = host.run(["ip", "link", "add", "link", "eth0", "name", "probe9", "type", kind, *arguments], check=False)
    host.run(["ip", "link", "delete", "probe9"], check=False)
    return made.returncode == 0


def test_a_vlan_is_made_and_goes_with_its_last_user_or_the_kernel_has_none(host: Host) -> None:
    text = stack("parent: eth0.10")
    if not has(host, "vlan"):
        said = refusal(host, text)
        assert "host:eth0.10" in said
        assert "the kernel has no VLAN interfaces: load them with modprobe 8021q" in said
        return
    before = settled(host)
    up(host, text)
    host.container("web").serve(80)
    assert host.container("db").ask(host.container("web").ipv4, 80) is not None
    host.netapply("down", "home.yaml")
    assert before.difference(host.snapshot()) == []


@pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
def test_ipvlan_works_or_the_kernel_has_none(host: Host, outside: Machine, mode: str) -> None:
    text = stack(f"parent: eth0, ipvlan_mode: {mode}", driver="ipvlan")
    if not has(host, "ipvlan"):
        said = refusal(host, text)
        assert "home.yaml:" in said
        assert "the kernel has no ipvlan: load it with modprobe ipvlan, or use driver macvlan" in said
        return
    up(host, text)
    web, db = host.container("web"), host.container("db")
    web.serve(80)
    assert db.ask(web.ipv4, 80) is not None
    assert link(web)["address"] == link(host)["address"]
    assert ("default via" in web.run(["ip", "route"]).stdout) == (mode == "l2")


def test_ipvlan_shares_the_mac_of_its_parent(host: Host) -> None:
    text = stack(driver="ipvlan", containers="web").replace("[lan]", "{lan: {mac_address: '02:00:00:00:00:99'}}")
    assert "container web has the MAC of eth0 on network home_lan (ipvlan)" in refusal(host, text)
