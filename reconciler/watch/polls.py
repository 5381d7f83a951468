"""What the kernel does not speak of: settings, and iptables' legacy tables. Looked at again and again, cheaply."""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from reconciler.kernel import foreign_namespaces, namespaces, sysctl
from reconciler.kernel.host import Host
from reconciler.observation import Facts, Observation
from reconciler.resources.namespace import Namespace
from reconciler.resources.sysctl import Sysctl
from reconciler.state import State
from reconciler.watch.hints import Hints

_SHARE = 0.0003
"""Of one processor that a poll may take."""

_LEAST, _LEAST_IN_SANDBOXES, _LEAST_OF_OTHERS = 1.0, 2.0, 0.2


class Pace:
    """When a poll is due: every ``least`` seconds, and so seldom that it takes no more than its share.

    It is due after ``most`` seconds, whatever it takes.
    """

    def __init__(self, least: float, share: float = _SHARE, most: float = math.inf) -> None:
        self._least = least
        self._share = share
        self._most = most
        self.due = 0.0

    def took(self, seconds: float, now: float) -> None:
        """It was done just now, and took so much time of a processor: waiting for others costs nothing."""
        self.due = now + min(self._most, max(self._least, seconds / self._share))


class Polls:
    """All of them, each when it is due."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._legacy: str | None = None
        self._common, self._sandboxes = Pace(_LEAST), Pace(_LEAST_IN_SANDBOXES)
        self._attached = Pace(_LEAST_OF_OTHERS)
        self.files = Pace(_LEAST)

    @property
    def next(self) -> float:
        """When to look again."""
        return min(self._common.due, self._sandboxes.due, self.files.due, self._attached.due)

    def before_round(self, hints: Hints) -> None:
        """The host is looked at next: what is changed in legacy tables from now on is for the next look to find.

        Taken after the round, it would hide what others do between its look and then; and its own changes are news.
        """
        digest = legacy_tables()
        hints.firewall = hints.firewall or digest != self._legacy
        self._legacy = digest

    def look(self, observation: Observation, hints: Hints) -> None:
        """Compare what is due with the host as it should be."""
        state = observation.state
        if self._attached.due <= time.monotonic():
            self._look_at_attached(observation.facts, state, hints)
        if self._common.due <= time.monotonic():
            began = time.thread_time()
            if legacy_tables() != self._legacy:
                hints.add("iptables' legacy tables changed", firewall=True)
            settings(self._host, state, hints, sandboxes=False)
            self._common.took(time.thread_time() - began, time.monotonic())
        if self._sandboxes.due <= time.monotonic():
            began = time.thread_time()
            settings(self._host, state, hints, sandboxes=True)
            self._sandboxes.took(time.thread_time() - began, time.monotonic())

    def _look_at_attached(self, facts: Facts, state: State, hints: Hints) -> None:
        """Namespaces of others come and go without a word."""
        if not facts.attachable:
            self._attached.due = time.monotonic() + _LEAST
            return
        began = time.thread_time()
        for each in facts.attachable:
            if foreign_namespaces.identity(each.path) != each.identity:
                for resource in state:
                    if isinstance(resource, Namespace) and resource.attached == each.path:
                        hints.add(f"{each.path} changed", sandbox=resource.container)
                hints.add(f"{each.path} changed")
        self._attached.took(time.thread_time() - began, time.monotonic())


def settings(host: Host, state: State, hints: Hints, *, sandboxes: bool) -> None:
    """Compare settings of ours with what they should be: the host's, or those inside the ``sandboxes``."""
    with namespaces.elsewhere():
        place = ""
        for resource in _settings(state, sandboxes=sandboxes):
            if resource.namespace != place:
                try:
                    namespaces.enter_path(host.namespace_path(resource.namespace))
                except OSError:
                    continue
                place = resource.namespace
            value = sysctl.read(resource.name)
            if value is not None and " ".join(value.split()) != resource.value:
                hints.add(f"setting {resource.name} changed", sandbox=resource.namespace)


def _settings(state: State, *, sandboxes: bool) -> Iterator[Sysctl]:
    found = [each for each in state if isinstance(each, Sysctl) and bool(each.namespace) == sandboxes]
    yield from sorted(found, key=lambda each: each.namespace)


_FAMILIES = (
    # Where the names stand, family and level of the socket, where an entry has its two offsets and where its head
    # ends (linux/netfilter_ipv4/ip_tables.h and its IPv6 twin).
    ("/proc/thread-self/net/ip_tables_names", socket.AF_INET, socket.IPPROTO_IP, 88, 112),
    ("/proc/thread-self/net/ip6_tables_names", socket.AF_INET6, socket.IPPROTO_IPV6, 140, 168),
)
_GET_INFO, _GET_ENTRIES = 64, 65
_INFO_LENGTH, _SIZE = 84, 80
_ENTRIES_HEADER = 40
_libc = ctypes.CDLL(None, use_errno=True)


def legacy_tables() -> str:
    """A digest of the rules in iptables' legacy tables of this namespace, without their counters; makes no table."""
    total = hashlib.blake2b(digest_size=16)
    for names, family, level, offsets, head in _FAMILIES:
        try:
            tables = sorted(Path(names).read_text(encoding="ascii").split())
        except OSError:
            continue
        if not tables:
            continue
        with socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW) as asking:
            for table in tables:
                # A table that changes its size between the two questions is another one the next time.
                with suppress(OSError):
                    total.update(table.encode() + _rules(asking, level, table, offsets, head))
    return total.hexdigest()


def _rules(asking: socket.socket, level: int, table: str, offsets: int, head: int) -> bytes:
    name = table.encode().ljust(32, b"\0")
    info = _ask(asking, level, _GET_INFO, name.ljust(_INFO_LENGTH, b"\0"))
    size = struct.unpack_from("=I", info, _SIZE)[0]
    question = (name + struct.pack("=I", size)).ljust(_ENTRIES_HEADER + size, b"\0")
    rules = bytearray(_ask(asking, level, _GET_ENTRIES, question)[_ENTRIES_HEADER:])
    position = 0
    while position + head <= len(rules):
        # Behind the offsets: where it was reached from, which means nothing outside the kernel, and two counters.
        rules[position + offsets + 4 : position + head] = bytes(head - offsets - 4)
        step = struct.unpack_from("=H", rules, position + offsets + 2)[0]
        position += max(step, head)
    return bytes(rules)


def _ask(asking: socket.socket, level: int, option: int, question: bytes) -> bytes:
    """getsockopt(2) with a question in the buffer, which Python's own does not send."""
    buffer = ctypes.create_string_buffer(question, len(question))
    length = ctypes.c_uint(len(question))
    if _libc.getsockopt(asking.fileno(), level, option, buffer, ctypes.byref(length)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return buffer.raw[: length.value]
