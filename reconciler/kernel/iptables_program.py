"""Runs a program of iptables: one of ours alone in a clean environment, and never for long."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from reconciler.errors import NetapplyError

_SECONDS = 30
_ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


def run(command: Sequence[str], why: str) -> str:
    """What it prints. ``why`` it is needed, for people who lack it: ``the host's firewall is kept by iptables``.

    Raises NetapplyError where it is missing, fails or hangs.
    """
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_SECONDS, env=_ENVIRONMENT)
    except FileNotFoundError:
        raise NetapplyError.of(
            f"{why}, but {command[0]} was not found", hint="install it: apt install iptables"
        ) from None
    except subprocess.TimeoutExpired:
        raise NetapplyError.of(f"{' '.join(command)} did not end within {_SECONDS} seconds") from None
    if done.returncode:
        reason = done.stderr.strip().partition("\n")[0] or f"exit status {done.returncode}"
        raise NetapplyError.of(f"{' '.join(command)}: {reason}", hint="run as root (CAP_NET_ADMIN)")
    return done.stdout


def legacy_tables(names: str) -> frozenset[str]:
    """The legacy tables of this thread's namespace that exist; ``names``: the kernel's list of them (ip_tables_names)."""
    try:
        return frozenset(Path(f"/proc/thread-self/net/{names}").read_text(encoding="ascii").split())
    except OSError:
        return frozenset()
