"""Takes the test process away from the machine: its own mounts, links and host name.

Nothing that a test does afterwards can reach the machine's network: the process stands in a
network namespace of its own without any way out, and /run (with /run/netns, /run/netapply,
/run/xtables.lock) and /etc/netns are temporary file systems that nobody else sees.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWNET = 0x40000000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def isolate() -> None:
    """Give the calling thread, and what it starts from now on, mounts and a network of its own.

    Call once, before any Lab. Raises OSError without CAP_SYS_ADMIN.
    """
    _checked(_libc.unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS), "unshare")
    # Without this, what is mounted here would appear on the machine too (mounts are shared there).
    _mount("none", "/", "", MS_REC | MS_PRIVATE)
    _mount("tmpfs", "/run", "tmpfs", 0, "mode=755")
    _overlay_etc()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=10)


@contextmanager
def private_folders() -> Iterator[None]:
    """An empty /run and an empty /etc/netns until the end of the block; everything pinned there goes."""
    _mount("tmpfs", "/run", "tmpfs", 0, "mode=755")
    _mount("tmpfs", "/etc/netns", "tmpfs", 0, "mode=755")
    Path("/run/lock").mkdir()
    Path("/run/netns").mkdir()
    try:
        yield
    finally:
        # Lazily, because a pinned namespace is a mount below; it goes with its parent.
        for folder in ("/etc/netns", "/run"):
            _checked(_libc.umount2(folder.encode(), MNT_DETACH), f"umount {folder}")


def inside(namespace: Path | None, function: Callable[[], Result]) -> Result:
    """What ``function`` returns, called by a thread that stands in that network namespace.

    A socket made there stays there, whichever thread uses it later. None: where the tests are.
    """
    return _visitor().submit(_visit, namespace, function).result()


_visitors: list[ThreadPoolExecutor] = []


def _visitor() -> ThreadPoolExecutor:
    """One thread for all visits: setns changes a thread, and only this one may ever be elsewhere."""
    if not _visitors:
        _visitors.append(ThreadPoolExecutor(max_workers=1, thread_name_prefix="visitor"))
    return _visitors[0]


def _visit(namespace: Path | None, function: Callable[[], Result]) -> Result:
    if namespace is None:
        return function()
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _checked(_libc.setns(there, CLONE_NEWNET), f"setns {namespace}")
        finally:
            os.close(there)
        try:
            return function()
        finally:
            _checked(_libc.setns(home, CLONE_NEWNET), "setns back")
    finally:
        os.close(home)


def _overlay_etc() -> None:
    """Make /etc/netns a folder to mount on. Never the machine's own: who removes that one would uncover it."""
    upper, work = Path("/run/etc-upper"), Path("/run/etc-work")
    upper.mkdir(mode=0o755)
    work.mkdir(mode=0o755)
    _mount("overlay", "/etc", "overlay", 0, f"lowerdir=/etc,upperdir={upper},workdir={work}")
    Path("/etc/netns").mkdir(exist_ok=True)


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    result = _libc.mount(
        source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode() or None
    )
    _checked(result, f"mount {target}")


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
