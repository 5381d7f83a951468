"""The agent's concern ``names``: a resolver in every sandbox that the stacks' data name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, NamedTuple

from reconciler.agent.dns import inside
from reconciler.agent.dns.forward import Upstream
from reconciler.agent.dns.listener import Listener, Services
from reconciler.agent.dns.views import Views
from reconciler.agent.dns.zones import Link, Registration
from reconciler.agent.loop import Loop
from reconciler.kernel.nfnetlink import NetfilterSocket


class Entry(NamedTuple):
    """A container's part of the data."""

    namespace: str
    registrations: tuple[Registration, ...]
    links: tuple[Link, ...]
    upstream: tuple[Upstream, ...]

    @property
    def networks(self) -> tuple[str, ...]:
        """Those that it asks on."""
        return tuple(registration.network for registration in self.registrations)


class Resolvers:
    """The resolvers of one host."""

    def __init__(self, loop: Loop, run_directory: str) -> None:
        self._host_id = os.path.basename(run_directory)  # noqa: PTH119 - pathlib costs the agent 5 ms
        self._entries: dict[str, dict[str, Entry]] = {}
        self._listeners: dict[str, Listener] = {}
        self._services = Services(loop, Views(self._registrations))

    def apply(self, stack_name: str, section: Any, doubted: frozenset[str]) -> list[dict[str, Any]]:
        """Serve exactly these containers of the stack; those that could not be, with ``container`` and ``message``.

        What stands already stays open; whether it stands as it should is looked at for ``doubted`` containers.
        Raises ValueError for a section of another form.
        """
        wanted = _entries(section)
        before = self._entries.pop(stack_name, {})
        if wanted:
            self._entries[stack_name] = wanted
        self._close(container for container in before if container not in wanted)
        if wanted != before:
            self._services.views.renew()
            for listener in self._listeners.values():
                listener.renew()
        failures = []
        for container, entry in wanted.items():
            try:
                self._serve(container, entry, changed=before.get(container) != entry, doubted=container in doubted)
            except OSError as error:
                failures.append({"container": container, "message": error.strerror or str(error)})
        return failures

    def status(self) -> dict[str, list[int]]:
        """By container: the inode of the namespace served, the port there, the generation of its rules."""
        return {
            container: [listener.opened.inode, listener.opened.port, listener.opened.generation]
            for container, listener in sorted(self._listeners.items())
        }

    def close(self) -> None:
        """Close all; the tables stay, as after a kill, for the next agent."""
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()

    def _serve(self, container: str, entry: Entry, *, changed: bool, doubted: bool) -> None:
        listener = self._listeners.get(container)
        if listener is not None and (changed or doubted) and inside.inode_of(entry.namespace) != listener.opened.inode:
            # The sandbox was made anew; as long as our sockets are open the old one lives.
            del self._listeners[container]
            listener.close()
            listener = None
        if listener is None:
            opened = inside.open_sockets(entry.namespace, container, self._host_id)
            services = self._services
            self._listeners[container] = Listener(services, opened, entry.networks, entry.links, entry.upstream)
            return
        if doubted:
            listener.opened = listener.opened._replace(generation=inside.stand_table(listener.opened))
        if changed:
            listener.serve(entry.networks, entry.links, entry.upstream)

    def _close(self, containers: Iterable[str]) -> None:
        closing: list[NetfilterSocket] = []
        for container in containers:
            listener = self._listeners.pop(container, None)
            if listener is not None:
                with suppress(OSError):  # a table that stays leads to nobody
                    cleared = inside.clear_table(listener.opened)
                    closing += [cleared] if cleared else []
                listener.close()
        for each in closing:
            each.close()

    def _registrations(self) -> Iterator[Registration]:
        for entries in self._entries.values():
            for entry in entries.values():
                yield from entry.registrations


def _entries(section: Any) -> dict[str, Entry]:
    try:
        return {str(container): _entry(data) for container, data in (section or {}).items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        message = f"not data of names: {error!r}"
        raise ValueError(message) from None


def _entry(data: dict[str, Any]) -> Entry:
    return Entry(
        str(data["namespace"]),
        tuple(
            Registration(str(n), tuple(map(str, names)), _addresses(found)) for n, names, found in data["registrations"]
        ),
        tuple((str(alias), _addresses(found)) for alias, found in data["links"]),
        tuple(Upstream(str(ip_address(address)), bool(from_host)) for address, from_host in data["upstream"]),
    )


def _addresses(items: Iterable[Any]) -> tuple[str, ...]:
    return tuple(str(ip_address(item)) for item in items)
