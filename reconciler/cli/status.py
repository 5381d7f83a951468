"""``netapply status``: what the running watcher of this host says of itself."""

from __future__ import annotations

import os
from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.look import print_json
from reconciler.cli.main import Settings
from reconciler.errors import NetapplyError

_PATIENCE = 30.0
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
        connection.settimeout(_PATIENCE)
        connection.connect(address)
        connection.sendall(encode({"command": "status"}))
        answer = b""
        while not answer.endswith(b"\n") and (block := connection.recv(_BLOCK)):
            answer += block
        return decode(answer)
    except TimeoutError:
        raise NetapplyError.of(f"the watcher did not answer within {_PATIENCE:.0f} seconds") from None
    except (OSError, ValueError):
        raise _nobody() from None
    finally:
        connection.close()
        os.close(descriptor)


def _nobody() -> NetapplyError:
    return NetapplyError.of("nobody watches this host", hint="start it with: netapply watch DIR")
