"""Network namespaces that somebody else made and a container is wired in: a second name for each, and a record.

The name is a bind mount below /run/netns, as for a sandbox; ``lo`` in it is not ours to label, so the record in the
run folder says that the name is ours, and of which namespace. netapply never deletes one.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import NetapplyError
from reconciler.kernel import files, name_redirect, namespaces, sysctl
from reconciler.kernel.host import PINNED, Host, cookie
from reconciler.kernel.netlink import RouteSocket, links, routes
from reconciler.naming import LINK_GROUP, ROUTE_PROTOCOL, parse_label
from reconciler.netlink import constants as c
from reconciler.netlink.encode import link_header
from reconciler.observation import ForeignNamespace

if TYPE_CHECKING:
    from reconciler.kernel.sockets import NamespaceSockets

DIRECTORY = "attached"
_NS_GET_NSTYPE = 0xB703  # linux/nsfs.h
_CLONE_NEWNET = 0x40000000
_OF_PROCESS = re.compile(r"/proc/([0-9]+)/ns/net")
_LOOPBACK = 1


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of an attached namespace: where it was found, its cookie, and when its process started, if one's.

    ``raised``: ``lo`` was down before us.
    """

    path: str = ""
    cookie: str = ""
    started: str = ""
    origin: str = ""
    raised: bool = False


def records(host: Host) -> dict[str, Record]:
    """All records, by ``stack/container``."""
    try:
        names = sorted(os.listdir(host.run / DIRECTORY))  # noqa: PTH208  # only the names are wanted
    except FileNotFoundError:
        return {}
    parts = ((name, name.partition(".")) for name in names)
    return {
        f"{stack}/{rest}": read(host.run / DIRECTORY / name) for name, (stack, dot, rest) in parts if stack and rest
    }


def read(path: Path) -> Record:
    """One record; an empty one where it is lost or spoilt."""
    try:
        found = json.loads(path.read_bytes())
        return Record(**found) if isinstance(found, dict) else Record()
    except (OSError, ValueError, TypeError):
        return Record()


def is_here(host_id: str, container: str) -> bool:
    """Whether this thread is in the namespace that is attached to the container."""
    record = read(_record_path(Host("", host_id), container))
    return bool(record.cookie) and record.cookie == str(cookie())


def is_current(host: Host, container: str, record: Record) -> bool:
    """Whether the namespace under the container's name is still the one at the record's path."""
    try:
        own, theirs = os.stat(host.namespace_path(container)), os.stat(record.path)  # noqa: PTH116  # a poll's hot path
    except OSError:
        return False
    same = (own.st_dev, own.st_ino) == (theirs.st_dev, theirs.st_ino)
    return same and (not record.started or record.started == process_start(record.path))


def look(host: Host, paths: Iterable[str]) -> tuple[ForeignNamespace, ...]:
    """How the namespaces at these paths are. Moves this thread: call it within ``namespaces.elsewhere``."""
    known = {record.path: record for record in records(host).values()} if paths else {}
    own = namespaces.open_own()
    try:
        return tuple(_looked_at(path, known.get(path), own) for path in sorted(set(paths)))
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


def attach(host: Host, sockets: NamespaceSockets, container: str, path: str, origin: str) -> None:
    """Give the namespace at ``path`` the container's name too, write it down, and set its ``lo`` up.

    Raises NetapplyError where there is none that can be attached, or a stranger has that name.
    """
    record_path = _record_path(host, container)
    before = read(record_path)
    with namespaces.elsewhere():
        own = namespaces.open_own()
        try:
            descriptor = _open(path, own)
        finally:
            os.close(own)
        try:
            namespaces.enter(descriptor)
        finally:
            os.close(descriptor)
        here = str(cookie())
        _check_free(host, container, path, here)
        raised = _loopback_is_down() or (before.cookie == here and before.raised)
        record_path.parent.mkdir(mode=0o700, exist_ok=True)
        # Before the name, which without a record would be a stranger's.
        record = Record(path, here, process_start(path), origin, raised)
        files.write_private(record_path, json.dumps(asdict(record)))
        pin = host.namespace_path(container)
        if not PINNED.is_dir():
            namespaces.make_pinned_folder(PINNED)
        if not namespaces.is_pinned(pin):
            sockets.forget(container)
            namespaces.pin_own(pin)
        _set_loopback(up=True)


def detach(host: Host, sockets: NamespaceSockets | None, container: str) -> None:
    """Take name and record away; the namespace stays for whoever else holds it, with ``lo`` and settings as before us.

    Raises NetapplyError where a stranger bears the name by now.
    """
    record_path, pin = _record_path(host, container), host.namespace_path(container)
    record = read(record_path)
    if sockets:
        sockets.forget(container)
    with namespaces.elsewhere():
        own = namespaces.open_own()
        try:
            # A lost record says nothing; that the name is ours was seen by the links in it.
            if record.cookie and namespaces.is_pinned(pin) and _cookie_at(str(pin), own) != record.cookie:
                raise NetapplyError.of(f"{pin} is not ours any more", hint=f"ip netns delete {pin.name}")
            wanted = record.cookie or _cookie_at(str(pin), own)
            places = (path for path in (str(pin), record.path) if wanted and wanted == _cookie_at(path, own))
            place = next(places, None)
        finally:
            os.close(own)
        if place is not None:
            namespaces.enter_path(Path(place))
            _clear_up(host, container, record)
    _forget_settings(host, container)
    namespaces.unpin(pin)
    record_path.unlink(missing_ok=True)


def _clear_up(host: Host, container: str, record: Record) -> None:
    """What is not an object of a plan, or was not seen because the name was gone."""
    for name, values in sysctl.load_record(host.run).get(container, {}).items():
        with suppress(NetapplyError):  # one setting less must not keep the others
            sysctl.restore(name, values)
    # The table of an agent that was killed; a kernel without nf_tables has none.
    with suppress(OSError):
        waiting = name_redirect.clear()
        if waiting:
            waiting.close()
    if record.raised:
        _set_loopback(up=False)


def _forget_settings(host: Host, container: str) -> None:
    settings = sysctl.load_record(host.run)
    if settings.pop(container, None) is not None:
        sysctl.save_record(host.run, settings)


def _looked_at(path: str, record: Record | None, own: int) -> ForeignNamespace:
    try:
        descriptor = _open(path, own)
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


_NOT_THEIRS = frozenset({ROUTE_PROTOCOL, 2})  # RTPROT_KERNEL


def _open(path: str, own: int) -> int:
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


def _check_free(host: Host, container: str, path: str, here: str) -> None:
    """Raise NetapplyError where the namespace is wired already, or the name somebody else's."""
    inside = RouteSocket()
    try:
        label = parse_label(inside.link(_LOOPBACK).alias)
    finally:
        inside.close()
    if label:
        owner = f"{label.stack}/{label.name}"
        raise NetapplyError.of(f"{path} is the sandbox of {owner}", hint=f"write network_mode: container:{owner}")
    for other, record in records(host).items():
        if other != container and record.cookie == here:
            raise NetapplyError.of(f"{path} is attached to {other} already", hint=f"network_mode: container:{other}")
    pin = host.namespace_path(container)
    if namespaces.is_pinned(pin) and not pin.samefile("/proc/thread-self/ns/net"):
        raise NetapplyError.of(f"{pin} is there already and is not ours", hint=f"ip netns delete {pin.name}")


def _loopback_is_down() -> bool:
    inside = RouteSocket()
    try:
        return not inside.link(_LOOPBACK).up
    finally:
        inside.close()


def _set_loopback(*, up: bool) -> None:
    inside = RouteSocket()
    try:
        refused = inside.request([(c.RTM_NEWLINK, 0, link_header(c.IFF_UP if up else 0, c.IFF_UP, index=_LOOPBACK))])
    finally:
        inside.close()
    if refused:
        raise OSError(refused[0].errno, refused[0].text or "lo was refused")


def _record_path(host: Host, container: str) -> Path:
    return host.run / DIRECTORY / container.replace("/", ".", 1)


def lost(host: Host, known: Mapping[str, Record]) -> Iterator[tuple[str, str]]:
    """Container and path of those whose name is gone, but whose namespace still stands where it was found.

    Moves this thread, as ``look``.
    """
    own = namespaces.open_own()
    try:
        for container, record in known.items():
            if (
                not namespaces.is_pinned(host.namespace_path(container))
                and _cookie_at(record.path, own) == record.cookie
            ):
                yield container, record.path
    finally:
        os.close(own)


def _cookie_at(path: str, own: int) -> str:
    try:
        descriptor = _open(path, own)
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
