"""Network namespaces that somebody else made, looked at where they are said to be."""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from reconciler.errors import NetapplyError
from reconciler.kernel import namespaces
from reconciler.kernel.attachment_records import Record, records
from reconciler.kernel.host import Host, cookie
from reconciler.kernel.netlink import RouteSocket, links, routes
from reconciler.naming import LINK_GROUP, ROUTE_PROTOCOL
from reconciler.netlink import constants as c
from reconciler.observation import ForeignNamespace

_NS_GET_NSTYPE = 0xB703  # linux/nsfs.h
_CLONE_NEWNET = 0x40000000
_OF_PROCESS = re.compile(r"/proc/([0-9]+)/ns/net")
_NOT_THEIRS = frozenset({ROUTE_PROTOCOL, 2})  # RTPROT_KERNEL


def look(host: Host, paths: Iterable[str]) -> tuple[ForeignNamespace, ...]:
    """How the namespaces at these paths are. Moves this thread: call it within ``namespaces.elsewhere``."""
    known = {record.path: record for record in records(host).values()} if paths else {}
    own = namespaces.open_own()
    try:
        return tuple(_looked_at(path, known.get(path), own) for path in sorted(set(paths)))
    finally:
        os.close(own)


def is_current(host: Host, container: str, record: Record) -> bool:
    """Whether the namespace under the container's name is still the one at the record's path."""
    try:
        own, theirs = os.stat(host.namespace_path(container)), os.stat(record.path)  # noqa: PTH116  # a poll's hot path
    except OSError:
        return False
    same = (own.st_dev, own.st_ino) == (theirs.st_dev, theirs.st_ino)
    return same and (not record.started or record.started == process_start(record.path))


def lost(host: Host, known: Mapping[str, Record]) -> Iterator[tuple[str, str]]:
    """Container and path of those whose name is gone, but whose namespace still stands where it was found.

    Moves this thread, as ``look``.
    """
    own = namespaces.open_own()
    try:
        for container, record in known.items():
            if (
                not namespaces.is_pinned(host.namespace_path(container))
                and cookie_at(record.path, own) == record.cookie
            ):
                yield container, record.path
    finally:
        os.close(own)


def identity(path: str) -> str:
    """What changes when another namespace stands there; empty where none does."""
    try:
        found, nsfs = os.stat(path), os.stat("/proc/thread-self/ns/net")  # noqa: PTH116  # a poll's hot path
    except OSError:
        return ""
    if found.st_dev != nsfs.st_dev or not stat.S_ISREG(found.st_mode):
        return ""
    return ":".join(filter(None, (str(found.st_ino), process_start(path))))


def process_start(path: str) -> str:
    """When the process of such a path started, which no other process of its number shares; empty for other paths."""
    match = _OF_PROCESS.fullmatch(path)
    if not match:
        return ""
    try:
        return Path(f"/proc/{match[1]}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def open_foreign(path: str, own: int) -> int:
    """A descriptor of the network namespace there, which is not the host's. Raises NetapplyError."""
    try:
        # A pipe or a device of that name must not be opened at all.
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  # as above
            raise NetapplyError.of(f"{path} is not a network namespace")
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        process = _OF_PROCESS.fullmatch(path)
        what = f"there is no process {process[1]}" if process else f"there is no network namespace at {path}"
        raise NetapplyError.of(what) from None
    except OSError as error:
        raise NetapplyError.of(f"{path}: {error.strerror}") from None
    try:
        is_network = fcntl.ioctl(descriptor, _NS_GET_NSTYPE) == _CLONE_NEWNET
    except OSError:
        is_network = False
    if not is_network:
        os.close(descriptor)
        raise NetapplyError.of(f"{path} is not a network namespace")
    if os.path.sameopenfile(descriptor, own):
        os.close(descriptor)
        raise NetapplyError.of(f"{path} is the host's own network namespace", hint="write network_mode: host")
    return descriptor


def cookie_at(path: str, own: int) -> str:
    """The kernel's cookie of the namespace there, empty where none can be entered. Moves this thread, back to ``own``."""
    try:
        descriptor = open_foreign(path, own)
    except NetapplyError:
        return ""
    try:
        namespaces.enter(descriptor)
        return str(cookie())
    except OSError:
        return ""
    finally:
        namespaces.enter(own)
        os.close(descriptor)


def _looked_at(path: str, record: Record | None, own: int) -> ForeignNamespace:
    try:
        descriptor = open_foreign(path, own)
    except NetapplyError as error:
        return ForeignNamespace(path, identity(path), error.problems[0].message)
    try:
        if record and record.started and record.started != process_start(path):
            fault = f"{path} is another process than the one that was attached"
            return ForeignNamespace(path, identity(path), fault)
        namespaces.enter(descriptor)
        interfaces, found = _theirs()
        return ForeignNamespace(path, identity(path), "", interfaces, found)
    except OSError as error:
        return ForeignNamespace(path, identity(path), f"{path} cannot be entered: {error.strerror}")
    finally:
        namespaces.enter(own)
        os.close(descriptor)


def _theirs() -> tuple[tuple[str, ...], tuple[tuple[str, int], ...]]:
    inside = RouteSocket()
    try:
        interfaces = tuple(sorted(link.name for link in links(inside) if link.group != LINK_GROUP))
        main = routes(inside, 0, c.RT_TABLE_MAIN)
    finally:
        inside.close()
    # What the kernel adds with an address belongs to that address, and gives way to nobody.
    return interfaces, tuple(sorted({(r.destination, r.metric) for r in main if r.protocol not in _NOT_THEIRS}))
