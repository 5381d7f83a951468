"""What containers see as /etc/hosts, /etc/resolv.conf and /etc/hostname, changed while they run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kernel.changes import assert_unchanged, lines, named
from tests.kernel.lab import Host, Lab

needs_runtime = pytest.mark.skipif(shutil.which("crun") is None, reason="needs the package crun")

TUTORIAL = """
name: tutorial
containers:
  mydocker1:
    network_mode: bridge
    hostname: mydocker1.rayx.me
    dns: [8.8.8.8]
    dns_search: [rayx.me]
    extra_hosts: ["www.rayx.me:54.12.17.68"]
    command: [sleep, "600"]
    rm: true
"""


def see(host: Host, container: str, path: str) -> str:
    """A file as the container sees it: its command's view, or that of ``ip netns exec``."""
    return host.netapply("exec", container, "cat", path).stdout


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line and not line.startswith("#")]


def pid(host: Host, name: str) -> int:
    (found,) = [each["pid"] for each in host.ps() if each["name"] == name]
    assert isinstance(found, int)
    return found


def lookup(host: Host, container: str, name: str) -> str:
    """What the C library inside says for a name; empty where it knows none."""
    done = host.netapply("exec", container, "getent", "ahosts", name, check=False)
    return " ".join(dict.fromkeys(line.split()[0] for line in done.stdout.splitlines()))


def libraries(program: str) -> set[str]:
    listed = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    return {word for word in listed.split() if word.startswith("/")}


def files_below(*folders: str) -> list[str]:
    return sorted(str(path) for folder in folders for path in Path(folder).rglob("*"))


@pytest.mark.founding("S4-11", "S4-12", "S4-13", "S4-14", "S4-15")
@needs_runtime
def test_the_tutorials_container_sees_what_it_was_given(host: Host) -> None:
    """S4-11, S4-12, S4-13, S4-14, S4-15: network, host name, nameserver, search domain and an extra host together."""
    host.write("stack.yaml", TUTORIAL)
    host.netapply("up", "stack.yaml")
    (container,) = host.ps()
    address = container["networks"][0]["ipv4"].partition("/")[0]
    seen = words(see(host, "mydocker1", "/etc/hosts"))
    assert ["54.12.17.68", "www.rayx.me"] in seen
    assert [address, "mydocker1.rayx.me", "mydocker1"] in seen
    resolv_conf = words(see(host, "mydocker1", "/etc/resolv.conf"))
    assert [line for line in resolv_conf if line[0] != "options"] == [["nameserver", "8.8.8.8"], ["search", "rayx.me"]]
    assert see(host, "mydocker1", "/etc/hostname") == "mydocker1.rayx.me\n"
    assert host.netapply("exec", "mydocker1", "hostname").stdout == "mydocker1.rayx.me\n"
    assert lookup(host, "mydocker1", "www.rayx.me") == "54.12.17.68"
    assert host.plan("stack.yaml") == []


@pytest.mark.founding("S1-45")
def test_a_sandbox_shows_them_to_ip_netns_exec(host: Host) -> None:
    """S1-45: its own address with its name, localhost, and the entries of IPv6."""
    host.write("stack.yaml", "name: shop\ncontainers: {web: {}}")
    host.netapply("up", "stack.yaml")
    (container,) = host.ps()
    address = container["networks"][0]["ipv4"].partition("/")[0]
    pin = Path(container["netns"]).name
    seen = words(
        subprocess.run(
            ["ip", "netns", "exec", pin, "cat", "/etc/hosts"], check=True, capture_output=True, text=True
        ).stdout
    )
    assert seen[0] == ["127.0.0.1", "localhost"]
    assert ["::1", "localhost", "ip6-localhost", "ip6-loopback"] in seen
    assert ["ff02::1", "ip6-allnodes"] in seen
    assert [address, "web"] in seen
    assert see(host, "web", "/etc/hosts") == Path(container["hosts_path"]).read_text()
    assert see(host, "web", "/etc/resolv.conf") == Path(container["resolv_conf_path"]).read_text()


def test_addresses_of_both_families_and_all_networks(host: Host) -> None:
    host.write(
        "stack.yaml",
        "name: shop\n"
        "containers: {web: {hostname: www, domainname: example.org, networks: [front, back]}}\n"
        "networks: {front: {enable_ipv6: true}, back: {}}",
    )
    host.netapply("up", "stack.yaml")
    (container,) = host.ps()
    addresses = {
        net[family].partition("/")[0] for net in container["networks"] for family in ("ipv4", "ipv6") if net[family]
    }
    assert len(addresses) == 3
    own = [line for line in words(see(host, "web", "/etc/hosts")) if line[1:] == ["www.example.org", "www"]]
    assert {line[0] for line in own} == addresses


def test_without_a_network_there_is_no_nameserver_and_its_own_name_is_at_home(host: Host) -> None:
    host.write("stack.yaml", "name: shop\ncontainers: {alone: {network_mode: none}}")
    host.netapply("up", "stack.yaml")
    assert "nameserver" not in see(host, "alone", "/etc/resolv.conf")
    assert ["127.0.0.1", "alone"] in words(see(host, "alone", "/etc/hosts"))


HOSTS = """
name: shop
containers:
  web:
    command: [sleep, "600"]
    user: nobody
    extra_hosts: {extra}
    networks: [front]
networks: {{front: {{enable_ipv6: true}}}}
"""


@pytest.mark.founding("S1-51")
@needs_runtime
def test_extra_hosts_change_under_a_running_command(host: Host) -> None:
    """S1-51: entries change live; nothing restarts and the file stays the same one."""
    host.write("stack.yaml", HOSTS.format(extra='["db=192.0.2.7"]'))
    host.netapply("up", "stack.yaml")
    process = pid(host, "web")
    inode = host.netapply("exec", "web", "stat", "-c", "%i %a", "/etc/hosts").stdout
    host.write("stack.yaml", HOSTS.format(extra='["db=192.0.2.8", "db=2001:db8::8", "cache:192.0.2.9"]'))
    changes = host.plan("stack.yaml")
    assert named(changes) == ["update file shop/web:hosts"]
    assert [change["disruption"] for change in changes] == ["none"]
    (shown,) = lines(host, "stack.yaml")
    assert "~ /etc/hosts (- 192.0.2.7 db; + 192.0.2.8 db; + 2001:db8::8 db; + 192.0.2.9 cache)" in shown
    host.netapply("up", "stack.yaml")
    assert pid(host, "web") == process
    assert host.netapply("exec", "web", "stat", "-c", "%i %a", "/etc/hosts").stdout == inode
    assert inode.split()[1] == "644"
    assert set(lookup(host, "web", "db").split()) == {"192.0.2.8", "2001:db8::8"}
    assert lookup(host, "web", "cache") == "192.0.2.9"
    host.write("stack.yaml", HOSTS.format(extra="[]"))
    host.netapply("up", "stack.yaml")
    assert "192.0.2" not in see(host, "web", "/etc/hosts")
    assert pid(host, "web") == process
    assert host.plan("stack.yaml") == []


@pytest.mark.founding("S2-28")
def test_host_gateway_is_the_host_in_both_families(host: Host) -> None:
    """S2-28: a name for the host."""
    host.write(
        "stack.yaml", HOSTS.format(extra='["host.docker.internal=host-gateway"]').replace('command: [sleep, "600"]', "")
    )
    host.netapply("up", "stack.yaml")
    host.serve(5432, name="database of the host".replace(" ", "-"))
    addresses = lookup(host, "web", "host.docker.internal").split()
    assert len(addresses) == 2
    for address in addresses:
        answer = host.container("web").ask(address, 5432)
        assert answer is not None
        assert answer.name == "database-of-the-host"


def test_host_gateway_where_the_host_is_not(host: Host) -> None:
    host.write(
        "stack.yaml",
        "name: shop\ncontainers:\n  web:\n    network_mode: none\n    extra_hosts:\n      - up=host-gateway\n",
    )
    done = host.netapply("up", "stack.yaml", check=False)
    assert done.returncode == 1
    assert (
        "stack.yaml:6:9: error: container web asks for host-gateway, but on none of its networks is the host"
        in done.stderr
    )


@needs_runtime
def test_a_root_file_system_of_its_own_gets_them_too(host: Host, tmp_path: Path) -> None:
    """Its resolv.conf is a symbolic link into /run, as systemd-resolved has it; its hosts file does not exist."""
    root = tmp_path / "root"
    programs = [f"/bin/{name}" for name in ("cat", "sleep")]
    for path in {*programs, *(library for program in programs for library in libraries(program))}:
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / path[1:])
    (root / "etc").mkdir()
    (root / "etc/resolv.conf").symlink_to("/run/systemd/resolve/stub-resolv.conf")
    host.write(
        "stack.yaml",
        f"name: shop\ncontainers: {{web: {{rootfs: {root}, command: [sleep, '600'], extra_hosts: [db=192.0.2.7]}}}}",
    )
    host.netapply("up", "stack.yaml")
    assert "192.0.2.7 db" in see(host, "web", "/etc/hosts")
    assert "nameserver 127.0.0.11" in see(host, "web", "/etc/resolv.conf")
    assert see(host, "web", "/etc/hostname") == "web\n"
    assert host.plan("stack.yaml") == []


@pytest.mark.founding("S4-26")
@needs_runtime
def test_a_joiner_sees_the_owners(host: Host) -> None:
    """S4-26: hostname, hosts and resolver files follow the owner of the namespace."""
    host.write(
        "stack.yaml",
        "name: shop\ncontainers:\n"
        "  web: {hostname: www.example.org, extra_hosts: [db=192.0.2.7]}\n"
        "  app: {network_mode: 'service:web', command: [sleep, '600']}\n"
        "  empty: {network_mode: 'service:web'}\n",
    )
    host.netapply("up", "stack.yaml")
    for name in ("app", "empty"):
        assert see(host, name, "/etc/hosts") == see(host, "web", "/etc/hosts")
        assert see(host, name, "/etc/resolv.conf") == see(host, "web", "/etc/resolv.conf")
    assert host.netapply("exec", "app", "hostname").stdout == "www.example.org\n"
    assert {each["hosts_path"] for each in host.ps()} == {host.ps()[0]["hosts_path"]}
    host.netapply("down", "stack.yaml")
    assert files_below("/etc/netns", "/run/netapply") == []


@needs_runtime
def test_in_host_mode_it_sees_the_hosts_unless_it_says_more(host: Host) -> None:
    host.write(
        "stack.yaml",
        "name: shop\ncontainers:\n"
        "  plain: {network_mode: host, command: [sleep, '600']}\n"
        "  told: {network_mode: host, command: [sleep, '600'], extra_hosts: [db=192.0.2.7, me=host-gateway], dns: [192.0.2.53]}\n",
    )
    own = Path("/etc/netns/host")
    own.mkdir()
    (own / "hosts").write_text("192.0.2.33 of-the-host\n")
    (own / "resolv.conf").write_text("nameserver 192.0.2.99\nsearch example.net\n")
    host.netapply("up", "stack.yaml")
    assert see(host, "plain", "/etc/hosts") == Path("/etc/hosts").read_text()
    assert see(host, "told", "/etc/hosts") == "192.0.2.33 of-the-host\n192.0.2.7 db\n127.0.0.1 me\n"
    assert see(host, "told", "/etc/resolv.conf") == "nameserver 192.0.2.53\nsearch example.net\n"
    assert host.plan("stack.yaml") == []


class Run:
    """A stack whose files are then meddled with."""

    def __init__(self, host: Host) -> None:
        host.write("stack.yaml", HOSTS.format(extra='["db=192.0.2.7"]'))
        host.netapply("up", "stack.yaml")
        (container,) = host.ps()
        self.path = Path(container["hosts_path"])
        self.link = Path("/etc/netns") / Path(container["netns"]).name


@needs_runtime
def test_what_somebody_writes_there_is_undone(host: Host) -> None:
    stack = Run(host)
    process = pid(host, "web")
    text = stack.path.read_text()
    with stack.path.open("a") as file:
        file.write("198.51.100.1 evil\n")
    assert lookup(host, "web", "evil") == "198.51.100.1"
    assert named(host.plan("stack.yaml")) == ["update file shop/web:hosts"]
    host.netapply("up", "stack.yaml")
    assert stack.path.read_text() == see(host, "web", "/etc/hosts") == text
    assert pid(host, "web") == process


@needs_runtime
def test_a_file_that_was_replaced_takes_the_command_with_it(host: Host) -> None:
    """Behind the mount it would see the old one for ever."""
    stack = Run(host)
    process = pid(host, "web")
    draft = stack.path.with_name("draft")
    draft.write_text("198.51.100.1 evil\n")
    draft.rename(stack.path)
    assert named(host.plan("stack.yaml")) == [
        "create process shop/web:command",
        "delete process shop/web:command",
        "update file shop/web:hosts",
    ]
    host.netapply("up", "stack.yaml")
    assert pid(host, "web") != process
    assert see(host, "web", "/etc/hosts") == stack.path.read_text()
    assert lookup(host, "web", "db") == "192.0.2.7"
    stack.path.unlink()
    host.netapply("up", "stack.yaml")
    assert see(host, "web", "/etc/hosts") == stack.path.read_text()
    assert host.plan("stack.yaml") == []


@needs_runtime
def test_the_place_that_ip_netns_exec_looks_at_is_healed(host: Host) -> None:
    stack = Run(host)
    stack.link.unlink()
    assert named(host.plan("stack.yaml")) == ["update file shop/web:hosts"]
    host.netapply("up", "stack.yaml")
    assert (stack.link / "hosts").read_text() == stack.path.read_text()
    # As the machine's last life left it.
    stack.link.unlink()
    stack.link.symlink_to("/run/netapply/123456/files/shop/web")
    host.netapply("up", "stack.yaml")
    assert (stack.link / "hosts").read_text() == stack.path.read_text()


@pytest.mark.parametrize("foreign", ["folder", "link"])
def test_what_somebody_else_put_there_stays(host: Host, tmp_path: Path, foreign: str) -> None:
    host.write("stack.yaml", "name: shop\ncontainers: {web: {}}")
    host.netapply("up", "stack.yaml")
    (container,) = host.ps()
    place = Path("/etc/netns") / Path(container["netns"]).name
    place.unlink()
    if foreign == "folder":
        place.mkdir()
        (place / "hosts").write_text("theirs\n")
    else:
        (tmp_path / "hosts").write_text("theirs\n")
        place.symlink_to(tmp_path)
    done = host.netapply("plan", "stack.yaml")
    assert f"warning: {place} is not netapply's, so it stays as it is" in done.stderr
    host.write("stack.yaml", "name: shop\ncontainers: {web: {extra_hosts: [db=192.0.2.7]}}")
    host.netapply("up", "stack.yaml")
    assert (place / "hosts").read_text() == "theirs\n"
    host.netapply("down", "stack.yaml")
    assert (place / "hosts").read_text() == "theirs\n"


def test_nothing_is_left_and_dead_links_go(host: Host, lab: Lab) -> None:
    before = host.snapshot()
    Path("/etc/netns/old.one").symlink_to("/run/netapply/123456/files/old/one")
    Path("/etc/netns/theirs").symlink_to("/run/nowhere")
    host.write("stack.yaml", "name: shop\ncontainers: {web: {}, app: {extra_hosts: [db=192.0.2.7]}}")
    host.netapply("up", "stack.yaml")
    assert not Path("/etc/netns/old.one").is_symlink()
    assert Path("/etc/netns/theirs").is_symlink()
    Path("/etc/netns/theirs").unlink()
    host.netapply("down", "stack.yaml")
    assert_unchanged(before, host.snapshot())


def test_down_finds_the_links_when_the_run_folder_is_gone(host: Host) -> None:
    host.write("stack.yaml", "name: shop\ncontainers: {web: {}}")
    host.netapply("up", "stack.yaml")
    assert files_below("/etc/netns") != []
    for folder in Path("/run/netapply").iterdir():
        shutil.rmtree(folder)
    host.netapply("down", "-p", "shop")
    assert files_below("/etc/netns", "/run/netapply") == []


def test_a_failed_up_leaves_the_files_as_they_were(host: Host) -> None:
    host.write("stack.yaml", "name: shop\ncontainers: {web: {extra_hosts: [db=192.0.2.7]}}")
    host.netapply("up", "stack.yaml")
    before = see(host, "web", "/etc/hosts")
    host.write(
        "stack.yaml",
        "name: shop\ncontainers:\n  web: {extra_hosts: [db=192.0.2.8]}\n"
        "  new: {command: [/nowhere/to/be/found], extra_hosts: [db=192.0.2.8]}\n",
    )
    assert host.netapply("up", "stack.yaml", check=False).returncode == 1
    assert see(host, "web", "/etc/hosts") == before
    assert "new" not in " ".join(files_below("/etc/netns", "/run/netapply"))


def test_the_files_are_root_only_outside(host: Host) -> None:
    host.write("stack.yaml", "name: shop\ncontainers: {web: {extra_hosts: [db=192.0.2.7]}}")
    host.netapply("up", "stack.yaml")
    hosts = Path(host.ps()[0]["hosts_path"])
    assert oct(hosts.stat().st_mode & 0o777) == "0o644"
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", "cat", str(hosts)], check=False, capture_output=True
    )
    assert done.returncode != 0
