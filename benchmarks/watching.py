"""How fast `netapply watch` heals: from the moment that a change is done until it is undone, and what it costs at rest.

``make bench-watch``, or ``python -m benchmarks.watching --sizes 10 1000``; as root, in namespaces of its own.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.bench import throwaway_host
from benchmarks.contestants import HOST, REPOSITORY, manifest
from reconciler.kernel.netlink import RouteSocket
from reconciler.netlink import constants as c
from reconciler.netlink.encode import attribute, link_header, message, text
from reconciler.watch.backoff import Fights
from tests.kernel.isolation import inside, isolate

PATIENCE = 30.0
FIGHT_WINDOW = Fights().window + 1
TICKS = os.sysconf("SC_CLK_TCK")
ROUNDS = 15
_NETLINK_NETFILTER, _SUBSYSTEM, _FAMILY_INET, _TABLE_NAME = 12, 10, 1, 1
_GETTABLE, _NEWRULE, _GETRULE = 1, 6, 7


class Watched:
    """A watcher at work over one stack of ``size`` sandboxes."""

    def __init__(self, size: int, folder: Path) -> None:
        self.size = size
        self.host = Path("/run/netns") / HOST
        self.manifests = folder / "manifests"
        self.manifests.mkdir()
        self.bridges = 2 if size >= 1000 else 1  # noqa: PLR2004 - the kernel allows 1023 ports on one bridge
        (self.manifests / "all.yaml").write_text(manifest(size, self.bridges))
        self.log = folder / "log"
        command = [sys.executable, "-m", "reconciler", "-n", HOST, "--log-format", "json", "watch", str(self.manifests)]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait(lambda: '"reconciled"' in self.log.read_text(), 120.0)
        time.sleep(1 + size / 200)
        lines = _output(["ip", "-n", HOST, "-o", "link"])
        self.veth = next(word.split("@")[0] for word in lines.split() if word.startswith("nv-c0-"))

    def close(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def heal(self, breaking: Callable[[], object], is_whole: Callable[[], object]) -> float:
        """Milliseconds from the end of ``breaking`` until it is whole again."""
        breaking()
        began = time.perf_counter()
        self._wait(is_whole, PATIENCE)
        return (time.perf_counter() - began) * 1000

    def veth_deleted(self) -> float:
        body = link_header() + text(c.IFLA_IFNAME, self.veth)
        return self.heal(lambda: self._in_host(lambda: _request(c.RTM_DELLINK, body)), lambda: self._is_whole("c0"))

    def route_deleted(self) -> float:
        command = ["nsenter", f"--net={self._pin('c1')}", "--", "ip", "route", "delete", "default"]
        return self.heal(lambda: _run(command), lambda: self._is_whole("c1"))

    def address_deleted(self) -> float:
        command = ["nsenter", f"--net={self._pin('c2')}", "--", "ip", "address", "flush", "dev", "eth0"]
        return self.heal(lambda: _run(command), lambda: self._is_whole("c2"))

    def table_deleted(self) -> float:
        command = ["nsenter", f"--net={self.host}", "--", "nft", "delete", "table", "inet", "netapply"]
        return self.heal(lambda: _run(command), lambda: self._in_host(_has_table))

    def table_flushed(self) -> float:
        command = ["nsenter", f"--net={self.host}", "--", "nft", "flush", "table", "inet", "netapply"]
        return self.heal(lambda: _run(command), lambda: self._in_host(_has_rules))

    def manifest_saved(self) -> float:
        name = f"x{time.monotonic_ns()}"
        draft, target = self.manifests / ".draft", self.manifests / "more.yaml"
        draft.write_text(f"name: more\ncontainers: {{{name}: {{network_mode: none}}}}\n")
        place = Path("/run/netns")
        return self.heal(
            lambda: _replace(draft, target), lambda: any(f".more.{name}" in path.name for path in place.iterdir())
        )

    def idle(self, seconds: float) -> tuple[float, float]:
        """Percent of a processor, and MB."""
        before = self._ticks()
        time.sleep(seconds)
        spent = (self._ticks() - before) / TICKS / seconds * 100
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return spent, int(status.split("VmRSS:")[1].split()[0]) / 1024

    def _ticks(self) -> int:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def _pin(self, name: str) -> Path:
        return next(path for path in Path("/run/netns").iterdir() if path.name.endswith(f".bench.{name}"))

    def _is_whole(self, name: str) -> bool:
        """The default route comes last, and cannot be without link and address."""
        routes = inside(self._pin(name), lambda: Path("/proc/thread-self/net/route").read_text())
        return any(line.split()[1] == "00000000" for line in routes.splitlines())

    def _in_host(self, function: Callable[[], object]) -> object:
        return inside(self.host, function)

    def _wait(self, condition: Callable[[], object], patience: float) -> None:
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline:
                raise RuntimeError(f"not healed:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.0005)


STEPS: dict[str, Callable[[Watched], float]] = {
    "veth deleted": Watched.veth_deleted,
    "default route deleted": Watched.route_deleted,
    "address deleted": Watched.address_deleted,
    "nftables table deleted": Watched.table_deleted,
    "manifest saved": Watched.manifest_saved,
    "nftables table flushed": Watched.table_flushed,
}


def _replace(draft: Path, target: Path) -> None:
    draft.replace(target)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, timeout=10)


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=10).stdout


def _request(kind: int, body: bytes) -> None:
    route_socket = RouteSocket()
    try:
        refused = route_socket.request([(kind, 0, body)])
    finally:
        route_socket.close()
    if refused:
        raise RuntimeError(str(refused))


def _has_table() -> bool:
    return _ask_nftables(_GETTABLE, 0) != c.NLMSG_ERROR


def _has_rules() -> bool:
    # All rules come in one transaction: where one is there, all are.
    return _ask_nftables(_GETRULE, c.NLM_F_DUMP) == _SUBSYSTEM << 8 | _NEWRULE


def _ask_nftables(command: int, flags: int) -> int:
    """The kind of the first answer to a question about our table (linux/netfilter/nf_tables.h)."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as asking:
        body = struct.pack("=BBH", _FAMILY_INET, 0, 0) + attribute(_TABLE_NAME, b"netapply\0")
        asking.send(message(_SUBSYSTEM << 8 | command, c.NLM_F_REQUEST | flags, 1, body))
        return int(struct.unpack_from("=IH", asking.recv(65536))[1])


def report(sizes: list[int], rounds: int, idle_seconds: float) -> str:
    """The tables, as Markdown."""
    lines = []
    for size in sizes:
        with throwaway_host(), tempfile.TemporaryDirectory(prefix="netapply-watch-") as folder:
            watched = Watched(size, Path(folder))
            try:
                lines += [
                    f"{size} containers:",
                    "",
                    "| healed, ms | median | p95 | longest |",
                    "| --- | ---: | ---: | ---: |",
                ]
                for name, step in STEPS.items():
                    taken = []
                    for _ in range(rounds):
                        taken.append(step(watched))
                        time.sleep(0.3 + size / 1000)
                    # The next kind of damage may be to the same thing, which would count as a fight.
                    time.sleep(FIGHT_WINDOW)
                    taken.sort()
                    p95 = taken[min(len(taken) - 1, round(0.95 * len(taken)))]
                    lines.append(f"| {name} | {statistics.median(taken):.0f} | {p95:.0f} | {taken[-1]:.0f} |")
                share, megabytes = watched.idle(idle_seconds)
                lines += ["", f"at rest: {share:.2f} % of a processor, {megabytes:.0f} MB", ""]
            finally:
                watched.close()
    return "\n".join(lines)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 1000], help="numbers of containers")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each kind of damage")
    parser.add_argument("--idle", type=float, default=60.0, help="seconds that it is watched at rest")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("bench: needs root", file=sys.stderr)
        return 1
    isolate()
    print(report(options.sizes, options.rounds, options.idle))
    return 0


if __name__ == "__main__":
    sys.exit(main())
