"""Runs netapply in processes forked from one that has imported it already.

Starting Python and importing takes three quarters of a run's processor time, and the tests make thousands of runs.
The process is a real one in all else: own arguments, directory, environment, files, exit status.
"""

from __future__ import annotations

import atexit
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
        request = json.dumps({"arguments": list(arguments), "folder": str(folder), "environment": dict(environment)})
        files = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
        answer, theirs = socket.socketpair()
        try:
            os.write(files[0], stdin.encode())
            os.lseek(files[0], 0, os.SEEK_SET)
            socket.send_fds(self._control, [request.encode()], [*files, theirs.fileno()])
            theirs.close()
            with answer.makefile() as said:
                pid = int(said.readline())
                ready, _, _ = select.select([answer], [], [], timeout)
                if not ready:
                    os.kill(pid, signal.SIGKILL)
                status = int(said.readline())
            outputs = [_content(file) for file in files[1:]]
        finally:
            theirs.close()
            answer.close()
            for file in files:
                os.close(file)
        if not ready:
            raise subprocess.TimeoutExpired(list(arguments), timeout, outputs[0], outputs[1])
        return subprocess.CompletedProcess(["netapply", *arguments], status, *outputs)

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
