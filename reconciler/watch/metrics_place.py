"""Where metrics are served: ``unix:PATH`` or ``127.0.0.1:PORT``; what is said of such a place before anything starts."""

from __future__ import annotations

from reconciler.errors import NetapplyError

_LONGEST_PORT = 5
_LONGEST_PATH = 107
"""Bytes in the address of a Unix socket (unix(7))."""


def socket_path(place: str) -> str:
    """The path of a Unix socket; empty: the place is none. Raises NetapplyError for what cannot be one."""
    if not place.startswith("unix:"):
        return ""
    path = place.removeprefix("unix:")
    if not path or "\0" in path or len(path.encode(errors="surrogateescape")) > _LONGEST_PATH:
        raise NetapplyError.of(f"--metrics {place}: not a path of 1 to {_LONGEST_PATH} bytes")
    return path


def tcp_place(place: str) -> tuple[str, int]:
    """Address and port. Raises NetapplyError for any that is not this machine's alone."""
    address, _, port = place.rpartition(":")
    # Not isdigit(): that is so of more than the ten that int() takes.
    number = int(port) if port.isascii() and port.isdecimal() and len(port) <= _LONGEST_PORT else 0
    if address not in {"127.0.0.1", "[::1]"} or not 0 < number <= 65535:  # noqa: PLR2004 - the last port
        raise NetapplyError.of(f"--metrics {place}: neither unix:PATH nor 127.0.0.1:PORT")
    return address.strip("[]"), number


def check(place: str) -> None:
    """Raises NetapplyError where metrics cannot be served there."""
    if place and not socket_path(place):
        tcp_place(place)
