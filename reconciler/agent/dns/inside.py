"""The resolver's sockets in a sandbox: this thread goes in, opens them and comes back."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from typing import NamedTuple

from reconciler.kernel import name_redirect, namespaces
from reconciler.kernel.netlink import RouteSocket
from reconciler.kernel.nfnetlink import NetfilterSocket
from reconciler.naming import parse_label

_SIOCGSKNS = 0x894C  # linux/sockios.h
_BACKLOG = 16
_LOOPBACK = 1


class Opened(NamedTuple):
    """What stands in a sandbox: its sockets, their port, its inode, the generation of its rules."""

    datagrams: socket.socket
    connections: socket.socket
    port: int
    inode: int
    generation: int

    def close(self) -> None:
        """Close the sockets, which keep the namespace alive."""
        self.datagrams.close()
        self.connections.close()


def open_sockets(path: str, container: str, host_id: str) -> Opened:
    """Open the sockets in the namespace pinned there, which must bear our label, and make the table stand.

    Raises OSError.
    """
    descriptor = namespaces.open_path(path)
    try:
        with namespaces.elsewhere():
            namespaces.enter(descriptor)
            _check_label(path, container, host_id)
            return _open_here(os.fstat(descriptor).st_ino)
    finally:
        os.close(descriptor)


def inode_of(path: str) -> int | None:
    """The inode of the namespace pinned there; None where there is none."""
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - a path of a thousand that are looked at together
    except OSError:
        return None


def stand_table(opened: Opened) -> int:
    """Make the table stand in the sandbox as it should; the generation of the rules. Raises OSError."""
    with namespaces.elsewhere():
        _enter_that_of(opened.datagrams)
        return name_redirect.stand(opened.port)


def clear_table(opened: Opened) -> NetfilterSocket | None:
    """Remove the table; a socket to close, together with others, before the sandbox can go. Raises OSError."""
    with namespaces.elsewhere():
        _enter_that_of(opened.datagrams)
        return name_redirect.clear()


def make_socket(neighbour: socket.socket | None, family: int, kind: int) -> socket.socket:
    """A socket in the namespace of another one; None: in the host's, where this process is. Raises OSError."""
    if neighbour is None:
        return socket.socket(family, kind)
    with namespaces.elsewhere():
        _enter_that_of(neighbour)
        return socket.socket(family, kind)


def _enter_that_of(neighbour: socket.socket) -> None:
    # The sandbox may have lost its name meanwhile; the socket still knows it.
    descriptor = fcntl.ioctl(neighbour, _SIOCGSKNS)
    try:
        namespaces.enter(descriptor)
    finally:
        os.close(descriptor)


def _check_label(path: str, container: str, host_id: str) -> None:
    inside = RouteSocket()
    try:
        label = parse_label(inside.link(_LOOPBACK).alias)
    finally:
        inside.close()
    is_ours = label is not None and label.host_id == host_id and f"{label.stack}/{label.name}" == container
    if not is_ours and not _is_attached(container, host_id):
        raise OSError(errno.ESTALE, "what is pinned there is not the sandbox of this container", path)


def _is_attached(container: str, host_id: str) -> bool:
    """Whether this thread is in the namespace of somebody else's that the container is attached to."""
    from reconciler.kernel import attachment_records  # noqa: PLC0415  # seldom needed, and the agent shall start fast

    return attachment_records.is_here(host_id, container)


def _open_here(inode: int) -> Opened:
    datagrams, connections, port = _bound_pair()
    try:
        connections.listen(_BACKLOG)
        # The table last: what asks meanwhile is refused rather than led to nobody.
        return Opened(datagrams, connections, port, inode, name_redirect.stand(port))
    except BaseException:
        datagrams.close()
        connections.close()
        raise


def _bound_pair() -> tuple[socket.socket, socket.socket, int]:
    """A UDP and a TCP socket on the first port that the container itself leaves free."""
    refused = OSError(errno.EADDRINUSE, "the container holds every port that the resolver could listen on")
    for port in name_redirect.PORTS:
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        connections = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            # For TCP only, so that what an agent before us left in TIME_WAIT is no obstacle.
            connections.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            for each in (datagrams, connections):
                each.bind((name_redirect.ADDRESS, port))
                each.settimeout(0)
        except OSError as error:
            datagrams.close()
            connections.close()
            if error.errno != errno.EADDRINUSE:
                raise
            refused = error
        else:
            return datagrams, connections, port
    raise refused
