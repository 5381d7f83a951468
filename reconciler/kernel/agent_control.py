"""The agent seen from outside: start it, ask it, give it data, stop it.

Whoever changes anything holds the host's lock.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import reconciler
from reconciler.errors import NetapplyError, Problem
from reconciler.kernel import agent_data, control_group, listeners
from reconciler.kernel.agent_data import JOBS, NAMES, PINS
from reconciler.kernel.agent_protocol import (
    LOCK_FILE,
    LOG_FILE,
    READY,
    RUNNING,
    SOCKET_FILE,
    Message,
    decode,
    encode,
    unix_socket,
)
from reconciler.kernel.processes import (
    CLEAN_ENVIRONMENT,
    Identified,
    command_line,
    process_status,
    signal_process,
    spawn_detached,
    wait_for_end,
)
from reconciler.resources.agent import AGENT_VERSION, Agent, HeldPorts, pin_text
from reconciler.state import Resource

Pin = tuple[str, str, int]
"""Protocol, address, port."""

_START_SECONDS = 30.0
"""It says that it is ready after it opened what the files say; one that dies is noticed at once."""

_STOP_SECONDS = 5.0
_ANSWER_SECONDS = 2.0
_LOAD_SECONDS, _LESS_SECONDS = 30.0, 5.0
_BLOCK = 1 << 20
_MODULE = "reconciler.agent"


class Served(NamedTuple):
    """Where a resolver stands: the inode of its namespace, its port, the generation of the rules that lead to it."""

    inode: int
    port: int
    rules: int


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """What a running agent says of itself; ``pins`` are those it really holds, by stack."""

    pid: int
    version: int
    pins: dict[str, tuple[Pin, ...]]
    names: dict[str, Served] = field(default_factory=dict)
    """The containers whose names are answered."""
    generations: dict[str, str] = field(default_factory=dict)
    """Of the data of each stack."""
    jobs: frozenset[str] = frozenset()
    """The containers whose end it waits for."""


def status(run_directory: Path) -> AgentStatus | None:
    """That of the host's agent; None where none answers."""
    try:
        said = _ask(run_directory, {"command": "status"})
        pins = {stack_name: tuple(_pin(item) for item in items) for stack_name, items in said["pins"].items()}
        names = {container: Served(*map(int, where)) for container, where in said.get("names", {}).items()}
        generations = dict(said.get("generations", {}))
        jobs = frozenset(map(str, said.get("jobs", ())))
        return AgentStatus(int(said["pid"]), int(said["version"]), pins, names, generations, jobs)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def resources(
    run_directory: Path, current: AgentStatus | None, data: Mapping[str, Mapping[str, Any]] | None = None
) -> list[Resource]:
    """The agent and the ports that it holds, as observed; a stack whose file says so with no port held, too.

    ``data`` are those of all stacks, where they have been read already.
    """
    data = agent_data.read_all(run_directory) if data is None else data
    # A file of nothing is one that nobody could read.
    pins = {
        name: ()
        for name, sections in data.items()
        if PINS in sections or not (sections.get(NAMES) or sections.get(JOBS))
    }
    held = {**pins, **(current.pins if current else {})}
    found: list[Resource] = [Agent(version=current.version)] if current else []
    return [*found, *(HeldPorts(stack_name, tuple(sorted(pins))) for stack_name, pins in sorted(held.items()))]


def start(run_directory: Path) -> None:
    """Start the host's agent from within the host's network namespace, and wait until it serves.

    One that serves already stays, if it speaks our version. Raises NetapplyError.
    """
    current = status(run_directory)
    if current is not None and current.version == AGENT_VERSION:
        return
    if current is not None or _owner(run_directory) is not None:
        stop(run_directory)
    said = _spawn(run_directory)
    if said == RUNNING and status(run_directory) is not None:
        return
    if said != READY:
        raise NetapplyError.of(
            f"the agent did not start: {said or 'it said nothing in time'}{_last_words(run_directory)}",
            hint=f"its log is {run_directory / LOG_FILE}",
        )


def stop(run_directory: Path) -> None:
    """End the host's agent, if one runs, and remove its files. Raises NetapplyError where it survives SIGKILL."""
    owner = _owner(run_directory)
    if owner is not None:
        patience = 0.0
        with suppress(OSError, ValueError):
            _ask(run_directory, {"command": "stop"})
            patience = _STOP_SECONDS
        if wait_for_end([owner], patience):
            signal_process(owner, signal.SIGKILL)
        if wait_for_end([owner], _STOP_SECONDS):
            raise NetapplyError.of(f"the agent (process {owner.pid}) survives SIGKILL")
    _remove_files(run_directory)


def forget_dead(run_directory: Path) -> None:
    """Remove the files of an agent that does not run, or never came to."""
    if _owner(run_directory) is None:
        _remove_files(run_directory)


def _remove_files(run_directory: Path) -> None:
    for name in (SOCKET_FILE, LOG_FILE, LOCK_FILE):
        (run_directory / name).unlink(missing_ok=True)
    agent_data.remove_empty(run_directory)


def load(run_directory: Path, stack_name: str, pins: Sequence[Pin]) -> None:
    """Give the agent a stack's host ports to hold; none: it lets go of them.

    The file comes first, so that an agent started later holds them too. Raises NetapplyError with
    one problem for each port that another program has, or where no agent answers.
    """
    sections = {**agent_data.read(run_directory, stack_name), PINS: sorted(pins)}
    give(run_directory, stack_name, sections, less=not pins)


def give(
    run_directory: Path, stack_name: str, sections: Mapping[str, Any], *, less: bool, doubted: Sequence[str] = ()
) -> None:
    """Give the agent a stack's data and wait until it serves them; ``less``: no agent is needed to serve less.

    It looks again at what it has in the sandboxes of ``doubted`` containers. Raises NetapplyError with a problem for
    each thing that it cannot do.
    """
    generation = agent_data.write(run_directory, stack_name, sections)
    request = {"command": "load", "stack": stack_name, "generation": generation, "doubted": list(doubted)}
    try:
        answer = _ask(run_directory, request, _LESS_SECONDS if less else _LOAD_SECONDS)
    except (OSError, ValueError) as error:
        if less and isinstance(error, TimeoutError):
            # It hangs, so it serves nobody; but what it has open keeps namespaces alive.
            stop(run_directory)
        if less and _owner(run_directory) is None:
            agent_data.remove_empty(run_directory)
            return  # nobody serves anything
        message = f"the agent does not answer: {error}"
        raise NetapplyError.of(message, hint="run up again, which starts a new one") from None
    if "error" in answer:
        raise NetapplyError.of(f"the agent refused the data of stack {stack_name}: {answer['error']}")
    if answer.get("failures"):
        raise NetapplyError(_problems(answer["failures"]))


def _problems(failures: Iterable[Message]) -> Iterable[Problem]:
    foreign = listeners.all_listeners()
    for failure in failures:
        if "container" in failure:
            name = failure["container"].partition("/")[2]
            yield Problem(f"the names of container {name} cannot be served: {failure['message']}")
            continue
        protocol, address, port = _pin(failure["pin"])
        others = [each for each in foreign if each.occupies(protocol, address, port)]
        by = f" by {listeners.owner_of(others[0].inode)}" if others else ""
        said = f"is in use{by}" if by or failure["errno"] == 98 else f"cannot be held: {failure['message']}"  # noqa: PLR2004 - EADDRINUSE
        yield Problem(
            f"host port {pin_text(protocol, address, port)} {said}",
            hint="give the container another host port, or stop that program",
        )


def _pin(item: Any) -> Pin:
    protocol, address, port = item
    return str(protocol), str(address), int(port)


def _ask(run_directory: Path, request: Message, seconds: float | None = None) -> Message:
    """The agent's answer. Raises OSError where none comes, ValueError for one that is none."""
    connection, address, descriptor = unix_socket(os.fspath(run_directory))
    try:
        connection.settimeout(seconds or _ANSWER_SECONDS)
        connection.connect(address)
        connection.sendall(encode(request))
        return decode(_line(connection))
    finally:
        connection.close()
        os.close(descriptor)


def _line(connection: socket.socket) -> bytes:
    blocks = []
    while block := connection.recv(_BLOCK):
        blocks.append(block)
        if block.endswith(b"\n"):
            return b"".join(blocks)
    raise ConnectionResetError("the agent ended")


def _owner(run_directory: Path) -> Identified | None:
    """The process that holds the agent's lock."""
    try:
        with (run_directory / LOCK_FILE).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                pass
            else:
                return None
            text = file.read()
    except FileNotFoundError:
        return None
    pid = int(text) if text.strip().isdigit() else 0
    found = process_status(pid) if pid else None
    # A lock held by anything else than an agent is not ours to end.
    return Identified(pid, found.started) if found and _MODULE.encode() in command_line(pid) else None


def _spawn(run_directory: Path) -> str:
    """Start the process, nobody's child and in a session of its own; what it says first."""
    # Only our package, not the current directory, may stand in the way of the standard library.
    package_home = os.path.dirname(os.path.dirname(reconciler.__file__))  # noqa: PTH120 - a string is wanted
    environment = {**CLEAN_ENVIRONMENT, "PYTHONPATH": package_home}
    python = [sys.executable, "-P", "-s", "-m", _MODULE, os.fspath(run_directory), str(AGENT_VERSION)]
    hello, hello_end = os.pipe()
    try:
        with ExitStack() as handed:
            handed.callback(os.close, hello_end)
            null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            handed.callback(os.close, null)
            log = _open_log(run_directory)
            handed.callback(os.close, log)
            spawn_detached(python, [null, hello_end, log], environment)
        poll = select.poll()
        poll.register(hello, select.POLLIN)
        said = os.read(hello, 256).decode().strip() if poll.poll(_START_SECONDS * 1000) else ""
    finally:
        os.close(hello)
    owner = _owner(run_directory)
    if owner is not None:
        control_group.settle(owner.pid)
    return said


def _open_log(run_directory: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(run_directory / LOG_FILE, flags, 0o600)


def _last_words(run_directory: Path) -> str:
    try:
        lines = (run_directory / LOG_FILE).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return f" ({lines[-1]})" if lines else ""
