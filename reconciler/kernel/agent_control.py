"""The agent seen from outside: start it, ask it, give it data, stop it.

Whoever changes anything holds the host's lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import reconciler
from reconciler.errors import NetapplyError, Problem
from reconciler.kernel import listeners
from reconciler.kernel.agent_protocol import (
    DATA_DIRECTORY,
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
from reconciler.kernel.files import write_private
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

_START_SECONDS = 5.0
_STOP_SECONDS = 5.0
_ANSWER_SECONDS = 2.0
_BLOCK = 1 << 20
_MODULE = "reconciler.agent"


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """What a running agent says of itself; ``pins`` are those it really holds, by stack."""

    pid: int
    version: int
    pins: dict[str, tuple[Pin, ...]]


def status(run_directory: Path) -> AgentStatus | None:
    """That of the host's agent; None where none answers."""
    try:
        said = _ask(run_directory, {"command": "status"})
        pins = {stack_name: tuple(_pin(item) for item in items) for stack_name, items in said["pins"].items()}
        return AgentStatus(int(said["pid"]), int(said["version"]), pins)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def resources(run_directory: Path, current: AgentStatus | None) -> list[Resource]:
    """The agent and what it holds, as observed; a stack whose file stands with no port held, too."""
    pins = dict.fromkeys(_stacks_with_files(run_directory), ())
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
    _remove_empty(run_directory / DATA_DIRECTORY)


def load(run_directory: Path, stack_name: str, pins: Sequence[Pin]) -> None:
    """Give the agent a stack's host ports to hold; none: it forgets the stack.

    The file comes first, so that an agent started later holds them too. Raises NetapplyError with
    one problem for each port that another program has, or where no agent answers.
    """
    directory = run_directory / DATA_DIRECTORY
    file = directory / f"{stack_name}.json"
    generation = ""
    if pins:
        directory.mkdir(mode=0o700, exist_ok=True)
        content = json.dumps(sorted(pins))
        generation = hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
        write_private(file, f'{{"generation": "{generation}", "pins": {content}}}\n')
    else:
        file.unlink(missing_ok=True)
    try:
        answer = _ask(run_directory, {"command": "load", "stack": stack_name, "generation": generation})
    except (OSError, ValueError) as error:
        if not pins and _owner(run_directory) is None:
            _remove_empty(directory)
            return  # nobody holds anything
        message = f"the agent does not answer: {error}"
        raise NetapplyError.of(message, hint="run up again, which starts a new one") from None
    if "error" in answer:
        raise NetapplyError.of(f"the agent refused the data of stack {stack_name}: {answer['error']}")
    if answer.get("failures"):
        raise NetapplyError(_problems(answer["failures"]))


def _remove_empty(directory: Path) -> None:
    with suppress(OSError):  # a stack's data still stand there
        directory.rmdir()


def _problems(failures: Iterable[Message]) -> Iterable[Problem]:
    foreign = listeners.all_listeners()
    for failure in failures:
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


def _stacks_with_files(run_directory: Path) -> list[str]:
    try:
        names = os.listdir(run_directory / DATA_DIRECTORY)  # noqa: PTH208 - only the names are wanted
    except FileNotFoundError:
        return []
    return sorted(name.removesuffix(".json") for name in names if name.endswith(".json") and not name.startswith("."))


def _ask(run_directory: Path, request: Message) -> Message:
    """The agent's answer. Raises OSError where none comes, ValueError for one that is none."""
    connection, address, descriptor = unix_socket(os.fspath(run_directory))
    try:
        connection.settimeout(_ANSWER_SECONDS)
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
        return os.read(hello, 256).decode().strip() if poll.poll(_START_SECONDS * 1000) else ""
    finally:
        os.close(hello)


def _open_log(run_directory: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(run_directory / LOG_FILE, flags, 0o600)


def _last_words(run_directory: Path) -> str:
    try:
        lines = (run_directory / LOG_FILE).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return f" ({lines[-1]})" if lines else ""
