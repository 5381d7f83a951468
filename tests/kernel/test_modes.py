"""Network modes: whose network a container uses, with real packets."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.lab import Host, Lab, Machine
from tests.kernel.snapshot import Snapshot

TWO_PAGES = """\
name: shop
containers:
  web1:
    ports: ["80:80"]
  web2:
    network_mode: service:web1
"""


def said(asker: Machine, address: str, port: int) -> str:
    """The name of whoever answers there; empty for nobody."""
    answer = asker.ask(address, port)
    return answer.name if answer else ""


def inode(path: str) -> int:
    return Path(path).stat().st_ino


def named(host: Host, name: str) -> dict[str, Any]:
    return next(each for each in host.ps() if each["name"] == name)


def changes(host: Host, *arguments: str) -> list[tuple[str, str, str]]:
    return [(change["action"], change["kind"], change["name"]) for change in host.plan(*arguments)]


def links(machine: Machine) -> str:
    return machine.run(["ip", "-o", "address"]).stdout + machine.run(["ip", "route"]).stdout


@pytest.mark.founding("S0-01", "S0-02", "S0-04", "S0-05", "S0-06", "S0-07", "S0-09", "S4-25")
def test_two_pages_in_one_namespace(host: Host, outside: Machine) -> None:
    host.write("stack.yaml", TWO_PAGES)
    host.netapply("up", "stack.yaml")
    web1, web2 = named(host, "web1"), named(host, "web2")
    assert inode(web1["netns"]) == inode(web2["netns"])
    assert web1["netns"] != web2["netns"]
    assert (web1["network_mode"], web2["network_mode"]) == ("bridge", "container:web1")
    first, second = host.container("web1"), host.container("web2")
    assert links(first) == links(second)
    first.serve(80, name="page-one")
    second.serve(8080, name="page-two")
    for each in (first, second):
        assert [said(each, "127.0.0.1", port) for port in (80, 8080)] == ["page-one", "page-two"]
    assert said(outside, host.ipv4, 80) == "page-one"
    assert outside.ask(host.ipv4, 8080) is None, "not published, so not reachable"
    assert host.plan("stack.yaml") == []


@pytest.mark.founding("S0-03", "S0-11", "S0-13")
def test_ports_of_the_owner_change_while_both_run(host: Host, outside: Machine) -> None:
    host.write("stack.yaml", TWO_PAGES)
    host.netapply("up", "stack.yaml")
    first, second = host.container("web1"), host.container("web2")
    first.serve(80, name="page-one")
    second.serve(8080, name="page-two")
    kept = outside.connect(host.ipv4, 80)
    before = inode(named(host, "web2")["netns"])
    host.write("stack.yaml", TWO_PAGES.replace('["80:80"]', '["80:80", "8080:8080"]'))
    assert {kind for _, kind, _ in changes(host, "stack.yaml")} <= {"port", "agent"}
    host.netapply("up", "stack.yaml")
    assert kept.alive()
    assert said(outside, host.ipv4, 8080) == "page-two"
    assert inode(named(host, "web2")["netns"]) == before
    ports = [(port["published"], port["target"]) for port in named(host, "web1")["ports"]]
    assert sorted(set(ports)) == [(80, 80), (8080, 8080)]


@pytest.mark.founding("S0-12", "S0-14", "S0-20")
def test_a_joiner_comes_and_goes_without_touching_the_owner(host: Host, outside: Machine) -> None:
    owner_only = "name: shop\ncontainers:\n  web1:\n    ports: ['80:80']\n"
    host.write("stack.yaml", owner_only)
    host.netapply("up", "stack.yaml")
    host.container("web1").serve(80)
    kept = outside.connect(host.ipv4, 80)
    rules = host.run(["nft", "list", "table", "inet", "netapply"]).stdout
    for text in (TWO_PAGES, owner_only, TWO_PAGES):
        host.write("stack.yaml", text)
        assert {name.partition(":")[0] for _, _, name in changes(host, "stack.yaml")} == {"shop/web2"}
        host.netapply("up", "stack.yaml")
        assert host.run(["nft", "list", "table", "inet", "netapply"]).stdout == rules
        assert kept.alive()


@pytest.mark.founding("S0-08", "S0-23")
def test_two_stacks_each_with_a_hidden_port(host: Host, outside: Machine) -> None:
    for stack, port in (("a", 80), ("b", 8000)):
        text = f"name: {stack}\ncontainers:\n  front:\n    ports: ['{port}:{port}']\n"
        text += "  hidden: {network_mode: service:front}\n"
        host.write(f"{stack}.yaml", text)
    host.netapply("up", "a.yaml", "b.yaml")
    machines = {stack: host.container("front", stack) for stack in "ab"}
    for stack, port in (("a", 80), ("b", 8000)):
        machines[stack].serve(port, name=f"front-{stack}")
        host.container("hidden", stack).serve(8080, name=f"hidden-{stack}", addresses=("0.0.0.0",))
    assert said(outside, host.ipv4, 80) == "front-a"
    assert said(outside, host.ipv4, 8000) == "front-b"
    assert said(machines["a"], "127.0.0.1", 8080) == "hidden-a"
    assert said(machines["b"], "127.0.0.1", 8080) == "hidden-b"
    for asker, address in ((outside, host.ipv4), (outside, machines["a"].ipv4), (machines["a"], machines["b"].ipv4)):
        assert asker.ask(address, 8080, timeout=0.4) is None


@pytest.mark.founding("S0-15", "S0-17", "S2-03", "S2-08", "S2-10", "S3-23", "S4-08", "S4-27")
def test_host_mode_and_its_joiner(host: Host, outside: Machine) -> None:
    text = "name: shop\ncontainers:\n  web1: {network_mode: host}\n  web2: {network_mode: service:web1}\n"
    text += "  other: {ports: ['7000:70']}\n"
    host.write("stack.yaml", text)
    host.netapply("up", "stack.yaml")
    web1, web2 = host.container("web1"), host.container("web2")
    assert inode(named(host, "web1")["netns"]) == inode(named(host, "web2")["netns"]) == host.path.stat().st_ino
    assert links(web1) == links(web2) == links(host)
    assert "na-" in links(web1), "bridges of other containers are seen too"
    web1.serve(80, name="page-one")
    web2.serve(8080, name="page-two")
    assert [said(outside, host.ipv4, port) for port in (80, 8080)] == ["page-one", "page-two"]
    assert said(host, "127.0.0.1", 80) == "page-one"
    rules = host.run(["nft", "list", "table", "inet", "netapply"]).stdout
    assert "8080" not in rules
    assert [named(host, name)["network_mode"] for name in ("web1", "web2")] == ["host", "host"]
    assert host.plan("stack.yaml") == []
    host.netapply("down", "stack.yaml")
    assert host.ps() == []


@pytest.mark.founding("S0-22", "S2-05", "S3-01", "S3-02", "S3-03", "S4-10")
def test_none_has_only_loopback_and_takes_wiring_by_hand(host: Host, outside: Machine) -> None:
    host.write("stack.yaml", "name: shop\ncontainers:\n  lonely: {network_mode: none}\n")
    host.netapply("up", "stack.yaml")
    lonely = host.container("lonely")
    assert [line.split()[1] for line in lonely.run(["ip", "-o", "link"]).stdout.splitlines()] == ["lo:"]
    lonely.serve(80)
    assert lonely.ask("127.0.0.1", 80)
    assert outside.ask(host.ipv4, 80) is None
    shown = named(host, "lonely")
    assert (shown["networks"], shown["ports"], shown["network_mode"]) == ([], [], "none")
    host.run(["ip", "link", "add", "byhand", "type", "veth", "peer", "name", "eth9", "netns", str(lonely.path.name)])
    host.run(["ip", "address", "add", "198.51.100.1/24", "dev", "byhand"])
    host.run(["ip", "link", "set", "byhand", "up"])
    lonely.run(["ip", "address", "add", "198.51.100.2/24", "dev", "eth9"])
    lonely.run(["ip", "link", "set", "eth9", "up"])
    assert host.ask("198.51.100.2", 80)
    assert host.plan("stack.yaml") == [], "what was wired by hand is left alone"


@pytest.mark.founding("S0-19", "S0-21")
def test_joiners_follow_an_owner_that_lost_its_namespace(host: Host) -> None:
    text = TWO_PAGES + "    command: [sleep, '1000']\n"
    host.write("stack.yaml", text)
    host.netapply("up", "stack.yaml")
    for name in ("web1", "web2"):
        host.run(["ip", "netns", "delete", Path(named(host, name)["netns"]).name])
    os.kill(named(host, "web2")["pid"], signal.SIGKILL)
    host.netapply("up", "stack.yaml")
    web1, web2 = named(host, "web1"), named(host, "web2")
    assert inode(web1["netns"]) == inode(web2["netns"])
    assert host.plan("stack.yaml") == []


@pytest.mark.parametrize("keeper", ["a joiner's name", "a command"])
def test_a_sandbox_that_lost_its_name_gets_it_again(host: Host, outside: Machine, keeper: str) -> None:
    text = TWO_PAGES if keeper == "a joiner's name" else "name: shop\ncontainers:\n  web1:\n    ports: ['80:80']\n"
    host.write("stack.yaml", text.replace("['80:80']", "['80:80']\n    command: [sleep, '1000']"))
    host.netapply("up", "stack.yaml")
    web1 = named(host, "web1")
    host.container("web1").serve(80)
    kept = outside.connect(host.ipv4, 80)
    old = inode(web1["netns"])
    host.run(["ip", "netns", "delete", Path(web1["netns"]).name])
    told = {(action, kind) for action, kind, _ in changes(host, "stack.yaml")}
    assert ("update", "namespace") in told
    assert told <= {("update", "namespace"), ("update", "agent")}, "names are served anew there"
    host.netapply("up", "stack.yaml")
    assert inode(named(host, "web1")["netns"]) == old
    assert named(host, "web1")["pid"] == web1["pid"]
    assert kept.alive()
    assert host.plan("stack.yaml") == []


@pytest.mark.founding("S0-30")
def test_a_container_in_another_namespace_than_declared_is_drift(host: Host) -> None:
    host.write("stack.yaml", TWO_PAGES + "  stray: {}\n")
    host.netapply("up", "stack.yaml")
    pin = named(host, "web2")["netns"]
    host.run(["umount", pin])
    host.run(["mount", "--bind", named(host, "stray")["netns"], pin])
    told = host.netapply("plan", "stack.yaml", check=False).stdout
    assert "network of container stray" in told
    assert "network of container web1" in told
    host.netapply("up", "stack.yaml")
    assert inode(pin) == inode(named(host, "web1")["netns"])


def test_chains_other_stacks_and_namespaces_of_others(host: Host) -> None:
    host.run(["ip", "netns", "add", "blue"])
    host.write("first.yaml", "name: first\ncontainers:\n  owner: {}\n  joiner: {network_mode: container:owner}\n")
    host.netapply("up", "first.yaml")
    text = "name: second\ncontainers:\n  chained: {network_mode: container:first/joiner}\n"
    text += "  again: {network_mode: service:chained}\n  strange: {network_mode: container:blue}\n"
    host.write("second.yaml", text)
    host.netapply("up", "second.yaml")
    owner = inode(named(host, "owner")["netns"])
    assert [inode(named(host, name)["netns"]) for name in ("joiner", "chained", "again")] == [owner] * 3
    assert inode(named(host, "strange")["netns"]) == inode("/run/netns/blue")
    assert host.plan("second.yaml") == []
    refused = host.netapply("down", "first.yaml", check=False)
    assert refused.returncode == 1
    assert "second/again" in refused.stderr
    assert "second/chained" in refused.stderr
    host.netapply("down", "second.yaml")
    assert Path("/run/netns/blue").exists()
    assert not Path(named(host, "owner")["netns"]).with_name("second.strange").exists()
    host.netapply("down", "first.yaml")


def test_missing_owners_and_circles_are_told_with_their_place(host: Host) -> None:
    text = "name: shop\ncontainers:\n  web: {network_mode: container:wbe}\n  one: {}\n  wbe2: {}\n"
    host.write("stack.yaml", text)
    told = host.netapply("plan", "stack.yaml", check=False)
    assert told.returncode == 1
    assert "stack.yaml:3" in told.stderr
    assert "there is no container wbe" in told.stderr
    assert "did you mean" in told.stderr


@pytest.mark.founding("S0-18", "S2-16", "S2-18", "S2-20")
def test_declared_listeners_that_collide(host: Host) -> None:
    text = "name: shop\ncontainers:\n  one: {network_mode: host, expose: ['80']}\n"
    text += "  two: {network_mode: host, listen: ['192.0.2.1:80']}\n"
    text += "  owner: {expose: ['9']}\n  joiner: {network_mode: service:owner, expose: ['9']}\n"
    host.write("stack.yaml", text)
    told = host.netapply("plan", "stack.yaml", check=False)
    assert told.returncode == 1
    assert "containers one and two both listen on port 80/tcp in the host's network" in told.stderr
    assert "containers owner and joiner both listen on port 9/tcp" in told.stderr


@pytest.mark.founding("S2-07", "S2-19", "S2-21", "S2-25")
def test_each_of_two_host_addresses_serves_its_own_page(host: Host, outside: Machine) -> None:
    host.run(["ip", "address", "add", "192.0.2.200/24", "dev", "eth0"])
    text = "name: shop\ncontainers:\n"
    for name, address in (("one", host.ipv4), ("two", "192.0.2.200")):
        text += f"  {name}: {{network_mode: host, listen: ['{address}:80']}}\n"
    host.write("stack.yaml", text)
    host.netapply("up", "stack.yaml")
    host.container("one").serve(80, name="one", addresses=(host.ipv4,))
    host.container("two").serve(80, name="two", addresses=("192.0.2.200",))
    assert said(outside, host.ipv4, 80) == "one"
    assert said(outside, "192.0.2.200", 80) == "two"


@pytest.mark.founding("S2-16", "S2-17")
def test_a_port_of_the_host_that_a_stranger_listens_on(host: Host) -> None:
    host.serve(80, name="stranger")
    host.write("stack.yaml", "name: shop\ncontainers:\n  web: {network_mode: host, expose: ['80']}\n")
    told = host.netapply("plan", "stack.yaml", check=False)
    assert told.returncode == 1
    assert "port 80/tcp of the host" in told.stderr
    assert "process " in told.stderr


@pytest.mark.founding("S2-02", "S3-05", "S3-06", "S3-11", "S4-02", "S4-04", "S4-05", "S1-04", "S1-09", "S1-17")
def test_the_default_bridge_is_the_hosts_and_shared(host: Host, outside: Machine) -> None:
    for stack in ("a", "b"):
        host.write(f"{stack}.yaml", f"name: {stack}\ncontainers:\n  web: {{network_mode: bridge}}\n")
    before = host.snapshot()
    host.netapply("up", "a.yaml")
    host.netapply("up", "b.yaml")
    first, second = host.container("web", "a"), host.container("web", "b")
    assert first.ipv4.startswith("172.17.")
    assert first.ipv4 != second.ipv4
    second.serve(80)
    assert first.ask(second.ipv4, 80)
    assert host.ask(second.ipv4, 80)
    shown = named(host, "web")["networks"][0]
    assert (shown["name"], shown["gateway"]) == ("bridge", "172.17.0.1")
    assert host.plan("a.yaml", "b.yaml") == []
    host.netapply("down", "a.yaml")
    assert host.ask(second.ipv4, 80)
    host.netapply("down", "b.yaml")
    assert host.snapshot() == before


def test_an_external_network_called_bridge_is_the_default_one(host: Host) -> None:
    host.write("a.yaml", "name: a\ncontainers:\n  web: {network_mode: bridge}\n")
    text = "name: b\nnetworks: {default: {external: true, name: bridge}}\ncontainers:\n  web: {}\n"
    host.write("b.yaml", text)
    host.netapply("up", "b.yaml")
    host.netapply("up", "a.yaml")
    first, second = host.container("web", "a"), host.container("web", "b")
    second.serve(80)
    assert first.ask(second.ipv4, 80)
    assert host.plan("a.yaml", "b.yaml") == []


def test_other_namespaces_of_other_containers(host: Host) -> None:
    text = "name: shop\ncontainers:\n  owner: {command: [sleep, '1000'], hostname: boss}\n"
    text += "  guest: {command: [sleep, '1000'], pid: 'service:owner', ipc: 'service:owner', uts: 'service:owner'}\n"
    host.write("stack.yaml", text)
    host.netapply("up", "stack.yaml")

    def namespaces(name: str) -> dict[str, str]:
        pid = named(host, name)["pid"]
        return {kind: str(Path(f"/proc/{pid}/ns/{kind}").readlink()) for kind in ("pid", "ipc", "uts", "net")}

    owner, guest = namespaces("owner"), namespaces("guest")
    assert {kind for kind in owner if owner[kind] == guest[kind]} == {"pid", "ipc", "uts"}
    assert host.netapply("exec", "guest", "hostname").stdout == "boss\n"
    host.write("stack.yaml", text.replace("'1000'], hostname", "'2000'], hostname"))
    host.netapply("up", "stack.yaml")
    assert namespaces("owner")["pid"] == namespaces("guest")["pid"]
    assert "2000" in Path(f"/proc/{named(host, 'owner')['pid']}/cmdline").read_text()
    assert host.plan("stack.yaml") == []


@pytest.mark.founding("S1-48")
def test_a_command_that_ended_is_shown_with_its_code_and_restarted_only_on_request(host: Host) -> None:
    text = "name: shop\ncontainers:\n  once: {command: [sh, -c, 'exit 3'], network_mode: none%s}\n"
    host.write("stack.yaml", text % "")
    host.netapply("up", "stack.yaml")
    wait_until(lambda: named(host, "once")["state"] == "exited")
    assert named(host, "once")["exit_code"] == 3
    assert host.plan("stack.yaml") == []
    host.write("stack.yaml", text % ", restart: on-failure")
    host.netapply("up", "stack.yaml")
    wait_until(lambda: named(host, "once")["state"] == "exited")
    assert "it has ended with status 3" in host.netapply("plan", "stack.yaml", check=False).stdout


def test_modes_change_in_place(host: Host, lab: Lab) -> None:
    del lab
    text = "name: shop\ncontainers:\n  web1: {ports: ['80:80']}\n  web2: %s\n"
    for mode in ("{}", "{network_mode: host}", "{network_mode: service:web1}", "{network_mode: none}", "{}"):
        host.write("stack.yaml", text % mode)
        host.netapply("up", "stack.yaml")
        assert host.plan("stack.yaml") == [], mode


def test_a_sandbox_that_gives_way_to_another_is_waited_for(host: Host) -> None:
    """Something keeps it alive for a while: `up` has not done all that it said before its links are gone."""
    text = "name: shop\ncontainers:\n  web: %s\n"
    host.write("stack.yaml", text % "{}")
    host.netapply("up", "stack.yaml")
    kept = host.container("web").serve(80)
    threading.Timer(2, kept.close).start()
    host.write("stack.yaml", text % "{network_mode: host}")
    host.netapply("up", "stack.yaml")
    assert host.plan("stack.yaml") == []


@pytest.mark.founding("S1-47", "S4-11")
def test_a_job_leaves_nothing_when_its_command_has_ended(host: Host, outside: Machine) -> None:
    text = "name: shop\nnetworks: {own: {}}\ncontainers:\n"
    text += "  once: {rm: true, networks: [own], ports: ['8080:80'], command: [sh, -c, 'sleep 2; exit 7']}\n"
    web = "  web: {ports: ['8081:81']}\n"
    host.write("web.yaml", "name: web\ncontainers:\n" + web)
    host.netapply("up", "web.yaml")
    before = host.snapshot()
    host.write("stack.yaml", text)
    host.netapply("up", "stack.yaml")
    assert named(host, "once")["ports"]
    wait_until(lambda: [each["name"] for each in host.ps()] == ["web"])
    wait_until(lambda: without_records(host.snapshot()) == without_records(before))
    assert host.plan("stack.yaml") == [], "it has run as it is defined"
    host.container("web").serve(81)
    assert outside.ask(host.ipv4, 8081)
    host.write("stack.yaml", text.replace("exit 7", "exit 8"))
    assert host.plan("stack.yaml") != [], "a changed job runs again"
    host.netapply("down", "stack.yaml")
    assert host.netapply("down", "stack.yaml").stdout.strip() == "Nothing to do."
    wait_until(lambda: host.snapshot() == before)


def without_records(seen: Snapshot) -> dict[str, list[str]]:
    """All but the record that a job has ended, which keeps it from running again."""
    return {name: [line for line in lines if "/ended/" not in line] for name, lines in seen.sections.items()}


def wait_until(done: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it never came to be so"
        time.sleep(0.05)


def test_a_namespace_in_use_is_not_replaced_without_naming_all_members(host: Host) -> None:
    text = TWO_PAGES + "  web3: {network_mode: service:web2}\n"
    host.write("stack.yaml", text)
    host.netapply("up", "stack.yaml")
    host.write(
        "stack.yaml",
        text.replace('    ports: ["80:80"]', "    network_mode: none")
        .replace("web1:", "other:", 1)
        .replace("service:web1", "service:other"),
    )
    told = host.netapply("plan", "stack.yaml", check=False).stderr
    assert "the network namespace of shop/web1 is removed; it is also used by shop/web2, shop/web3" in told
    host.netapply("up", "stack.yaml")
    assert named(host, "web3")["network_mode"] == "container:other"
