"""The commands that show a host, and those that reach into it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.lab import Answer, Host, Machine

SHOP = """
name: shop
networks:
  front:
    enable_ipv6: true
    ipam: {config: [{subnet: 172.30.1.0/24}, {subnet: fd30::/64}]}
    driver_opts: {com.docker.network.bridge.name: brfront}
  back:
    name: data
    internal: true
    ipam: {config: [{subnet: 172.30.2.0/24}]}
containers:
  web:
    networks:
      front: {ipv4_address: 172.30.1.10, ipv6_address: "fd30::10", mac_address: "02:42:00:00:00:10"}
    ports: ["8080:80", "127.0.0.1:9000-9002:9000-9002", "53/udp"]
  server:
    networks: [front]
    hostname: www
    command: [sh, -c, "echo started; while :; do sleep 0.1; done"]
  job:
    networks: [back]
    command: [sh, -c, "echo to-stdout; echo to-stderr >&2; exit 3"]
  lonely:
    network_mode: none
"""
BLOG = """
name: blog
containers:
  web:
    ports: ["8081:80"]
"""


@pytest.fixture
def shop(host: Host) -> Host:
    """The host with the shop."""
    host.write("shop.yaml", SHOP)
    host.netapply("up", "shop.yaml")
    _until(lambda: _container(host, "job")["state"] == "exited")
    return host


def _until(condition: Any, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def _container(host: Host, name: str) -> dict[str, Any]:
    return next(each for each in host.ps() if each["name"] == name)


def _json(host: Host, *arguments: str) -> Any:
    return json.loads(host.netapply(*arguments, "--format", "json").stdout)


def _refusal(host: Host, *arguments: str) -> str:
    done = host.netapply(*arguments, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_host_where_nothing_ever_ran_is_shown_empty_and_left_so(host: Host) -> None:
    before = host.snapshot()
    assert host.ps() == []
    assert _json(host, "ls") == []
    assert [each["name"] for each in _json(host, "network", "ls")] == ["bridge", "host", "none"]
    assert host.netapply("ps").stdout == "CONTAINER   STATE   ADDRESSES   PORTS\n"
    assert before.difference(host.snapshot()) == []


@pytest.mark.founding("S1-03", "S1-48", "S3-02")
def test_ps_says_what_the_kernel_says(shop: Host) -> None:
    containers = {each["name"]: each for each in shop.ps()}
    assert {name: each["state"] for name, each in containers.items()} == {
        "web": "sandbox",
        "server": "running",
        "job": "exited",
        "lonely": "sandbox",
    }
    assert containers["job"]["exit_code"] == 3
    web = containers["web"]
    (network,) = web["networks"]
    assert network == {
        "name": "shop_front",
        "interface": "eth0",
        "ipv4": "172.30.1.10/24",
        "ipv6": "fd30::10/64",
        "mac": "02:42:00:00:00:10",
        "gateway": "172.30.1.1",
        "aliases": network["aliases"],
    }
    assert {"host_ip": "0.0.0.0", "published": 8080, "target": 80, "protocol": "tcp"} in web["ports"]
    assert {"host_ip": "::", "published": 8080, "target": 80, "protocol": "tcp"} in web["ports"]
    assert (containers["server"]["hostname"], web["hostname"]) == ("www", "web")
    assert (containers["lonely"]["network_mode"], containers["lonely"]["networks"]) == ("none", [])


def test_the_pid_is_the_commands_and_the_path_leads_into_its_network(shop: Host) -> None:
    server = _container(shop, "server")
    assert b"echo started" in Path(f"/proc/{server['pid']}/cmdline").read_bytes()
    assert Path(f"/proc/{server['pid']}/ns/net").samefile(server["netns"])
    # iproute2 takes what stands below /run/netns, nsenter the path.
    inside = [["ip", "netns", "exec", Path(server["netns"]).name], ["nsenter", f"--net={server['netns']}"]]
    for prefix in inside:
        command = [*prefix, "ip", "-j", "-4", "address", "show", "eth0"]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)
        shown = json.loads(done.stdout)[0]["addr_info"][0]
        assert f"{shown['local']}/{shown['prefixlen']}" == server["networks"][0]["ipv4"]


@pytest.mark.founding("S0-25")
def test_ps_shows_the_stacks_asked_for(shop: Host) -> None:
    shop.write("blog.yaml", BLOG)
    shop.netapply("up", "blog.yaml")
    assert {each["stack"] for each in shop.ps()} == {"shop", "blog"}
    assert {each["stack"] for each in shop.ps("blog.yaml")} == {"blog"}
    assert {each["stack"] for each in shop.ps("-p", "shop")} == {"shop"}
    assert _json(shop, "ls") == [
        {"name": "blog", "containers": 1, "networks": 1},
        {"name": "shop", "containers": 4, "networks": 2},
    ]
    assert "web may be: container blog/web, container shop/web" in _refusal(shop, "port", "web")
    assert shop.netapply("port", "blog/web", "80").stdout.startswith("80/tcp -> 0.0.0.0:8081\n")


def test_a_container_that_is_not_there_is_not_listed(shop: Host) -> None:
    shop.write("more.yaml", SHOP + "  later: {}\n")
    assert "later" not in {each["name"] for each in shop.ps("more.yaml")}


@pytest.mark.founding("S3-15", "S3-17")
def test_networks_are_shown_with_members(shop: Host) -> None:
    names = [each["name"] for each in _json(shop, "network", "ls")]
    assert names == ["bridge", "host", "none", "data", "shop_front"]
    front = _json(shop, "network", "inspect", "front")
    assert front == _json(shop, "network", "inspect", "shop_front") == _json(shop, "network", "inspect", "shop/front")
    assert front["subnets"] == [
        {"subnet": "172.30.1.0/24", "gateway": "172.30.1.1"},
        {"subnet": "fd30::/64", "gateway": "fd30::1"},
    ]
    assert (front["interface"], front["internal"]) == ("brfront", False)
    assert front["containers"]["web"] == {"ipv4": "172.30.1.10/24", "ipv6": "fd30::10/64", "mac": "02:42:00:00:00:10"}
    assert set(front["containers"]) == {"web", "server"}
    assert _json(shop, "network", "inspect", "data")["internal"] is True
    assert "did you mean shop_front?" in _refusal(shop, "network", "inspect", "shop_frnt")


@pytest.mark.founding("S3-07")
def test_inspect_finds_whatever_it_is(shop: Host) -> None:
    kinds = {
        name: json.loads(shop.netapply("inspect", name).stdout)["kind"] for name in ("job", "data", "shop", "none")
    }
    assert kinds == {"job": "container", "data": "network", "shop": "stack", "none": "network"}
    assert "there is no container, network or stack wbe\n  hint: did you mean web?" in _refusal(shop, "inspect", "wbe")
    # A stack whose network and container have one name.
    shop.write("two.yaml", "name: two\nnetworks: {it: {}}\ncontainers: {it: {networks: [it]}}\n")
    shop.netapply("up", "two.yaml")
    assert "container two/it, network two/it\n  hint: say which kind" in _refusal(shop, "inspect", "two/it")
    shown = json.loads(shop.netapply("inspect", "--type", "network", "two/it").stdout)
    assert (shown["kind"], shown["name"]) == ("network", "two_it")


@pytest.mark.founding("S1-15", "S1-23", "S4-17", "S4-20")
def test_port_answers_what_packets_find(shop: Host, outside: Machine) -> None:
    lines = shop.netapply("port", "web").stdout.splitlines()
    assert {"80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080", "9001/tcp -> 127.0.0.1:9001"} <= set(lines)
    (dynamic,) = [line for line in lines if line.startswith("53/udp -> 0.0.0.0:")]
    host_port = dynamic.rpartition(":")[2]
    assert shop.netapply("port", "web", "53/udp").stdout.splitlines()[0] == dynamic
    assert shop.netapply("port", "--reverse", f"{host_port}/udp").stdout == "shop/web:53/udp\n"
    shop.container("web").serve(53, protocols=["udp"])
    answer = outside.ask(shop.ipv4, int(host_port), "udp")
    assert isinstance(answer, Answer)
    assert answer.name == "web"


def test_an_unknown_port_or_container_is_an_error(shop: Host) -> None:
    assert "does not publish 81" in _refusal(shop, "port", "web", "81")
    assert "does not publish 80/udp" in _refusal(shop, "port", "web", "80/udp")
    assert "no container has port 80 " in _refusal(shop, "port", "--reverse", "80")
    assert "is not a port" in _refusal(shop, "port", "web", "http")
    assert "there is no container webb\n  hint: did you mean web?" in _refusal(shop, "port", "webb")
    assert shop.netapply("port", "server").stdout == ""
    for arguments in ((), ("web", "--reverse", "80")):
        assert "--reverse" in _refusal(shop, "port", *arguments)


@pytest.mark.founding("S2-09")
@pytest.mark.parametrize("name", ["server", "web"])
def test_exec_passes_input_output_and_status(shop: Host, name: str) -> None:
    done = shop.netapply("exec", name, "sh", "-c", "cat; echo bad >&2; exit 7", stdin="given\n", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "given\n", "bad\n")
    # Options behind the container are the command's, words with spaces stay one.
    assert shop.netapply("exec", name, "printf", "%s|", "-a", "b c", "--help").stdout == "-a|b c|--help|"


@pytest.mark.parametrize("name", ["server", "web"])
def test_exec_is_inside_the_containers_network(shop: Host, name: str) -> None:
    address = _container(shop, name)["networks"][0]["ipv4"]
    assert address in shop.netapply("exec", f"shop/{name}", "ip", "address", "show", "eth0").stdout


@pytest.mark.parametrize("name", ["server", "web"])
def test_exec_does_not_ignore_signals_that_python_ignores(shop: Host, name: str) -> None:
    ignored = shop.netapply("exec", name, "grep", "SigIgn", "/proc/self/status").stdout.split()[1]
    mask = int(ignored, 16)
    # SIGINT is left as the caller has it: a shell ignores it for what it starts in the background.
    assert [number for number in (signal.SIGPIPE, signal.SIGXFSZ) if mask >> (number - 1) & 1] == []


@pytest.mark.parametrize("name", ["server", "web"])
def test_the_host_can_change_while_a_command_runs(shop: Host, name: str) -> None:
    running = subprocess.Popen(
        shop.command("exec", name, "sh", "-c", "echo in; read -r word; echo $word"),
        cwd=shop.folder,
        env=shop.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    shop.lab.at_end(running.kill)
    assert running.stdin is not None
    assert running.stdout is not None
    assert running.stdout.readline() == "in\n"
    (lock,) = Path("/run/netapply").glob("*/lock")
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert running.communicate("out\n", timeout=30)[0] == "out\n"
    assert running.returncode == 0


@pytest.mark.founding("S2-09")
@pytest.mark.parametrize("name", ["server", "web"])
def test_exec_on_a_terminal_gives_a_terminal(shop: Host, name: str) -> None:
    # A shell has job control only on the terminal that is its session's own. The pause: what a command wrote
    # just before its end, crun 1.8 may show as an error message of its own.
    script = "test -t 1 && : </dev/tty && echo terminal && sleep 1"
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        ["setsid", "-c", "-w", *shop.command("exec", name, "sh", "-c", script)],
        cwd=shop.folder,
        env=shop.environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    shop.lab.at_end(running.kill)
    os.close(theirs)
    shown = _read_all(ours)
    assert (running.wait(timeout=30), shown.split()) == (0, [b"terminal"])


def _read_all(descriptor: int) -> bytes:
    shown = b""
    while select.select([descriptor], [], [], 30)[0]:
        try:
            block = os.read(descriptor, 4096)
        except OSError:
            # How Linux says that nobody holds the other end of a terminal any more.
            break
        if not block:
            break
        shown += block
    os.close(descriptor)
    return shown


def test_exec_where_nothing_runs_says_so(shop: Host) -> None:
    assert "the command of container shop/job is not running" in _refusal(shop, "exec", "job", "true")
    assert "there is no container jbo\n  hint: did you mean job?" in _refusal(shop, "exec", "jbo", "true")
    assert "COMMAND" in _refusal(shop, "exec", "server")


def test_logs_are_what_the_command_wrote(shop: Host) -> None:
    assert shop.netapply("logs", "job").stdout.splitlines() == ["to-stdout", "to-stderr"]
    assert shop.netapply("logs", "--tail", "1", "job").stdout.splitlines() == ["to-stderr"]
    assert shop.netapply("logs", "-f", "job").stdout.splitlines() == ["to-stdout", "to-stderr"]
    assert "container shop/web has no command" in _refusal(shop, "logs", "web")


def test_followed_logs_end_with_the_command_and_hold_no_lock(shop: Host) -> None:
    following = subprocess.Popen(
        shop.command("logs", "-f", "server"),
        cwd=shop.folder,
        env=shop.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    shop.lab.at_end(following.kill)
    assert following.stdout is not None
    assert following.stdout.readline() == "started\n"
    # Ends the command, which needs the lock for itself.
    shop.netapply("down", "shop.yaml", timeout=20)
    assert following.communicate(timeout=30)[0] == ""
    assert following.returncode == 0


def test_who_looks_while_somebody_writes_waits_a_little_and_says_so(shop: Host) -> None:
    (lock,) = Path("/run/netapply").glob("*/lock")
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        started = time.monotonic()
        done = shop.netapply("ls")
        assert 1.5 < time.monotonic() - started < 15
    assert "warning: another netapply" in done.stderr
    assert done.stdout.splitlines()[1].split() == ["shop", "4", "2"]


def test_config_read_again_is_the_same_and_means_the_same(shop: Host) -> None:
    text = shop.netapply("config", "shop.yaml").stdout
    shop.write("again.yaml", text)
    assert shop.netapply("config", "again.yaml").stdout == text
    assert shop.plan("again.yaml") == []
    shop.write("again.json", shop.netapply("config", "--format", "json", "shop.yaml").stdout)
    assert shop.plan("again.json") == []


def test_a_reader_that_leaves_early_brings_no_traceback(shop: Host) -> None:
    shop.write("long.yaml", BLOG.replace('"8081:80"', '"20000-20999:20000-20999"'))
    shop.netapply("up", "long.yaml")
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        shop.command("ps", "--format", "json"),
        cwd=shop.folder,
        env=shop.environment(),
        stdout=write_end,
        stderr=subprocess.PIPE,
        check=False,
        timeout=20,
    )
    os.close(write_end)
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr


def test_a_missing_host_is_named_by_every_command(host: Host) -> None:
    for words in (
        ["ps"],
        ["ls"],
        ["network", "ls"],
        ["inspect", "x"],
        ["port", "x"],
        ["exec", "x", "y"],
        ["logs", "x"],
    ):
        done = subprocess.run(
            [*host.command()[:-2], "-n", "nowhere", *words],
            cwd=host.folder,
            env=host.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert "nowhere" in done.stderr
        assert "ip netns add nowhere" in done.stderr


MODES = """
name: modes
containers:
  web: {network_mode: bridge, ports: ["8080:80"], hostname: www.example}
  side: {network_mode: "service:web", command: [sleep, "60"]}
  machine: {network_mode: host}
  own: {}
  alone: {network_mode: none}
"""


@pytest.mark.founding("S0-03", "S3-02", "S3-04", "S3-08", "S4-05")
def test_every_mode_is_shown_as_it_is(host: Host) -> None:
    assert [each["id"] for each in _json(host, "network", "ls")] == ["bridge", "host", "none"]
    host.write("modes.yaml", MODES)
    host.netapply("up", "modes.yaml")
    found = {each["name"]: each for each in host.ps()}
    assert {name: each["network_mode"] for name, each in found.items()} == {
        "web": "bridge",
        "side": "container:web",
        "machine": "host",
        "own": "bridge",
        "alone": "none",
    }
    web, side, machine = found["web"], found["side"], found["machine"]
    assert Path(side["netns"]).samefile(web["netns"])
    assert Path(machine["netns"]).samefile(host.path)
    assert (side["networks"], side["hostname"], side["state"]) == (web["networks"], "www.example", "running")
    assert {port["published"] for port in web["ports"]} == {8080}
    assert side["ports"] == machine["ports"] == machine["networks"] == found["alone"]["networks"] == []
    assert host.netapply("port", "side").stderr.endswith("to which the ports belong: netapply port web\n")
    assert side["hosts_path"] == web["hosts_path"]
    assert "www.example" in Path(web["hosts_path"]).read_text()
    assert Path(web["resolv_conf_path"]).is_file()
    assert machine["hosts_path"] == "/etc/hosts"

    listed = {each["name"]: (each["driver"], each["scope"], each["stack"]) for each in _json(host, "network", "ls")}
    assert listed == {
        "bridge": ("bridge", "local", None),
        "host": ("host", "local", None),
        "none": ("null", "local", None),
        "modes_default": ("bridge", "local", "modes"),
    }
    bridge = _json(host, "network", "inspect", "bridge")
    assert bridge["subnets"] == [{"subnet": "172.17.0.0/16", "gateway": "172.17.0.1"}]
    assert set(bridge["containers"]) == {"modes/web"}
    (shown,) = json.loads(host.netapply("inspect", "web").stdout)["networks"]
    assert (shown["network_id"], shown["gateway"], shown["ip_prefix_len"]) == ("bridge", "172.17.0.1", 16)
    assert shown["ip_address"] == web["networks"][0]["ipv4"].partition("/")[0]
    assert shown["mac_address"] == web["networks"][0]["mac"]
    assert json.loads(host.netapply("inspect", "alone").stdout)["networks"] == []


@pytest.mark.founding("S2-04", "S4-01", "S4-09", "S4-26")
def test_of_all_namespaces_the_network_alone_is_shared(host: Host) -> None:
    command = "command: [sh, -c, 'echo mine > /tmp/mine; exec sleep 60']"
    text = f"name: two\ncontainers:\n  one: {{{command}}}\n  two: {{network_mode: 'service:one', {command}}}\n"
    host.write("two.yaml", text + f"  three: {{network_mode: host, {command}}}\n")
    host.netapply("up", "two.yaml")
    pids = {each["name"]: each["pid"] for each in host.ps()}
    host.netapply("exec", "one", "rm", "-f", "/tmp/mine")
    assert host.netapply("exec", "two", "cat", "/tmp/mine").stdout == "mine\n"

    def same(kind: str, first: Path, second: Path) -> bool:
        return (first / "ns" / kind).samefile(second / "ns" / kind)

    one, two, three = (Path(f"/proc/{pids[name]}") for name in ("one", "two", "three"))
    assert same("net", one, two)
    assert not any(same(kind, one, two) for kind in ("ipc", "mnt", "pid", "uts"))
    assert Path(f"/proc/{pids['three']}/ns/net").samefile(host.path)
    assert not any(same(kind, three, Path("/proc/self")) for kind in ("ipc", "mnt", "pid", "uts"))
