"""One container's resolver: what came at its sockets is answered from its view, or asked of its servers."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from reconciler.agent.dns import message
from reconciler.agent.dns.answer import answer
from reconciler.agent.dns.forward import Forwarder, Upstream
from reconciler.agent.dns.stream import Connection, Streams
from reconciler.agent.loop import READ, Loop

if TYPE_CHECKING:
    from reconciler.agent.dns.inside import Opened
    from reconciler.agent.dns.views import Views
    from reconciler.agent.dns.zones import Link, View

_IN_ONE_TURN, _UNKNOWN_IN_ONE_TURN = 64, 8
"""So many datagrams are answered before others have their turn; of those that need thought, fewer."""

_LARGEST_REQUEST = 4096


class Services:
    """What all listeners of an agent share."""

    def __init__(self, loop: Loop, views: Views) -> None:
        self.loop = loop
        self.views = views
        self.forwarder = Forwarder(loop)
        self.streams = Streams(loop)


class Listener:
    """Answers at the sockets ``opened``, for a container on ``networks``; closing it lets its namespace go."""

    def __init__(
        self,
        services: Services,
        opened: Opened,
        networks: Sequence[str],
        links: Sequence[Link],
        upstream: Sequence[Upstream],
    ) -> None:
        self.opened = opened
        self._services = services
        self._view: View | None = None
        self.serve(networks, links, upstream)
        services.loop.watch(opened.datagrams, READ, self._on_datagrams)
        services.loop.watch(opened.connections, READ, self._on_connection)

    def serve(self, networks: Sequence[str], links: Sequence[Link], upstream: Sequence[Upstream]) -> None:
        """From now on answer with this; the sockets stay."""
        self._networks, self._links, self._upstream = tuple(networks), tuple(links), tuple(upstream)
        self._view = None

    def renew(self) -> None:
        """The names of some network changed."""
        self._view = None

    def close(self) -> None:
        """Close all that is open in the namespace."""
        self._services.forwarder.forget(self.opened.datagrams)
        self._services.streams.forget(self.opened.connections)
        self._services.loop.forget(self.opened.datagrams)
        self._services.loop.forget(self.opened.connections)
        self.opened.close()

    def _current(self) -> View:
        if self._view is None:
            self._view = self._services.views.view(self._networks, self._links)
        return self._view

    def _on_datagrams(self) -> None:
        known = self._current().cache
        receive, send = self.opened.datagrams.recvfrom, self.opened.datagrams.sendto
        thoughts = _UNKNOWN_IN_ONE_TURN
        for _ in range(_IN_ONE_TURN):
            try:
                data, peer = receive(_LARGEST_REQUEST)
            except OSError:
                return
            variants = known.get(data[2:])
            if variants is None:
                self._think(data, peer)
                thoughts -= 1
                if not thoughts:
                    return
                continue
            if len(variants) > 1:
                variants.append(variants.pop(0))
            with suppress(OSError):  # the container's own rules forbid it, or it does not read
                send(data[:2] + variants[0], peer)

    def _think(self, data: bytes, peer: tuple[str, int]) -> None:
        view = self._current()
        reply = answer(data, view, forwards=bool(self._upstream))
        if reply is None:
            self._services.forwarder.ask(
                self.opened.datagrams,
                self._upstream,
                data,
                lambda found: self._send(found, peer),
                client=peer,
                stream=False,
            )
            return
        if reply.lasting:
            self._services.views.keep(view, data[2:], [variant[2:] for variant in reply.variants])
        if reply.variants:
            self._send(reply.variants[0], peer)

    def _send(self, data: bytes, peer: tuple[str, int]) -> None:
        with suppress(OSError):  # as above, or we are closed
            self.opened.datagrams.sendto(data, peer)

    def _on_connection(self) -> None:
        self._services.streams.accept(self.opened.connections, self._on_stream)

    def _on_stream(self, data: bytes, connection: Connection) -> None:
        reply = answer(data, self._current(), forwards=bool(self._upstream), largest=message.LARGEST_STREAM)
        if reply is not None:
            connection.answer(secrets.choice(reply.variants) if reply.variants else b"")
            return
        self._services.forwarder.ask(
            self.opened.datagrams, self._upstream, data, connection.answer, client=connection, stream=True
        )
