"""netapply with one fault in it: ``python -m tests.kernel.faulty MODE NUMBER TALLY ARGUMENT...``.

MODE ``kill``: the process kills itself right before its NUMBER-th action: a netlink send, a
system call on namespaces, a command to libnftables, a file that is written, renamed or removed
(every sysctl is one), a process that is started. MODE ``fail``: the NUMBER-th request to the
kernel is refused; of a netlink batch that is one message, the others are carried out, as the
kernel does. NUMBER 0: no fault. The file TALLY says afterwards how many there were, or, of a process that
killed itself, holds what then stood in the record of a run to be confirmed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from reconciler.cli.main import run
from reconciler.kernel import namespaces
from reconciler.kernel.libnftables import Nftables, RefusedError
from reconciler.kernel.netlink import Refusal, RouteSocket

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
PROCESS_EVENTS = {"os.posix_spawn", "os.fork", "subprocess.Popen"}
FILE_EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir"}
SYSTEM_CALLS = ("setns", "unshare", "mount", "umount2")
STATE = Path("/run/netapply")
WORDS = "the test refuses this"


class Fault:
    """Counts, and strikes once."""

    def __init__(self, mode: str, number: int, tally: Path) -> None:
        self.kills = mode == "kill"
        self._number = number
        self._tally = tally
        self._process = os.getpid()
        self.count = 0

    def strikes(self) -> bool:
        """Count one more; whether this is the one. Does not return if it is and the mode is ``kill``.

        What this process forks to outlive it has no fault.
        """
        if os.getpid() != self._process:
            return False
        self.count += 1
        struck = self.count == self._number
        if struck and self.kills:
            self._tally.write_text("".join(each.read_text() for each in STATE.glob("*/unconfirmed")))
            os.kill(os.getpid(), signal.SIGKILL)
        return struck


def wrap_netlink(fault: Fault) -> None:
    request, dump = RouteSocket.request, RouteSocket.dump

    def faulty_request(self: RouteSocket, requests: Sequence[tuple[int, int, bytes]]) -> list[Refusal]:
        struck = {place for place in range(1 if fault.kills else len(requests)) if fault.strikes()}
        if not struck:
            return request(self, requests)
        (place,) = struck
        left = [each for number, each in enumerate(requests) if number != place]
        refused = request(self, left) if left else []
        moved = [each._replace(position=each.position + (each.position >= place)) for each in refused]
        return sorted([*moved, Refusal(place, errno.EPERM, WORDS)])

    def faulty_dump(self: RouteSocket, *arguments: Any) -> list[Any]:
        if not fault.kills and fault.strikes():
            raise OSError(errno.ENOBUFS, WORDS)
        return dump(self, *arguments)

    RouteSocket.request = faulty_request  # type: ignore[method-assign]  # the fault's place
    RouteSocket.dump = faulty_dump  # type: ignore[method-assign,assignment]  # the fault's place


class FaultyLibrary:
    """libc, of which one call fails."""

    def __init__(self, library: Any, fault: Fault) -> None:
        self._library = library
        self._fault = fault

    def __getattr__(self, name: str) -> Callable[..., int]:
        call: Callable[..., int] = getattr(self._library, name)
        if name not in SYSTEM_CALLS:
            return call

        def faulty(*arguments: Any) -> int:
            if self._fault.strikes():
                ctypes.set_errno(errno.EPERM)
                return -1
            return call(*arguments)

        return faulty


def wrap_nftables(fault: Fault) -> None:
    original = Nftables._run

    def faulty(self: Nftables, text: str, flags: int) -> str:
        if fault.strikes():
            raise RefusedError.refused(WORDS)
        return original(self, text, flags)

    Nftables._run = faulty  # type: ignore[method-assign]  # the fault's place


def watch_system(fault: Fault) -> None:
    """Files and processes, by audit events, which come before the deed."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            writes = isinstance(flags, int) and flags & WRITING and path != os.devnull
            if writes and fault.strikes():
                raise OSError(errno.ENOSPC, WORDS)
        elif event in PROCESS_EVENTS:
            if fault.strikes():
                raise OSError(errno.EAGAIN, WORDS)
        elif event in FILE_EVENTS and fault.kills:
            fault.strikes()

    sys.addaudithook(hook)


def main() -> None:
    """Run netapply with the fault that the arguments say."""
    mode, number, tally, *arguments = sys.argv[1:]
    fault = Fault(mode, int(number), Path(tally))
    wrap_netlink(fault)
    wrap_nftables(fault)
    namespaces._libc = FaultyLibrary(namespaces._libc, fault)  # type: ignore[assignment]  # the fault's place
    watch_system(fault)
    code = run(arguments)
    count, fault.count = fault.count, -1_000_000
    Path(tally).write_text(str(count))
    sys.exit(code)


if __name__ == "__main__":
    main()
