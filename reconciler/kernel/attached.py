"""Network namespaces that somebody else made and a container is wired in: a second name for each, and a record.

The name is a bind mount below /run/netns, as for a sandbox; ``lo`` in it is not ours to label, so the record in the
run folder says that the name is ours, and of which namespace. netapply never deletes one.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import NetapplyError
from reconciler.kernel import files, name_redirect, namespaces, sysctl
from reconciler.kernel.attachment_records import Record, path_of, read, records
from reconciler.kernel.foreign_namespaces import cookie_at, open_foreign, process_start
from reconciler.kernel.host import PINNED, Host, cookie
from reconciler.kernel.netlink import RouteSocket
from reconciler.naming import parse_label
from reconciler.netlink import constants as c
from reconciler.netlink.encode import link_header

if TYPE_CHECKING:
    from reconciler.kernel.sockets import NamespaceSockets

_LOOPBACK = 1


def attach(host: Host, sockets: NamespaceSockets, container: str, path: str, origin: str) -> None:
    """Give the namespace at ``path`` the container's name too, write it down, and set its ``lo`` up.

    Raises NetapplyError where there is none that can be attached, or a stranger has that name.
    """
    record_path = path_of(host, container)
    before = read(record_path)
    with namespaces.elsewhere():
        own = namespaces.open_own()
        try:
            descriptor = open_foreign(path, own)
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
    record_path, pin = path_of(host, container), host.namespace_path(container)
    record = read(record_path)
    if sockets:
        sockets.forget(container)
    with namespaces.elsewhere():
        own = namespaces.open_own()
        try:
            # A lost record says nothing; that the name is ours was seen by the links in it.
            if record.cookie and namespaces.is_pinned(pin) and cookie_at(str(pin), own) != record.cookie:
                raise NetapplyError.of(f"{pin} is not ours any more", hint=f"ip netns delete {pin.name}")
            wanted = record.cookie or cookie_at(str(pin), own)
            places = (path for path in (str(pin), record.path) if wanted and wanted == cookie_at(path, own))
            place = next(places, None)
        finally:
            os.close(own)
        if place is not None:
            namespaces.enter_path(Path(place))
            _clear_up(host, container, record)
    _forget_settings(host, container)
    namespaces.unpin(pin)
    record_path.unlink(missing_ok=True)


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
