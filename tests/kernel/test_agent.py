"""The agent as a process, and who listens on a host."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.agent.logs import KEPT, LONGEST
from reconciler.errors import NetapplyError
from reconciler.kernel import agent_control, command_log, listeners
from reconciler.kernel.processes import process_status
from reconciler.resources.agent import AGENT_VERSION, Agent, HeldPorts
from tests.kernel.lab import Lab

PIN = ("tcp", "0.0.0.0", 8080)


@pytest.fixture
def folder(lab: Lab) -> Iterator[Path]:
    path = Path(f"/run/netapply/{os.getpid()}")
    path.mkdir(mode=0o700, parents=True)
    yield path
    for file in path.glob("agent/*"):
        file.unlink()
    agent_control.stop(path)
    assert list(path.iterdir()) == []


def pid_of(folder: Path) -> int:
    status = agent_control.status(folder)
    assert status is not None
    return status.pid


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 30
    while (status := process_status(pid)) is not None and status.state != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.005)


def bound(address: str, port: int, *, version6: bool = False, listening: bool = False) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if version6 else socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((address, port))
    except OSError:
        made.close()
        raise
    if listening:
        made.listen()
    return made


def test_it_starts_once_and_stops_without_a_trace(folder: Path) -> None:
    agent_control.start(folder)
    pid = pid_of(folder)
    agent_control.start(folder)
    assert pid_of(folder) == pid
    assert standing(folder) == [Agent()]
    agent_control.stop(folder)
    wait_for_end(pid)
    assert agent_control.status(folder) is None
    assert list(folder.iterdir()) == []
    agent_control.stop(folder)


def test_it_is_small_detached_and_inherits_nothing(folder: Path) -> None:
    inside, outside = os.pipe()
    os.set_inheritable(outside, True)  # noqa: FBT003 - takes no keywords
    agent_control.start(folder)
    os.close(outside)
    os.set_blocking(inside, False)
    assert os.read(inside, 1) == b""
    os.close(inside)
    pid = pid_of(folder)
    status = Path(f"/proc/{pid}/status").read_text()
    resident = int(status.partition("VmRSS:")[2].split()[0])
    assert resident < 25_000
    found = process_status(pid)
    assert found is not None
    assert found.parent != os.getpid()
    assert found.session != os.getsid(0)
    assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")
    assert Path(f"/proc/{pid}/fd/1").readlink() == Path("/dev/null")
    variables = Path(f"/proc/{pid}/environ").read_text().split("\0")
    assert {item.partition("=")[0] for item in variables if item} == {"PATH", "LANG", "PYTHONPATH"}


def test_its_files_are_roots_alone(folder: Path) -> None:
    agent_control.start(folder)
    agent_control.load(folder, "shop", [PIN])
    for path in (folder / "agent.sock", folder / "agent.lock", folder / "agent.log", folder / "agent/shop.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((folder / "agent").stat().st_mode) == 0o700


def standing(folder: Path) -> list[object]:
    return list(agent_control.resources(folder, agent_control.status(folder)))


def test_it_holds_a_stacks_ports_and_lets_go(folder: Path) -> None:
    agent_control.start(folder)
    agent_control.load(folder, "shop", [PIN, ("udp", "::", 53)])
    agent_control.load(folder, "blog", [("tcp", "0.0.0.0", 8081)])
    observed = standing(folder)
    assert observed == [
        Agent(),
        HeldPorts("blog", (("tcp", "0.0.0.0", 8081),)),
        HeldPorts("shop", (PIN, ("udp", "::", 53))),
    ]
    with pytest.raises(OSError, match="in use"):
        bound("127.0.0.1", 8080)
    agent_control.load(folder, "shop", [])
    bound("127.0.0.1", 8080).close()
    status = agent_control.status(folder)
    assert status is not None
    assert list(status.pins) == ["blog"]
    assert not (folder / "agent/shop.json").exists()


def test_a_port_of_another_program_is_named_with_it(folder: Path) -> None:
    agent_control.start(folder)
    with bound("127.0.0.1", 8080), pytest.raises(NetapplyError) as raised:
        agent_control.load(folder, "shop", [PIN, ("tcp", "0.0.0.0", 8081)])
    (problem,) = raised.value.problems
    assert "0.0.0.0:8080/tcp is in use by " in problem.message
    assert f"(process {os.getpid()})" in problem.message
    status = agent_control.status(folder)
    assert status is not None
    assert status.pins == {"shop": (("tcp", "0.0.0.0", 8081),)}


def test_killed_it_is_seen_as_gone_and_comes_back_with_its_ports(folder: Path) -> None:
    agent_control.start(folder)
    agent_control.load(folder, "shop", [PIN])
    pid = pid_of(folder)
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    assert (folder / "agent.sock").exists()
    assert standing(folder) == [HeldPorts("shop", ())]
    with pytest.raises(NetapplyError, match="does not answer"):
        agent_control.load(folder, "shop", [PIN])
    agent_control.start(folder)
    assert standing(folder) == [Agent(), HeldPorts("shop", (PIN,))]


def test_a_stack_is_forgotten_without_an_agent_too(folder: Path) -> None:
    agent_control.start(folder)
    agent_control.load(folder, "shop", [PIN])
    pid = pid_of(folder)
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    agent_control.load(folder, "shop", [])
    assert standing(folder) == []


def test_sigterm_ends_it_and_frees_its_ports(folder: Path) -> None:
    agent_control.start(folder)
    agent_control.load(folder, "shop", [PIN])
    pid = pid_of(folder)
    os.kill(pid, signal.SIGTERM)
    wait_for_end(pid)
    assert not (folder / "agent.sock").exists()
    bound("127.0.0.1", 8080).close()


def test_one_that_hangs_is_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent_control.start(folder)
    hung = pid_of(folder)
    os.kill(hung, signal.SIGSTOP)
    with monkeypatch.context() as hasty:
        hasty.setattr(agent_control, "_ANSWER_SECONDS", 0.2)
        assert agent_control.status(folder) is None
    agent_control.start(folder)
    assert pid_of(folder) != hung
    wait_for_end(hung)


def test_a_second_process_gives_way(folder: Path) -> None:
    agent_control.start(folder)
    pid = pid_of(folder)
    arguments = [sys.executable, "-m", "reconciler.agent", str(folder), str(AGENT_VERSION)]
    repository = str(Path(__file__).parents[2])
    done = subprocess.run(
        arguments, capture_output=True, text=True, timeout=60, check=True, env={**os.environ, "PYTHONPATH": repository}
    )
    assert done.stdout == "running\n"
    assert pid_of(folder) == pid


def test_an_older_one_is_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent_control.start(folder)
    old = pid_of(folder)
    monkeypatch.setattr(agent_control, "AGENT_VERSION", AGENT_VERSION + 1)
    agent_control.start(folder)
    status = agent_control.status(folder)
    assert status is not None
    assert (status.pid != old, status.version) == (True, AGENT_VERSION + 1)


def test_one_that_cannot_start_says_why(folder: Path) -> None:
    (folder / "agent").write_text("in the way")
    with pytest.raises(NetapplyError, match=r"did not start.*File exists"):
        agent_control.start(folder)
    (folder / "agent").unlink()
    # Nothing it left keeps the next one from starting.
    agent_control.start(folder)
    assert agent_control.status(folder) is not None


def test_what_could_not_be_restored_stands_in_its_log(folder: Path) -> None:
    agent_control.start(folder)
    agent_control.load(folder, "shop", [PIN])
    pid = pid_of(folder)
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    with bound("0.0.0.0", 8080):
        agent_control.start(folder)
    (line,) = (folder / "agent.log").read_text().splitlines()
    entry = json.loads(line)
    assert (entry["level"], entry["pin"], entry["errno"]) == ("warning", list(PIN), 98)
    assert standing(folder)[1:] == [HeldPorts("shop", ())]
    agent_control.load(folder, "shop", [PIN])


def test_an_old_agents_port_is_free_for_a_new_one_after_a_thousand_pins(folder: Path) -> None:
    pins = [("tcp", "0.0.0.0", port) for port in range(20000, 21500)]
    agent_control.start(folder)
    agent_control.load(folder, "shop", pins)
    status = agent_control.status(folder)
    assert status is not None
    assert len(status.pins["shop"]) == 1500
    assert listeners.all_listeners(status.pid) == []


def test_listeners_are_found_with_family_and_owner(lab: Lab) -> None:
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagram.bind(("127.0.0.1", 5300))
    only = socket.socket(socket.AF_INET6)
    only.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    only.bind(("::", 83))
    only.listen()
    client = socket.socket()
    with (
        bound("127.0.0.1", 80, listening=True) as server,
        bound("0.0.0.0", 81),
        bound("::", 82, version6=True, listening=True),
        only,
        datagram,
        client,
    ):
        client.connect(("127.0.0.1", 80))
        found = {(each.protocol, each.address, each.port, each.only) for each in listeners.all_listeners()}
        assert found == {
            ("tcp", "127.0.0.1", 80, False),
            ("tcp", "0.0.0.0", 81, False),
            ("tcp", "::", 82, False),
            ("tcp", "::", 83, True),
            ("udp", "127.0.0.1", 5300, False),
        }
        inode = os.fstat(server.fileno()).st_ino
        assert listeners.owner_of(inode).endswith(f"(process {os.getpid()})")
        assert listeners.all_listeners(os.getpid()) == []
    assert listeners.all_listeners() == []
    assert listeners.owner_of(1) == "another program"


def test_it_keeps_the_logs_of_commands_short(folder: Path) -> None:
    log = folder / "processes/shop/web/log"
    log.parent.mkdir(parents=True)
    with log.open("ab") as command:
        command.write(b"a line\n" * 3_000_000)
        command.flush()
        agent_control.start(folder)
        deadline = time.monotonic() + 30
        while log.stat().st_blocks * 512 > LONGEST:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        command.write(b"the last\n")
    left = b"".join(command_log.logs(folder, "shop/web"))
    assert left.startswith(b"a line\n")
    assert left.endswith(b"a line\nthe last\n")
    assert KEPT <= len(left) < LONGEST
    shutil.rmtree(folder / "processes")
