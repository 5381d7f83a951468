"""Network namespaces by system call: make, pin, enter, unpin.

setns and unshare move one thread only; every function here that moves comes back before it
returns, also when it fails, except ``enter_path``. ``os.setns`` exists from Python 3.12 on.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_MS_BIND, _MS_REC, _MS_SHARED, _MNT_DETACH = 0x1000, 0x4000, 0x100000, 2
_OWN = "/proc/thread-self/ns/net"
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def open_own() -> int:
    """A descriptor of the namespace that this thread is in."""
    return os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)


def open_path(path: Path | str) -> int:
    """A descriptor of a pinned namespace. Raises OSError."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def enter(descriptor: int) -> None:
    """Move this thread into the namespace. Raises OSError."""
    _check(_libc.setns(descriptor, _CLONE_NEWNET), "setns")


def enter_path(path: Path) -> None:
    """Move this thread into a pinned namespace, for good."""
    descriptor = open_path(path)
    try:
        enter(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def elsewhere() -> Iterator[None]:
    """Whatever namespaces are entered within, this thread is back where it was afterwards.

    Raises SystemExit where the kernel refuses that twice: whatever the run did next, a rollback
    for instance, would be done to a container.
    """
    home = open_own()
    try:
        yield
    finally:
        _return(home)
        os.close(home)


def _return(home: int) -> None:
    try:
        enter(home)
    except OSError:
        # Short of memory, perhaps; there is nothing else that it could lack.
        try:
            enter(home)
        except OSError as error:
            message = f"error: cannot return to the host's network namespace: {error.strerror}"
            raise SystemExit(f"{message}\n  hint: the run stopped half way; run it again") from None


def leave_for_new() -> None:
    """Move this thread into a namespace that did not exist before."""
    _check(_libc.unshare(_CLONE_NEWNET), "unshare")


def pin_own(path: Path) -> None:
    """Give the namespace that this thread is in a name: a bind mount, as ``ip netns add`` does.

    Raises FileExistsError where the name leads to a namespace already.
    """
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0))
    except FileExistsError:
        if is_pinned(path):
            raise
    _check(_libc.mount(_OWN.encode(), os.fsencode(path), b"none", _MS_BIND, None), f"mount {path}")


def unpin(path: Path) -> None:
    """Take the name away; the namespace goes with its last process, socket or descriptor."""
    while _libc.umount2(os.fsencode(path), _MNT_DETACH) == 0:
        pass
    path.unlink(missing_ok=True)


def is_pinned(path: Path) -> bool:
    """Whether a namespace, and not a mere file, stands there."""
    try:
        return path.stat().st_dev != path.parent.stat().st_dev
    except FileNotFoundError:
        return False


def make_pinned_folder(folder: Path) -> None:
    """The folder of pinned namespaces, mounted so that pins reach other mount namespaces (ip-netns(8))."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)  # whatever the umask is: others list names there, too
    target = os.fsencode(folder)
    if _libc.mount(b"", target, b"none", _MS_SHARED | _MS_REC, None) != 0:
        # Not a mount point yet: make it one, then share it.
        _check(_libc.mount(target, target, b"none", _MS_BIND | _MS_REC, None), f"mount {folder}")
        _check(_libc.mount(b"", target, b"none", _MS_SHARED | _MS_REC, None), f"share {folder}")
