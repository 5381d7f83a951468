"""Throwaway hosts and the machines around them: network namespaces that only the test sees.

lab = Lab(folder)
host = lab.host()                         # 192.0.2.1, 2001:db8::1; netapply runs "on" it
outside = lab.machine("outside")          # 192.0.2.2, 2001:db8::2; a neighbour of the host
host.write("stack.yaml", text)
host.netapply("up", "stack.yaml")
web = host.container("web")
web.serve(80)
assert outside.ask(host.ipv4, 8080) == Answer("web", ...)
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.kernel import prepared, snapshot, talk
from tests.kernel.isolation import Result, inside, private_folders
from tests.kernel.snapshot import Snapshot
from tests.kernel.talk import Answer, Connection, Protocol, Server

__all__ = ["Answer", "Connection", "Host", "Lab", "Machine", "Protocol", "Question", "Server", "Snapshot"]

REPOSITORY = Path(__file__).parents[2]
_SIOCGIFFLAGS = 0x8913
_IFF_RUNNING = 0x40
Question = tuple["Machine", str, int, Protocol]
"""Who asks, which address, which port, by which protocol."""


class Machine:
    """A network namespace that stands for a machine or a container; ``ipv4``, ``ipv6`` are bare addresses."""

    def __init__(self, lab: Lab, name: str, path: Path, ipv4: str = "", ipv6: str = "") -> None:
        self.lab = lab
        self.name = name
        self.path = path
        self.ipv4 = ipv4
        self.ipv6 = ipv6

    def run(
        self, command: Sequence[str], *, check: bool = True, stdin: str = "", timeout: float = 30
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside. With ``check``, failing is an AssertionError that shows what it said."""
        done = subprocess.run(
            ["nsenter", f"--net={self.path}", "--", *command],
            check=False,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check:
            assert done.returncode == 0, (
                f"{self.name}: {' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done

    def python(self, code: str, *arguments: str) -> str:
        """What the Python code prints when it is run inside, in a process of its own."""
        return self.run([sys.executable, "-c", code, *arguments]).stdout

    def spawn(self, command: Sequence[str]) -> subprocess.Popen[str]:
        """Start a program inside; it is killed at the end of the test."""
        process = subprocess.Popen(
            ["nsenter", f"--net={self.path}", "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lab.at_end(lambda: _end(process))
        return process

    def inside(self, function: Callable[[], Result]) -> Result:
        """Call the function in a thread of this process that stands inside."""
        return inside(self.path, function)

    def sysctl(self, name: str, value: str | None = None) -> str:
        """The value of a sysctl (``net/ipv4/ip_forward``), after setting it if a value is given."""
        file = Path("/proc/sys") / name

        def access() -> str:
            if value is not None:
                file.write_text(value)
            return file.read_text().strip()

        return self.inside(access)

    def serve(
        self,
        *ports: int,
        name: str | None = None,
        protocols: Sequence[Protocol] = ("tcp", "udp"),
        addresses: Sequence[str] = ("0.0.0.0", "::"),
    ) -> Server:
        """Answer on these ports, with this machine's name unless another is given."""
        server = Server(self.path, name or self.name, ports, protocols, addresses)
        self.lab.at_end(server.close)
        return server

    def attempt(
        self, address: str, port: int, protocol: Protocol = "tcp", *, timeout: float = 3.0, source: str | None = None
    ) -> Answer | str:
        """The answer of the Server there, or the reason why none came (``timed out``, ``refused``, ...)."""
        return talk.attempt(self.path, address, port, protocol, timeout=timeout, source=source)

    def ask(self, address: str, port: int, protocol: Protocol = "tcp", *, timeout: float = 3.0) -> Answer | None:
        """The answer of the Server there, or None."""
        answer = self.attempt(address, port, protocol, timeout=timeout)
        return answer if isinstance(answer, Answer) else None

    def ping(self, address: str, *, timeout: float = 3.0) -> bool:
        """Whether it answers an echo request."""
        return talk.ping(self.path, address, timeout=timeout)

    def exchange(self, address: str, port: int, question: bytes) -> bytes | None:
        """Send bytes over TCP and return all that comes back until the other side closes."""
        return talk.exchange(self.path, address, port, question)

    def connect(self, address: str, port: int) -> Connection:
        """Open a TCP connection to a Server and keep it, to see later whether it is still ``alive()``."""
        connection = Connection(self.path, address, port)
        self.lab.at_end(connection.close)
        return connection

    def snapshot(self) -> Snapshot:
        """Everything that can be seen of it now."""
        return snapshot.take(self.path)


class Host(Machine):
    """A machine that netapply manages; ``folder`` is where its manifests are."""

    folder: Path

    def write(self, file_name: str, text: str) -> Path:
        """Put a file into the folder in which netapply runs."""
        path = self.folder / file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def command(self, *arguments: str) -> list[str]:
        """The command line that runs netapply on this host."""
        return [sys.executable, "-m", "reconciler", "-n", self.name, *arguments]

    def netapply(
        self,
        *arguments: str,
        check: bool = True,
        stdin: str = "",
        timeout: float = 60,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run netapply on this host, in its folder. With ``check``, any exit but 0 is an AssertionError."""
        done = prepared.process().run(
            ["-n", self.name, *arguments],
            self.folder,
            self.environment() | dict(environment or {}),
            stdin,
            timeout,
        )
        self.lab.note_processes()
        if check:
            assert done.returncode == 0, (
                f"netapply {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done

    def environment(self) -> dict[str, str]:
        """The environment that netapply runs with: the test's, without what would choose manifests."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("COMPOSE_")}
        return kept | {"PYTHONPATH": str(REPOSITORY)}

    def plan(self, *arguments: str) -> list[dict[str, Any]]:
        """The changes that ``plan`` shows; [] if there is nothing to do."""
        done = self.netapply("plan", "--format", "json", *arguments, check=False)
        assert done.returncode in {0, 2}, f"netapply plan: {done.returncode}\n{done.stdout}{done.stderr}"
        changes: list[dict[str, Any]] = json.loads(done.stdout)["changes"]
        assert bool(changes) == (done.returncode == 2), f"exit {done.returncode}:\n{done.stdout}"
        return changes

    def ps(self, *arguments: str) -> list[dict[str, Any]]:
        """What ``ps`` says of the containers."""
        containers: list[dict[str, Any]] = json.loads(self.netapply("ps", "--format", "json", *arguments).stdout)
        return containers

    def container(self, name: str, stack: str | None = None) -> Machine:
        """That container, with its first addresses, as a machine that can serve and ask."""
        found = [each for each in self.ps() if each["name"] == name and stack in {None, each["stack"]}]
        assert len(found) == 1, f"{len(found)} containers called {name}"
        networks = found[0]["networks"]
        ipv4 = next((each["ipv4"].partition("/")[0] for each in networks if each["ipv4"]), "")
        ipv6 = next((each["ipv6"].partition("/")[0] for each in networks if each["ipv6"]), "")
        return Machine(self.lab, name, Path(found[0]["netns"]), ipv4, ipv6)


class Lab:
    """One test's hosts and machines on one Ethernet (192.0.2.0/24, 2001:db8::/64); ``close`` leaves nothing.

    Needs a process that ``isolation.isolate`` took away from the machine.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ends = contextlib.ExitStack()
        self._ends.enter_context(private_folders())
        self._ends.callback(self._kill_processes)
        self._seen: set[tuple[int, str]] = set()
        self._count = 0
        self._add_namespace("switch")
        # Without snooping and spanning tree a new port forwards at once.
        self._ip("switch", ["link add lan type bridge mcast_snooping 0 forward_delay 0", "link set lan up"])

    def host(self, name: str = "host") -> Host:
        """Another host, with ``eth0`` on the Ethernet and no default route."""
        ipv4, ipv6 = self._join(name)
        host = Host(self, name, Path("/run/netns") / name, ipv4, ipv6)
        host.folder = self._folder / name
        host.folder.mkdir()
        return host

    def machine(self, name: str) -> Machine:
        """Another machine, with ``eth0`` on the Ethernet."""
        ipv4, ipv6 = self._join(name)
        return Machine(self, name, Path("/run/netns") / name, ipv4, ipv6)

    def ask_all(self, questions: Iterable[Question], timeout: float = 1.0) -> list[Answer | None]:
        """Ask many questions at once, so that those without an answer cost one timeout together."""
        with ThreadPoolExecutor(max_workers=32) as pool:
            return list(pool.map(lambda each: each[0].ask(each[1], each[2], each[3], timeout=timeout), list(questions)))

    def at_end(self, action: Callable[[], object]) -> None:
        """Call this at the end of the test, before what was set up earlier is taken down."""
        self._ends.callback(action)

    def note_processes(self) -> None:
        """Remember who runs in our namespaces, to find them even when their namespace lost its pin."""
        self._seen.update((pid, started) for pid, _ in self._processes() if (started := _start_time(pid)))

    def close(self) -> None:
        """Kill every process that stands in one of our namespaces, and unpin all of them."""
        self._ends.close()

    def _join(self, name: str) -> tuple[str, str]:
        self._count += 1
        ipv4, ipv6 = f"192.0.2.{self._count}", f"2001:db8::{self._count:x}"
        self._add_namespace(name)
        self._ip(
            name,
            ["link set lo up", f"link add eth0 type veth peer name {name[:15]} netns switch"],
        )
        inside(Path("/run/netns") / name, _skip_duplicate_address_detection)
        self._ip(
            name,
            [
                f"address add {ipv4}/24 dev eth0",
                f"address add {ipv6}/64 dev eth0",
                "link set eth0 up",
            ],
        )
        self._ip("switch", [f"link set {name[:15]} master lan up"])
        inside(Path("/run/netns") / name, _wait_until_running)
        return ipv4, ipv6

    def _add_namespace(self, name: str) -> None:
        subprocess.run(["ip", "netns", "add", name], check=True, timeout=60)
        inside(Path("/run/netns") / name, _forget_the_machine)

    def _ip(self, namespace_name: str, lines: list[str]) -> None:
        command = ["ip", "-n", namespace_name, "-batch", "-"]
        subprocess.run(command, input="\n".join(lines), text=True, check=True, timeout=60)

    def _processes(self) -> list[tuple[int, str]]:
        pinned = {snapshot.identity(path) for path in Path("/run/netns").iterdir()}
        return list(snapshot.processes_in(pinned))

    def _kill_processes(self) -> None:
        deadline = time.monotonic() + 30
        while victims := self._living():
            for pid in victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            assert time.monotonic() < deadline, f"processes that cannot be killed: {victims}"
            time.sleep(0.005)

    def _living(self) -> set[int]:
        self.note_processes()
        return {pid for pid, started in self._seen if _start_time(pid) == started}


def _forget_the_machine() -> None:
    """The kernel gives a new namespace the IPv4 settings of the machine's first one (devconf_inherit_init_net)."""
    for name in ("ip_forward", "conf/all/rp_filter", "conf/default/rp_filter"):
        (Path("/proc/sys/net/ipv4") / name).write_text("0")


def _skip_duplicate_address_detection() -> None:
    Path("/proc/sys/net/ipv6/conf/eth0/accept_dad").write_text("0")


def _wait_until_running() -> None:
    """The kernel notices a carrier a little later; a snapshot before that would differ from one after it."""
    deadline = time.monotonic() + 30
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        while True:
            answer = fcntl.ioctl(probe, _SIOCGIFFLAGS, struct.pack("16sH14x", b"eth0", 0))
            if struct.unpack("16xH14x", answer)[0] & _IFF_RUNNING:
                return
            assert time.monotonic() < deadline, "eth0 got no carrier"
            time.sleep(0.005)


def _start_time(pid: int) -> str:
    """What tells a process from a later one of the same pid; empty if it ended, or waits only to be collected."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in {"Z", "X"} else fields[18]


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=30)
