"""Tries with real packets whether one namespace reaches another, for ``reach --probe``.

Both ends are sockets of this process, made inside the two namespaces, so an answer is ours and nobody else's. Where
another program has the port already, that its connections are accepted says as much; of UDP it says nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import selectors
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import NetapplyError
from reconciler.kernel import namespaces

_IP_PKTINFO = 8
"""linux/in.h; the socket module of Python 3.11 lacks it."""
_RECEIVE_ERRORS = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
"""IP_RECVERR and IPV6_RECVERR, as above."""
_SENDER = {2: slice(20, 24), 3: slice(24, 40)}
"""By SO_EE_ORIGIN_ICMP and SO_EE_ORIGIN_ICMP6, where behind struct sock_extended_err its sender is (linux/errqueue.h)."""
_PATIENCE = 2.0
_AGAIN = 0.3
_UNKNOWN = "whether it arrived cannot be told from here"
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class Place(NamedTuple):
    """A namespace by its path; ``label`` is for people: ``container web``."""

    label: str
    path: Path


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is tried: from ``origin`` to ``address``; ``source`` empty: the kernel chooses.

    ``landings`` are namespaces and ports where it may arrive, translated or not. None at all: another machine answers,
    or nobody does, and what does not come back says nothing.
    """

    origin: Place
    protocol: str
    address: str
    port: int
    landings: tuple[tuple[Place, int], ...]
    source: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether it arrived and the answer came back; None where that cannot be told. ``how`` is for people."""

    arrives: bool | None
    how: str


def attempt(wanted: Attempt) -> Outcome:
    """Try it, for two seconds at most. Raises NetapplyError: the protocol cannot be tried, or no namespace is there."""
    if wanted.protocol not in _KINDS:
        raise NetapplyError.of(f"{wanted.protocol} cannot be tried", hint="--probe knows tcp and udp")
    with contextlib.ExitStack() as opened:
        listeners = []
        busy = False
        for place, port in wanted.landings:
            listener = _listener(place, port, wanted)
            busy = busy or listener is None
            if listener is not None:
                listeners.append(opened.enter_context(contextlib.closing(listener)))
        try:
            client = opened.enter_context(contextlib.closing(_client(wanted)))
        except OSError as error:
            return Outcome(arrives=False, how=(error.strerror or str(error)).lower())
        return _Exchange(client, listeners, busy=busy, outside=not wanted.landings).run(wanted)


def _inside(place: Place) -> contextlib.AbstractContextManager[None]:
    @contextlib.contextmanager
    def there() -> Iterator[None]:
        with namespaces.elsewhere():
            try:
                namespaces.enter_path(place.path)
            except OSError as error:
                why = f"{place.path}: {(error.strerror or str(error)).lower()}"
                message = f"the network namespace of {place.label} cannot be entered ({why})"
                raise NetapplyError.of(message, hint="netapply up makes one that is gone again") from None
            yield

    return there()


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _listener(place: Place, port: int, wanted: Attempt) -> socket.socket | None:
    """A socket that answers there; None: another program has the port."""
    family = _family(wanted.address)
    with _inside(place):
        try:
            listener = socket.socket(family, _KINDS[wanted.protocol])
        except OSError:
            # Without IPv6 nothing of it arrives either.
            return None
    try:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if wanted.protocol == "udp" and family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        elif wanted.protocol == "udp":
            listener.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        listener.bind(("", port))
        listener.settimeout(0)
        if wanted.protocol == "tcp":
            listener.listen(1)
    except OSError:
        listener.close()
        return None
    return listener


def _client(wanted: Attempt) -> socket.socket:
    with _inside(wanted.origin):
        client = socket.socket(_family(wanted.address), _KINDS[wanted.protocol])
    try:
        client.settimeout(0)
        if not wanted.landings:
            client.setsockopt(*_RECEIVE_ERRORS[client.family], 1)
        if wanted.source:
            client.bind((wanted.source, 0))
        with contextlib.suppress(BlockingIOError):
            client.connect((wanted.address, wanted.port))
    except OSError:
        client.close()
        raise
    return client


class _Exchange:
    """One question and its answer."""

    def __init__(self, client: socket.socket, listeners: Sequence[socket.socket], *, busy: bool, outside: bool) -> None:
        self._client, self._busy, self._outside = client, busy, outside
        self._word = secrets.token_bytes(16)
        self._selector = selectors.DefaultSelector()
        self._accepted: list[socket.socket] = []
        for listener in listeners:
            self._selector.register(listener, selectors.EVENT_READ)

    def run(self, wanted: Attempt) -> Outcome:
        try:
            return self._stream() if wanted.protocol == "tcp" else self._datagram()
        except OSError as error:
            return self._of_refusal(error, wanted.address)
        finally:
            self._selector.close()
            for each in self._accepted:
                each.close()

    def _of_refusal(self, error: OSError, asked: str) -> Outcome:
        how = (error.strerror or str(error)).lower()
        if self._outside:
            refuser = self._refuser()
            if error.errno == errno.ECONNREFUSED and refuser in {"", asked}:
                return Outcome(arrives=True, how=f"{how}, so it arrived")
            if error.errno == errno.ECONNREFUSED:
                return Outcome(arrives=False, how=f"{how} by {refuser}, on the way")
            return Outcome(arrives=None, how=f"{how}: {_UNKNOWN}")
        if self._busy and error.errno == errno.ECONNREFUSED:
            return Outcome(arrives=None, how=f"{how}: another program has the port there, at another address perhaps")
        return Outcome(arrives=False, how=how)

    def _refuser(self) -> str:
        """Who sent the ICMP message that ended it; empty where none did, but a reset of the connection."""
        try:
            _, ancillary, _, _ = self._client.recvmsg(1, 512, socket.MSG_ERRQUEUE)
        except OSError:
            return ""
        said = next((data for _, _, data in ancillary if data[4] in _SENDER), None)
        return str(ip_address(said[_SENDER[said[4]]])) if said else ""

    def _stream(self) -> Outcome:
        self._selector.register(self._client, selectors.EVENT_WRITE)
        deadline = time.monotonic() + _PATIENCE
        connected = False
        while (left := deadline - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                if key.fileobj is not self._client:
                    self._accept(key.fileobj)
                elif not connected:
                    self._raise_refusal()
                    if self._outside:
                        return Outcome(arrives=True, how="a connection was made")
                    connected = True
                    self._selector.modify(self._client, selectors.EVENT_READ)
                elif self._client.recv(16) == self._word:
                    return Outcome(arrives=True, how="a connection was made and answered")
                else:
                    return self._of_others()
            if connected and self._busy and not self._accepted:
                return self._of_others()
        return self._of_others() if connected and not self._accepted else self._of_silence()

    def _of_silence(self) -> Outcome:
        how = "nothing came back within two seconds"
        return Outcome(arrives=None, how=f"{how}: {_UNKNOWN}") if self._outside else Outcome(arrives=False, how=how)

    def _of_others(self) -> Outcome:
        how = "a connection was made, to a program that listens there" if self._busy else "another program answered"
        return Outcome(arrives=True if self._busy else None, how=how)

    def _raise_refusal(self) -> None:
        error = self._client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))

    def _accept(self, listener: object) -> None:
        assert isinstance(listener, socket.socket)  # noqa: S101  # for the type checker: only sockets are watched
        accepted, _ = listener.accept()
        self._accepted.append(accepted)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        accepted.send(self._word)

    def _datagram(self) -> Outcome:
        self._selector.register(self._client, selectors.EVENT_READ)
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            self._client.send(self._word)
            for key, _ in self._selector.select(_AGAIN):
                if key.fileobj is not self._client:
                    self._echo(key.fileobj)
                elif self._client.recv(64) == self._word or self._outside:
                    return Outcome(arrives=True, how="a datagram was answered")
                else:
                    return Outcome(arrives=None, how="another program answered")
        if self._busy:
            how = "nothing came back within two seconds: another program has the port there, and may not answer"
            return Outcome(arrives=None, how=how)
        return self._of_silence()

    def _echo(self, listener: object) -> None:
        assert isinstance(listener, socket.socket)  # noqa: S101  # as above
        said, ancillary, _, peer = listener.recvmsg(64, 256)
        # From the address that was asked; the interface is the routes' to choose.
        answer = [(level, kind, _without_interface(level, data)) for level, kind, data in ancillary]
        listener.sendmsg([said], answer, 0, peer)


def _without_interface(level: int, data: bytes) -> bytes:
    if level == socket.IPPROTO_IPV6:
        return data[:16] + bytes(4)
    # struct in_pktinfo: index, the address to answer from, the one that was asked.
    return bytes(4) + data[8:12] + data[8:12]
