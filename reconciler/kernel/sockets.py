"""The sockets and descriptors of the namespaces that a run works in, kept open as long as they are of use."""

from __future__ import annotations

import os
from collections import OrderedDict

from reconciler.kernel import namespaces
from reconciler.kernel.host import Host
from reconciler.kernel.netlink import RouteSocket

_KEPT = 32


class NamespaceSockets:
    """A netlink socket and a descriptor for each namespace in use, ``""`` being the host's own.

    An open one keeps its namespace alive, so the oldest are closed, and all at the end.
    """

    __slots__ = ("_host", "_open", "home")

    def __init__(self, host: Host) -> None:
        self._host = host
        self._open: OrderedDict[str, tuple[RouteSocket, int]] = OrderedDict()
        self.home = RouteSocket()
        self.home.enlarge()

    def socket(self, namespace: str) -> RouteSocket:
        """The socket of a namespace. Raises OSError where there is none."""
        return self._get(namespace)[0] if namespace else self.home

    def descriptor(self, namespace: str) -> int:
        """The descriptor of a sandbox. Raises OSError where there is none."""
        return self._get(namespace)[1]

    def adopt(self, namespace: str) -> RouteSocket:
        """Keep the namespace that this thread is in under that name, and give its socket."""
        self.forget(namespace)
        opened = (RouteSocket(), namespaces.open_own())
        self._open[namespace] = opened
        while len(self._open) > _KEPT:
            self.forget(next(iter(self._open)))
        return opened[0]

    def forget(self, namespace: str) -> None:
        """Close what is open of it."""
        opened = self._open.pop(namespace, None)
        if opened:
            opened[0].close()
            os.close(opened[1])

    def close(self) -> None:
        """Close all."""
        for namespace in list(self._open):
            self.forget(namespace)
        self.home.close()

    def _get(self, namespace: str) -> tuple[RouteSocket, int]:
        if namespace not in self._open:
            with namespaces.elsewhere():
                namespaces.enter_path(self._host.namespace_path(namespace))
                self.adopt(namespace)
        return self._open[namespace]
