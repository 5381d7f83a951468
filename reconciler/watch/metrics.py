"""Prometheus metrics, served from the watcher's own loop to a Unix socket or to 127.0.0.1."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from reconciler.agent.loop import READ, WRITE, Loop
from reconciler.errors import NetapplyError
from reconciler.plan.plan import action_of
from reconciler.watch import metrics_place
from reconciler.watch.git_follower import Follower
from reconciler.watch.keeper import Keeper
from reconciler.watch.records import Round
from reconciler.watch.report import stacks

_LONGEST_REQUEST = 8192
_MOST_CLIENTS = 32
_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """What a monitoring system asks for."""

    def __init__(self) -> None:
        self._follower: Follower | None = None
        self.registry = registry = CollectorRegistry()
        self._rounds = Counter("netapply_reconciles", "Reconciles by result", ["result"], registry=registry)
        self._seconds = Histogram(
            "netapply_reconcile_seconds", "Duration of reconciles", buckets=_BUCKETS, registry=registry
        )
        self._changes = Counter("netapply_changes", "Changes made on the host", ["action"], registry=registry)
        self._healed = Counter("netapply_healed", "Changes that put back what others had changed", registry=registry)
        self._fights = Counter("netapply_fights", "Objects that others undid again and again", registry=registry)
        self._stacks = Gauge("netapply_stacks", "Watched stacks by state", ["state"], registry=registry)
        self._broken = Gauge("netapply_broken_manifests", "Manifests that cannot be used", registry=registry)
        self._held = Gauge("netapply_held_stacks", "Stacks kept although their manifests are gone", registry=registry)
        self._unreadable = Gauge(
            "netapply_unreadable_directories", "Watched directories that cannot be read", registry=registry
        )

    def count(self, done: Round) -> None:
        """One reconcile."""
        result = "error" if done.problems else "changed" if done.changes else "unchanged"
        self._rounds.labels(result).inc()
        self._seconds.observe(done.seconds)
        for change in done.changes:
            self._changes.labels(action_of(change)).inc()
        self._healed.inc(done.healed)
        self._fights.inc(len(done.fights))

    def follow(self, follower: Follower) -> None:
        """Say which commit is watched, too."""
        self._follower = follower
        self._commit = Gauge(
            "netapply_git_commit", "1 for the commit that is watched", ["commit"], registry=self.registry
        )
        self._updated = Gauge(
            "netapply_git_updated_seconds", "When git was last asked with success", registry=self.registry
        )
        self._unreachable = Gauge("netapply_git_failing", "Whether git fails now", registry=self.registry)

    def serve(self, loop: Loop, place: str, keeper: Keeper) -> MetricsServer:
        """Answer requests at ``place``: ``unix:PATH`` or ``127.0.0.1:PORT``. Raises NetapplyError."""
        return MetricsServer(loop, place, self, keeper)

    def text(self, keeper: Keeper) -> bytes:
        """All of it, in Prometheus' text format."""
        if self._follower:
            self._commit.clear()
            self._commit.labels(self._follower.commit or "none").set(1)
            self._updated.set(self._follower.updated)
            self._unreachable.set(bool(self._follower.problem))
        states = [each["state"] for each in stacks(keeper)]
        in_sync = states.count("in sync")
        self._stacks.labels("in sync").set(in_sync)
        self._stacks.labels("out of sync").set(len(states) - in_sync)
        self._broken.set(len(keeper.manifests.problems()))
        self._held.set(len(keeper.held.keys() - keeper.manifests.stacks().keys()))
        self._unreadable.set(sum(1 for each in keeper.manifests.directories.values() if each.fault))
        return generate_latest(self.registry)


class MetricsServer:
    """Answers every HTTP request with the metrics. ``place``: ``unix:PATH`` or ``127.0.0.1:PORT``."""

    def __init__(self, loop: Loop, place: str, metrics: Metrics, keeper: Keeper) -> None:
        self._loop = loop
        self._metrics = metrics
        self._keeper = keeper
        self._path = metrics_place.socket_path(place)
        self._clients: dict[socket.socket, bytes] = {}
        self._listener = _unix_listener(self._path) if self._path else _tcp_listener(place)
        self._own = _identity(self._path) if self._path else None
        self._listener.settimeout(0)
        loop.watch(self._listener, READ, self._accept)

    def close(self) -> None:
        """Stop serving."""
        for client in list(self._clients):
            self._drop(client)
        self._loop.forget(self._listener)
        self._listener.close()
        # Another's may have come to stand there.
        if self._path and _identity(self._path) == self._own:
            Path(self._path).unlink(missing_ok=True)

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            client, _ = self._listener.accept()
            client.settimeout(0)
            if len(self._clients) >= _MOST_CLIENTS:
                # One that never asks must not keep others away.
                self._drop(next(iter(self._clients)))
            self._clients[client] = b""
            self._loop.watch(client, READ, lambda: self._receive(client))

    def _receive(self, client: socket.socket) -> None:
        try:
            block = client.recv(4096)
        except OSError:
            block = b""
        request = self._clients[client] + block
        if not block or len(request) > _LONGEST_REQUEST:
            self._drop(client)
        elif b"\r\n\r\n" in request or b"\n\n" in request:
            self._clients[client] = self._answer(request)
            self._loop.watch(client, WRITE, lambda: self._send(client))
        else:
            self._clients[client] = request

    def _answer(self, request: bytes) -> bytes:
        if not request.startswith((b"GET ", b"HEAD ")):
            return b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        body = self._metrics.text(self._keeper)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {CONTENT_TYPE_LATEST}\r\nContent-Length: {len(body)}\r\n"
        return head.encode() + b"Connection: close\r\n\r\n" + (body if request.startswith(b"GET ") else b"")

    def _send(self, client: socket.socket) -> None:
        try:
            rest = self._clients[client]
            self._clients[client] = rest[client.send(rest) :]
        except BlockingIOError:
            return
        except OSError:
            self._clients[client] = b""
        if not self._clients[client]:
            self._drop(client)

    def _drop(self, client: socket.socket) -> None:
        del self._clients[client]
        self._loop.forget(client)
        client.close()


def _unix_listener(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    try:
        if Path(path).is_socket():
            if _somebody_answers(path):
                raise FileExistsError(errno.EADDRINUSE, "somebody else serves there")
            Path(path).unlink(missing_ok=True)
        previous = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(previous)
        listener.listen(8)
    except OSError as error:
        listener.close()
        raise NetapplyError.of(f"--metrics unix:{path}: {error.strerror or error}") from None
    return listener


def _somebody_answers(path: str) -> bool:
    """Whether a process holds that socket; what a dead one left is nobody's."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(0)
        try:
            asking.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:
            return True  # so many ask that it has no room
    return True


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = Path(path).lstat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino)


def _tcp_listener(place: str) -> socket.socket:
    address, port = metrics_place.tcp_place(place)
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(8)
    except OSError as error:
        listener.close()
        raise NetapplyError.of(f"--metrics {place}: {error.strerror or error}") from None
    return listener
