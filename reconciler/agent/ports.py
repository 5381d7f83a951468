"""Published host ports, held so that no other program binds them unnoticed."""

from __future__ import annotations

import array
import errno
import os
import socket
import struct
from typing import Any

Pin = tuple[str, str, int]
"""Protocol (tcp, udp), host address, port."""

_EVERY = frozenset({"0.0.0.0", "::"})  # noqa: S104  # compared, never bound
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
# linux/in.h, linux/in6.h, asm-generic/socket.h; the socket module lacks the first two.
_IP_FREEBIND = 15
_IPV6_FREEBIND = 78
_SO_ATTACH_FILTER = 26
_DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)  # BPF_RET | BPF_K, 0 bytes: linux/filter.h


class HeldPorts:
    """Holds each pin with a socket that is bound and nothing else.

    Not listening: a connection that no rule sends to a container is refused, as if nothing were
    there. No SO_REUSEADDR: with it, and only with it on both sides, another program could bind too.
    """

    name = "pins"

    def __init__(self) -> None:
        self._held: dict[str, dict[Pin, socket.socket]] = {}
        self._awaited: set[tuple[str, Pin]] = set()
        """Pins that another stack is about to give up: one plan hands them over, and the taker may come first."""

    def apply(self, stack_name: str, section: Any) -> list[dict[str, Any]]:
        """Hold exactly these pins for the stack; those that could not be bound, with ``errno`` and ``message``.

        What is held already stays bound. What another stack holds is no failure: it is bound as soon as that lets go.
        Raises ValueError for a section of another form.
        """
        wanted = {_pin(item) for item in section or []}
        held = self._held.setdefault(stack_name, {})
        self._awaited = {(waiting, pin) for waiting, pin in self._awaited if waiting != stack_name}
        for pin in held.keys() - wanted:
            held.pop(pin).close()
        failures = [failure for pin in sorted(wanted - held.keys()) if (failure := self._hold(stack_name, pin))]
        for waiting, pin in sorted(self._awaited):
            self._hold(waiting, pin)
        self._held = {name: pins for name, pins in self._held.items() if pins}
        return failures

    def _hold(self, stack_name: str, pin: Pin) -> dict[str, Any] | None:
        self._awaited.discard((stack_name, pin))
        try:
            self._held.setdefault(stack_name, {})[pin] = _bound(*pin)
        except OSError as error:
            others = (other for name, pins in self._held.items() if name != stack_name for other in pins)
            if error.errno != errno.EADDRINUSE or not any(_meet(pin, other) for other in others):
                return _failure(pin, error)
            self._awaited.add((stack_name, pin))
        return None

    def status(self) -> dict[str, list[list[Any]]]:
        """The pins held, by stack, sorted."""
        return {stack_name: [list(pin) for pin in sorted(held)] for stack_name, held in sorted(self._held.items())}

    def close(self) -> None:
        """Let go of all."""
        for held in self._held.values():
            for holder in held.values():
                holder.close()
        self._held.clear()


def _pin(item: Any) -> Pin:
    match item:
        case [str(protocol), str(address), int(port)] if protocol in _KINDS and 0 < port < 65536:  # noqa: PLR2004 - ports have 16 bits
            return protocol, address, port
    message = f"not a pin: {item!r}"
    raise ValueError(message)


def _meet(one: Pin, other: Pin) -> bool:
    """Whether both cannot be bound at once."""
    (protocol, address, port), (other_protocol, other_address, other_port) = one, other
    same = (protocol, port, ":" in address) == (other_protocol, other_port, ":" in other_address)
    return same and (address == other_address or not _EVERY.isdisjoint({address, other_address}))


def _failure(pin: Pin, error: OSError) -> dict[str, Any]:
    number = error.errno or errno.EINVAL
    return {"pin": list(pin), "errno": number, "message": os.strerror(number)}


def _bound(protocol: str, address: str, port: int) -> socket.socket:
    version6 = ":" in address
    holder = socket.socket(socket.AF_INET6 if version6 else socket.AF_INET, _KINDS[protocol])
    try:
        # Freely bound: an address that comes later (VRRP, a slow link) or goes for a while is held all the same.
        if version6:
            holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            holder.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        else:
            holder.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        if protocol == "udp":
            # Datagrams that no rule sends elsewhere must not pile up where nobody reads them.
            _drop_everything(holder)
        holder.bind((address, port))
    except BaseException:
        holder.close()
        raise
    return holder


def _drop_everything(holder: socket.socket) -> None:
    program = array.array("B", _DROP_ALL)
    # struct sock_fprog: how many instructions, and where they stand.
    holder.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", 1, program.buffer_info()[0]))
