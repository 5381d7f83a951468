"""Looks at iptables' legacy tables without making any, and without python-iptables."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from reconciler.errors import NetapplyError
from reconciler.firewall.legacy_listing import LegacyRules, legacy_rules

_SECONDS = 30
_ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_NAMES = {
    "iptables-legacy-save": "/proc/thread-self/net/ip_tables_names",
    "ip6tables-legacy-save": "/proc/thread-self/net/ip6_tables_names",
}


def look() -> LegacyRules:
    """What the legacy tables of this thread's namespace hold; a host without any costs two reads.

    Raises NetapplyError where there are tables and no program to list them.
    """
    return legacy_rules(_save(program) for program, names in _NAMES.items() if _has_tables(names))


def _has_tables(names: str) -> bool:
    try:
        return bool(Path(names).read_text(encoding="ascii").split())
    except OSError:
        return False


def _save(program: str) -> str:
    """The tables that exist; without ``-t`` the program opens no other (measured)."""
    try:
        done = subprocess.run(
            [program], check=False, capture_output=True, text=True, timeout=_SECONDS, env=_ENVIRONMENT
        )
    except FileNotFoundError:
        message = f"the host has iptables' legacy tables, but {program} was not found"
        raise NetapplyError.of(message, hint="install it: apt install iptables") from None
    except subprocess.TimeoutExpired:
        raise NetapplyError.of(f"{program} did not end within {_SECONDS} seconds") from None
    if done.returncode:
        reason = done.stderr.strip().partition("\n")[0] or f"exit status {done.returncode}"
        raise NetapplyError.of(f"{program}: {reason}", hint="run as root (CAP_NET_ADMIN)")
    return done.stdout
