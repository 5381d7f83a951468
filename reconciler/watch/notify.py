"""What systemd wants to hear of a service (sd_notify(3)); silent where nobody asked."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress


class Supervisor:
    """Whoever set NOTIFY_SOCKET and WATCHDOG_USEC, or nobody."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        self.watchdog_seconds = int(microseconds) / 1e6 if microseconds.isdigit() else 0.0
        self._last = 0.0

    def say(self, *lines: str) -> None:
        """Send lines such as ``READY=1``."""
        if not self._address:
            return
        # An address that begins with @ is an abstract one (unix(7)).
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.sendto("\n".join(lines).encode(), address)

    def alive(self) -> None:
        """Say that we still turn, at most once a second."""
        now = time.monotonic()
        if self.watchdog_seconds and now - self._last > min(1.0, self.watchdog_seconds / 3):
            self._last = now
            self.say("WATCHDOG=1")

    def next_word(self) -> float:
        """When to call ``alive`` next, at the latest; never where nobody waits for it."""
        return time.monotonic() + self.watchdog_seconds / 4 if self.watchdog_seconds else float("inf")
