"""``netapply status``: what the running watcher of this host says of itself."""

from __future__ import annotations

import os
import socket
import struct
import time
from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.look import print_json
from reconciler.cli.main import Settings
from reconciler.errors import NetapplyError

_SAYS_AFTER, _PATIENCE = 1.5, 10.0
"""Seconds of waiting in silence, and of waiting in all."""

_BLOCK = 65536


@click.command("status")
@options.json_format
@click.pass_obj
def command(settings: Settings, output_format: str) -> int:
    """Ask the running `watch` of this host. Exit 0: all in sync, 2: not, 1: error, or nobody watches."""
    from reconciler.watch import report  # noqa: PLC0415  # usage errors must not pay for it

    status = _ask(settings)
    if output_format == "json":
        print_json(status)
    else:
        click.echo(report.render(status), nl=False)
    return 0 if report.is_well(status) else 2


def _ask(settings: Settings) -> dict[str, Any]:
    from reconciler.kernel import host  # noqa: PLC0415  # as above
    from reconciler.kernel.agent_protocol import decode, encode, unix_socket  # noqa: PLC0415  # as above
    from reconciler.watch.alone import SOCKET_FILE  # noqa: PLC0415  # as above

    if os.geteuid() != 0:
        raise NetapplyError.of("only root may ask the watcher", hint="run with sudo")
    entered = host.enter(settings.host_name)
    try:
        connection, address, descriptor = unix_socket(str(entered.run), SOCKET_FILE)
    except FileNotFoundError:
        raise _nobody() from None
    try:
        connection.settimeout(_SAYS_AFTER)
        connection.connect(address)
        return decode(_answer(connection, encode({"command": "status"})))
    except BlockingIOError:
        raise _silent("so many ask already that it has no room for another one") from None
    except (OSError, ValueError):
        raise _nobody() from None
    finally:
        connection.close()
        os.close(descriptor)


def _answer(connection: socket.socket, question: bytes) -> bytes:
    """Says for whom it waits where that takes a moment."""
    # struct ucred (unix(7)) of who listens.
    pid = struct.unpack("=3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    deadline = time.monotonic() + _PATIENCE
    connection.sendall(question)
    answer, has_said = b"", False
    while not answer.endswith(b"\n"):
        try:
            block = connection.recv(_BLOCK)
        except TimeoutError:
            if has_said:
                raise _silent(f"process {pid} did not answer within {_PATIENCE:.0f} seconds", pid) from None
            click.echo(f"note: waiting for the watcher, process {pid}, which is busy or stopped", err=True)
            has_said = True
        else:
            if not block:
                break
            answer += block
        connection.settimeout(max(0.1, deadline - time.monotonic()) if has_said else _SAYS_AFTER)
    return answer


def _silent(why: str, pid: int | None = None) -> NetapplyError:
    resume = f"; if somebody stopped it: kill -CONT {pid}" if pid else ""
    return NetapplyError.of(f"the watcher does not answer: {why}", hint=f"its log says what it does{resume}")


def _nobody() -> NetapplyError:
    return NetapplyError.of("nobody watches this host", hint="start it with: netapply watch DIR")
