"""Reads and writes our chains in iptables' legacy tables, through a helper process for each address family."""

from __future__ import annotations

import atexit
import json
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from reconciler.errors import NetapplyError
from reconciler.firewall.iptables import TableEdit, edits
from reconciler.firewall.iptables_chains import TABLES
from reconciler.firewall.iptables_layout import Supported
from reconciler.firewall.iptables_parse import parse
from reconciler.firewall.iptables_rules import Place, Table, table_of
from reconciler.firewall.pair import Pair
from reconciler.firewall.policy import FirewallBase
from reconciler.kernel import iptables_helper

_SECONDS: Final = 60
_ATTEMPTS: Final = 5
_ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_IF_INET6 = Path("/proc/thread-self/net/if_inet6")
_NFTABLES_HINT = "or use --firewall nftables"


class ChainsChangedError(Exception):
    """Somebody changed our chains between the look and the edit."""


class Helper:
    """The process for one family, in the network namespace of the thread that makes it."""

    def __init__(self, family: int) -> None:
        # -E and -P: neither the environment nor the folder of the file decide what is imported.
        command = [sys.executable, "-E", "-P", iptables_helper.__file__, str(family)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_ENVIRONMENT,
            # Ctrl-C is for the run, which needs it to undo what was done; it ends with its standard input.
            process_group=0,
        )
        self._buffer = b""
        self._is_ready = False

    def send(self, request: Mapping[str, Any]) -> None:
        """Ask; the answer is fetched with ``receive``."""
        if not self._is_ready:
            checked(self.receive())
            self._is_ready = True
        try:
            assert self._process.stdin is not None  # noqa: S101  # it was asked for
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def receive(self) -> dict[str, Any]:
        """The answer. Raises NetapplyError where there is none in time, or the process ended."""
        assert self._process.stdout is not None  # noqa: S101  # it was asked for
        deadline = time.monotonic() + _SECONDS
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN)
        while b"\n" not in self._buffer:
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                self.close()
                raise NetapplyError.of(f"iptables did not answer within {_SECONDS} seconds", hint=_NFTABLES_HINT)
            piece = self._process.stdout.read1(1 << 20)  # type: ignore[attr-defined]  # a pipe's reader is buffered
            if not piece:
                raise self._ended()
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _ended(self) -> NetapplyError:
        status = self._process.wait(timeout=_SECONDS)
        return NetapplyError.of(f"the process that talks to iptables ended with status {status}", hint=_NFTABLES_HINT)

    def close(self) -> None:
        """End the process; closing twice is fine."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def checked(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, unless it is a refusal. Raises NetapplyError, and ChainsChangedError."""
    kind, text = answer.get("error"), answer.get("message", "")
    match kind:
        case None:
            return answer
        case "changed":
            raise ChainsChangedError(text)
        case "module":
            message = "the iptables backend needs python-iptables, which is not installed"
            raise NetapplyError.of(message, hint=f"pip install 'netapply[iptables]', {_NFTABLES_HINT}")
        case "library":
            soname, _, package = text.partition(" ")
            message = f"the iptables backend needs {soname}, which was not found"
            raise NetapplyError.of(message, hint=f"install it: apt install {package or 'iptables'}, {_NFTABLES_HINT}")
        case "broken":
            message = f"python-iptables does not work here: {text}"
            raise NetapplyError.of(message, hint=f"apt install iptables kmod, {_NFTABLES_HINT}")
        case _:
            hint = "run as root (CAP_NET_ADMIN)" if "ermission" in text or "not permitted" in text else ""
            if "insmod" in text or "does not exist" in text:
                hint = "this kernel lacks iptables' legacy tables: use --firewall nftables"
            raise NetapplyError.of(f"iptables: {text}", hint=hint)


class Iptables:
    """Our chains in the namespace of the thread that makes it; to be used while that thread is there.

    A context manager. Everything raises NetapplyError.
    """

    def __init__(self) -> None:
        self.families = (4, 6) if _IF_INET6.exists() else (4,)
        self._helpers = {family: Helper(family) for family in self.families}
        atexit.register(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes; closing twice is fine."""
        atexit.unregister(self.close)
        for helper in self._helpers.values():
            helper.close()

    def read(self) -> dict[Place, Table]:
        """What is ours in the tables that exist; none is made."""
        answers = self._ask_all({family: {"do": "read", "tables": TABLES} for family in self.families})
        return {
            (family, name): table_of(found)
            for family, answer in answers.items()
            for name, found in answer["tables"].items()
        }

    def observe(self) -> list[FirewallBase | Supported]:
        """The policies that our chains carry out; none where nothing of ours stands."""
        return parse(self.read(), self.families)

    def apply(self, changes: Sequence[Pair]) -> None:
        """Make all changes of policy, each table in one commit."""
        reason = ""
        for _ in range(_ATTEMPTS):
            try:
                self._carry_out(edits(changes, self.read(), self.families))
            except ChainsChangedError as error:
                reason = str(error)
            else:
                return
        message = f"iptables: {reason}; the tables do not become as they should in {_ATTEMPTS} attempts"
        raise NetapplyError.of(message, hint="another program may keep changing netapply's chains: iptables-legacy -S")

    def _carry_out(self, table_edits: Sequence[TableEdit]) -> None:
        """In order within a family, both families side by side."""
        waiting = {family: [edit for edit in table_edits if edit.place[0] == family] for family in self.families}
        while any(waiting.values()):
            now = {family: {"do": "write", **left.pop(0).document()} for family, left in waiting.items() if left}
            self._ask_all(now)

    def _ask_all(self, requests: Mapping[int, Mapping[str, Any]]) -> dict[int, dict[str, Any]]:
        for family, request in requests.items():
            self._helpers[family].send(request)
        # All are fetched before any is judged, so that none is left in its pipe.
        answers = {family: self._helpers[family].receive() for family in requests}
        return {family: checked(answer) for family, answer in answers.items()}
