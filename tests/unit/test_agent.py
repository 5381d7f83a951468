"""The agent without its process: its loop, its data, its answers."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.agent.control import ControlServer
from reconciler.agent.loop import READ, Loop
from reconciler.agent.ports import HeldPorts
from reconciler.agent.stacks import Stacks
from reconciler.kernel import agent_control
from reconciler.kernel.agent_protocol import DATA_DIRECTORY, Message, decode, encode, unix_socket
from reconciler.kernel.listeners import Listener
from reconciler.resources import agent as resources


def unexpected(error: BaseException) -> None:
    raise error


@pytest.fixture
def ports() -> Iterator[HeldPorts]:
    made = HeldPorts()
    yield made
    made.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def binds(address: str, port: int, kind: int = socket.SOCK_STREAM) -> bool:
    """Whether another program could take the port, with all that it may try."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
        return True


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1"])
def test_a_held_port_is_taken_and_let_go(ports: HeldPorts, protocol: str, address: str) -> None:
    port = free_port()
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    assert ports.apply("shop", [[protocol, address, port]]) == []
    assert ports.status() == {"shop": [[protocol, address, port]]}
    assert not binds(address, port, kind)
    assert ports.apply("shop", None) == []
    assert ports.status() == {}
    assert binds(address, port, kind)


def test_both_families_can_be_held_at_once(ports: HeldPorts) -> None:
    port = free_port()
    assert ports.apply("shop", [["tcp", "0.0.0.0", port], ["tcp", "::", port]]) == []


def test_nobody_is_let_in_at_a_held_port(ports: HeldPorts) -> None:
    port = free_port()
    ports.apply("shop", [["tcp", "127.0.0.1", port]])
    with socket.socket() as client, pytest.raises(ConnectionRefusedError):
        client.connect(("127.0.0.1", port))


def test_datagrams_to_a_held_port_do_not_pile_up(ports: HeldPorts) -> None:
    port = free_port()
    ports.apply("shop", [["udp", "127.0.0.1", port]])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"x" * 1000, ("127.0.0.1", port))
    (holder,) = ports._held["shop"].values()
    holder.settimeout(0)
    with pytest.raises(BlockingIOError):
        holder.recv(1)


def test_an_address_that_the_host_does_not_have_yet_is_held(ports: HeldPorts) -> None:
    assert ports.apply("shop", [["tcp", "192.0.2.77", 8080], ["udp", "2001:db8::77", 8080]]) == []


def test_a_port_of_somebody_else_is_reported_and_the_others_are_held(ports: HeldPorts) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        taken, free = other.getsockname()[1], free_port()
        (failure,) = ports.apply("shop", [["tcp", "0.0.0.0", taken], ["tcp", "127.0.0.1", free]])
        assert (failure["pin"], failure["errno"]) == (["tcp", "0.0.0.0", taken], errno.EADDRINUSE)
        assert ports.status() == {"shop": [["tcp", "127.0.0.1", free]]}
    assert ports.apply("shop", [["tcp", "0.0.0.0", taken], ["tcp", "127.0.0.1", free]]) == []


def test_a_change_keeps_the_sockets_that_stay(ports: HeldPorts) -> None:
    first, second, third = free_port(), free_port(), free_port()
    ports.apply("shop", [["tcp", "127.0.0.1", first], ["tcp", "127.0.0.1", second]])
    kept = ports._held["shop"]["tcp", "127.0.0.1", second]
    ports.apply("shop", [["tcp", "127.0.0.1", second], ["tcp", "127.0.0.1", third]])
    assert ports._held["shop"]["tcp", "127.0.0.1", second] is kept
    assert binds("127.0.0.1", first)
    assert not binds("127.0.0.1", third)


def test_a_port_goes_from_one_stack_to_another_whichever_is_told_first(ports: HeldPorts) -> None:
    port = free_port()
    ports.apply("giver", [["tcp", "0.0.0.0", port]])
    assert ports.apply("taker", [["tcp", "127.0.0.1", port]]) == []
    assert ports.status() == {"giver": [["tcp", "0.0.0.0", port]]}
    assert ports.apply("giver", []) == []
    assert ports.status() == {"taker": [["tcp", "127.0.0.1", port]]}
    assert not binds("127.0.0.1", port)


def test_what_is_no_longer_wanted_is_not_waited_for(ports: HeldPorts) -> None:
    port = free_port()
    ports.apply("giver", [["tcp", "127.0.0.1", port]])
    ports.apply("taker", [["tcp", "127.0.0.1", port]])
    ports.apply("taker", [])
    ports.apply("giver", [])
    assert ports.status() == {}
    assert binds("127.0.0.1", port)


@pytest.mark.parametrize("item", [["sctp", "::", 1], ["tcp", "::", 0], ["tcp", "::", 65536], ["tcp", 1, 1], "x", []])
def test_what_is_no_pin_is_refused(ports: HeldPorts, item: Any) -> None:
    with pytest.raises(ValueError, match="not a pin"):
        ports.apply("shop", [item])


class Recorder:
    """A concern that remembers what it was given."""

    name = "pins"

    def __init__(self) -> None:
        self.given: list[tuple[str, Any]] = []

    def apply(self, stack_name: str, section: Any) -> list[dict[str, Any]]:
        self.given.append((stack_name, section))
        return [{"stack": stack_name}] if section == ["fails"] else []

    def status(self) -> list[tuple[str, Any]]:
        return self.given

    def close(self) -> None:
        self.given.clear()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def stacks(tmp_path: Path, recorder: Recorder) -> Stacks:
    (tmp_path / DATA_DIRECTORY).mkdir()
    return Stacks(str(tmp_path), [recorder])


def write(tmp_path: Path, stack_name: str, content: Any) -> None:
    (tmp_path / DATA_DIRECTORY / f"{stack_name}.json").write_text(json.dumps(content))


def test_the_data_of_a_stack_reach_their_concern(tmp_path: Path, stacks: Stacks, recorder: Recorder) -> None:
    write(tmp_path, "shop", {"generation": "7", "pins": ["a"]})
    assert stacks.load("shop", "7") == []
    assert recorder.given == [("shop", ["a"])]
    assert stacks.status()["generations"] == {"shop": "7"}


def test_a_file_of_another_generation_changes_nothing(tmp_path: Path, stacks: Stacks, recorder: Recorder) -> None:
    write(tmp_path, "shop", {"generation": "7", "pins": ["a"]})
    with pytest.raises(ValueError, match="generation '7', not '8'"):
        stacks.load("shop", "8")
    assert recorder.given == []


def test_a_stack_without_a_file_is_forgotten(tmp_path: Path, stacks: Stacks, recorder: Recorder) -> None:
    write(tmp_path, "shop", {"generation": "7"})
    stacks.load("shop")
    (tmp_path / DATA_DIRECTORY / "shop.json").unlink()
    stacks.load("shop", "")
    assert recorder.given[-1] == ("shop", None)
    assert stacks.status()["generations"] == {}


@pytest.mark.parametrize("name", ["", "../shop", ".shop"])
def test_a_name_that_leads_elsewhere_is_refused(stacks: Stacks, name: str) -> None:
    with pytest.raises(ValueError, match="not a stack's name"):
        stacks.load(name)


def test_after_a_restart_one_bad_file_does_not_hide_the_others(
    tmp_path: Path, stacks: Stacks, recorder: Recorder
) -> None:
    write(tmp_path, "a", {"pins": ["fails"]})
    write(tmp_path, "b", ["no object"])
    (tmp_path / DATA_DIRECTORY / "c.json").write_text("{")
    write(tmp_path, "d", {"pins": ["d"]})
    write(tmp_path, ".d.json.77", {"pins": ["half-written"]})
    failures = stacks.load_all()
    assert [failure["stack"] for failure in failures] == ["a", "b", "c"]
    assert recorder.given == [("a", ["fails"]), ("d", ["d"])]


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop(unexpected)
    yield made
    made.close()


def test_the_loop_goes_on_after_an_error_and_keeps_time() -> None:
    seen: list[str] = []
    loop = Loop(lambda error: seen.append(str(error)))

    def fail() -> None:
        message = "failed"
        raise RuntimeError(message)

    loop.call_later(0.02, loop.stop)
    loop.call_later(0.01, lambda: seen.append("second"))
    loop.call_later(0.0, fail)
    loop.run()
    loop.close()
    assert seen == ["failed", "second"]


def test_a_signal_ends_the_wait(loop: Loop) -> None:
    previous = signal.getsignal(signal.SIGUSR1)
    try:
        loop.stop_on(signal.SIGUSR1)
        timer = threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGUSR1))
        timer.start()
        loop.run()
        timer.join()
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGUSR1, previous)


def test_a_stop_that_was_asked_for_before_counts_once(loop: Loop) -> None:
    seen: list[int] = []
    loop.call_later(0, lambda: seen.append(1))
    loop.call_later(0.01, loop.stop)
    loop.stop()
    loop.run()
    assert seen == []
    loop.run()
    assert seen == [1]


def test_a_socket_that_an_earlier_callback_forgot_is_not_called(loop: Loop) -> None:
    first, second = socket.socketpair(), socket.socketpair()
    called: list[int] = []

    def callback(number: int, other: socket.socket) -> Callable[[], None]:
        def call() -> None:
            called.append(number)
            loop.forget(other)
            loop.stop()

        return call

    loop.watch(first[0], READ, callback(1, second[0]))
    loop.watch(second[0], READ, callback(2, first[0]))
    for sender in (first[1], second[1]):
        sender.send(b"x")
    loop.run()
    assert len(called) == 1
    for end in (*first, *second):
        end.close()


@pytest.fixture
def served(tmp_path: Path, loop: Loop) -> Iterator[Path]:
    """A control server in a thread; its folder's path is longer than a Unix socket's address may be."""
    folder = tmp_path / ("x" * 120)
    folder.mkdir()

    def long(_request: Message) -> Message:
        return {"text": "y" * 3_000_000}

    def bad(_request: Message) -> Message:
        message = "no good"
        raise ValueError(message)

    def stop(_request: Message) -> Message:
        loop.stop()
        return {}

    server = ControlServer(loop, str(folder), {"long": long, "bad": bad, "stop": stop})
    thread = threading.Thread(target=loop.run)
    thread.start()
    yield folder
    agent_control._ask(folder, {"command": "stop"})
    thread.join(5)
    server.close()
    assert list(folder.iterdir()) == []


def test_the_socket_is_its_owners_alone(served: Path) -> None:
    assert (served / "agent.sock").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("request_", [{"command": "bad"}, {"command": "unknown"}, {}])
def test_a_bad_request_is_answered_and_the_next_one_too(served: Path, request_: Message) -> None:
    assert agent_control._ask(served, request_)["error"]
    assert agent_control._ask(served, {"command": "long"})["text"]


@pytest.mark.parametrize("line", [b"{\n", b"[]\n", b"\xff\n"])
def test_what_is_no_request_is_answered_with_an_error(served: Path, line: bytes) -> None:
    connection, address, descriptor = unix_socket(str(served))
    with connection:
        connection.connect(address)
        os.close(descriptor)
        connection.sendall(line)
        assert "error" in decode(connection.recv(4096))


def test_a_client_that_does_not_read_holds_up_nobody(served: Path) -> None:
    lazy, address, descriptor = unix_socket(str(served))
    with lazy:
        lazy.connect(address)
        os.close(descriptor)
        lazy.sendall(encode({"command": "long"}) * 2)
        assert len(agent_control._ask(served, {"command": "long"})["text"]) == 3_000_000


def test_a_long_answer_arrives_whole(served: Path) -> None:
    assert len(agent_control._ask(served, {"command": "long"})["text"]) == 3_000_000


def test_without_an_agent_the_files_tell_which_stacks_have_ports(tmp_path: Path) -> None:
    (tmp_path / DATA_DIRECTORY).mkdir()
    write(tmp_path, "shop", {"pins": [["tcp", "::", 80]]})
    assert agent_control.status(tmp_path) is None
    assert agent_control.resources(tmp_path, None) == [resources.HeldPorts("shop", ())]


def test_pins_are_said_as_addresses_are_written() -> None:
    held = resources.HeldPorts("shop", (("tcp", "0.0.0.0", 80), ("udp", "::1", 53)))
    assert held.record() == {"pins": ["0.0.0.0:80/tcp", "[::1]:53/udp"]}
    assert held.describe() == "host ports held: 0.0.0.0:80/tcp, [::1]:53/udp"
    assert held.needs() == (resources.Agent().key,)


ANY4, ANY6, ONLY6 = (
    Listener("tcp", "0.0.0.0", 80, 1),
    Listener("tcp", "::", 80, 1),
    Listener("tcp", "::", 80, 1, only=True),
)
LOCAL = Listener("tcp", "127.0.0.1", 80, 1)


@pytest.mark.parametrize(
    ("listener", "protocol", "address", "port", "expected"),
    [
        (ANY4, "tcp", "0.0.0.0", 80, True),
        (ANY4, "tcp", "192.0.2.1", 80, True),
        (ANY4, "tcp", "::", 80, False),
        (ANY4, "udp", "0.0.0.0", 80, False),
        (ANY4, "tcp", "0.0.0.0", 81, False),
        (LOCAL, "tcp", "0.0.0.0", 80, True),
        (LOCAL, "tcp", "127.0.0.1", 80, True),
        (LOCAL, "tcp", "192.0.2.1", 80, False),
        (ANY6, "tcp", "0.0.0.0", 80, True),
        (ANY6, "tcp", "192.0.2.1", 80, True),
        (ANY6, "tcp", "2001:db8::1", 80, True),
        (ONLY6, "tcp", "0.0.0.0", 80, False),
        (ONLY6, "tcp", "::", 80, True),
    ],
)
def test_which_ports_a_listener_takes(
    listener: Listener, protocol: str, address: str, port: int, expected: bool
) -> None:
    assert listener.occupies(protocol, address, port) is expected
