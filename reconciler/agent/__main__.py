"""``python -m reconciler.agent RUN_DIRECTORY VERSION``: the one background process of a host.

Started by kernel/agent_control.py inside the host's network namespace; ``VERSION`` is that of the
protocol that the starter, and so this code, speaks. Imports stay few: one of these runs on every host.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import sys
from contextlib import suppress

from reconciler.agent.control import Command, ControlServer
from reconciler.agent.jobs import Jobs
from reconciler.agent.log import log
from reconciler.agent.logs import Logs
from reconciler.agent.loop import Loop
from reconciler.agent.names import Names
from reconciler.agent.ports import HeldPorts
from reconciler.agent.stacks import Concern, Stacks
from reconciler.kernel.agent_protocol import DATA_DIRECTORY, LOCK_FILE, READY, RUNNING, Message

_DESCRIPTORS = 65536


def main(run_directory: str, version: int) -> int:
    """Serve until stopped; the exit status."""
    lock = _lock(run_directory)
    if lock is None:
        _say(RUNNING)
        return 0
    _allow_many_descriptors()
    os.makedirs(os.path.join(run_directory, DATA_DIRECTORY), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH118 - pathlib costs 5 ms
    loop = Loop(lambda error: log("error", "a callback failed", exc_info=error))
    loop.stop_on(signal.SIGTERM, signal.SIGINT)
    names = Names(loop, run_directory)
    concerns: list[Concern] = [HeldPorts(), names, Jobs(loop, run_directory)]
    stacks = Stacks(run_directory, concerns)
    Logs(loop, run_directory)
    for failure in stacks.load_all():
        log("warning", "could not be restored", **failure)
    server = ControlServer(loop, run_directory, _commands(loop, stacks, names, version))
    _say(READY)
    try:
        loop.run()
    finally:
        for concern in concerns:
            concern.close()
        server.close()
        signal.set_wakeup_fd(-1)
        loop.close()
        os.close(lock)
    return 0


def _commands(loop: Loop, stacks: Stacks, names: Names, version: int) -> dict[str, Command]:
    def status(_request: Message) -> Message:
        return {"pid": os.getpid(), "version": version, **stacks.status()}

    def load(request: Message) -> Message:
        generation = request.get("generation")
        names.doubted = frozenset(map(str, request.get("doubted", ())))
        return {"failures": stacks.load(str(request["stack"]), None if generation is None else str(generation))}

    def stop(_request: Message) -> Message:
        loop.stop()
        return {}

    return {"status": status, "load": load, "stop": stop}


def _lock(run_directory: str) -> int | None:
    """The descriptor that makes this the only agent of its run folder; None where another one is."""
    path = os.path.join(run_directory, LOCK_FILE)  # noqa: PTH118 - as above
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    # For whoever must end an agent that no longer answers.
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def _allow_many_descriptors() -> None:
    """Each held port takes one, each resolver two; the usual 1024 are for programs that use select(2)."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # raising the limit takes CAP_SYS_RESOURCE
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(most, _DESCRIPTORS),) * 2)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _say(line: str) -> None:
    with suppress(OSError):  # the starter gave up
        os.write(1, line.encode() + b"\n")
    # The end of the pipe must go, and nothing else may get the number.
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(null, 1)
    os.close(null)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
