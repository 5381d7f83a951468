"""Runs netapply in processes forked from one that has imported it already.

Starting Python and importing takes three quarters of a run's processor time, and the tests make thousands of runs.
The process is a real one in all else: own arguments, directory, environment, files, exit status.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

REPOSITORY = Path(__file__).parents[2]
_LARGEST = 1 << 20


class Running:
    """A process that was forked, with what ``subprocess.Popen`` offers of it."""

    def __init__(self, answer: socket.socket) -> None:
        self._answer = answer
        self._said = answer.makefile()
        self.pid = int(self._said.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None: it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Its exit status. Raises TimeoutExpired."""
        if self.returncode is None:
            ready, _, _ = select.select([self._answer], [], [], timeout)
            if not ready:
                raise subprocess.TimeoutExpired([str(self.pid)], timeout)
            self.returncode = int(self._said.readline())
            self._said.close()
            self._answer.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """To it, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """With SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Prepared:
    """The process that the others are forked from. Stands where the caller stood when it was made."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kernel.prepared", str(theirs.fileno())],
            cwd=REPOSITORY,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()

    def run(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], stdin: str, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """As ``subprocess.run`` with captured output. Raises TimeoutExpired, having killed it."""
        files = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
        try:
            os.write(files[0], stdin.encode())
            os.lseek(files[0], 0, os.SEEK_SET)
            running = self.start(arguments, folder, environment, files)
            try:
                status = running.wait(timeout)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait(10)
                raise subprocess.TimeoutExpired(list(arguments), timeout, *map(_content, files[1:])) from None
            return subprocess.CompletedProcess(["netapply", *arguments], status, *map(_content, files[1:]))
        finally:
            for file in files:
                os.close(file)

    def start(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        files: Sequence[int],
        beforehand: str = "",
    ) -> Running:
        """As ``subprocess.Popen``, with these three files; ``beforehand`` is Python code that the process runs first."""
        request = {
            "arguments": list(arguments),
            "folder": str(folder),
            "environment": dict(environment),
            "beforehand": beforehand,
        }
        answer, theirs = socket.socketpair()
        socket.send_fds(self._control, [json.dumps(request).encode()], [*files, theirs.fileno()])
        theirs.close()
        return Running(answer)

    def close(self) -> None:
        """End it."""
        self._control.close()
        self._process.wait(10)


_made: list[Prepared] = []


def process() -> Prepared:
    """That of this test process, made when it is first asked for, after the test process was isolated."""
    if not _made:
        _made.append(Prepared())
        atexit.register(_made[0].close)
    return _made[0]


def _content(file: int) -> str:
    size = os.fstat(file).st_size
    return os.pread(file, size, 0).decode(errors="replace")


def _serve(control: socket.socket) -> None:
    import reconciler  # noqa: PLC0415  # the whole point: imported once, here

    for module in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
        # The helper needs an extra package, and runs as a process of its own; the same for what is run with -m.
        if not module.name.endswith(("__main__", "iptables_helper")):
            importlib.import_module(module.name)
    gc.freeze()  # else the collector of every fork would copy these pages
    waiting: dict[int, tuple[int, socket.socket]] = {}
    while True:
        ready, _, _ = select.select([control.fileno(), *waiting], [], [])
        for each in ready:
            if each == control.fileno():
                request, files, _, _ = socket.recv_fds(control, _LARGEST, 4)
                if not request:
                    return
                _begin(json.loads(request), files, waiting, control)
            else:
                pid, answer = waiting.pop(each)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                answer.sendall(f"{code}\n".encode())
                answer.close()
                os.close(each)


def _begin(
    request: dict[str, object],
    files: list[int],
    waiting: dict[int, tuple[int, socket.socket]],
    control: socket.socket,
) -> None:
    answer = socket.socket(fileno=files[3])
    pid = os.fork()
    if pid == 0:
        control.close()
        _run(request, files)
    for file in files[:3]:
        os.close(file)
    answer.sendall(f"{pid}\n".encode())
    waiting[os.pidfd_open(pid)] = (pid, answer)


def _run(request: dict[str, object], files: list[int]) -> NoReturn:
    code = 1
    try:
        for number, file in enumerate(files[:3]):
            os.dup2(file, number)
        os.closerange(3, 256)
        os.chdir(str(request["folder"]))
        environment = request["environment"]
        assert isinstance(environment, dict)
        os.environ.clear()
        os.environ.update(environment)
        arguments = request["arguments"]
        assert isinstance(arguments, list)
        from reconciler.cli.main import run  # noqa: PLC0415  # as above

        exec(str(request["beforehand"]), {})  # noqa: S102  # a test's own words
        code = run([str(each) for each in arguments])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            sys.stderr.write(error.code + "\n")
    except BaseException:  # noqa: BLE001  # as the interpreter does at the end of a program
        traceback.print_exc()
    finally:
        # What Python does at its end and os._exit leaves out: children are waited for in some of these.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
