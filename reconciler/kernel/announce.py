"""Tells the neighbours on a LAN whose MAC an address is on now, so that none of them sends to the one before."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress

from reconciler.kernel.netlink import RouteSocket, addresses

_ARP = 0x0806
_BROADCAST = b"\xff" * 6
_ALL_NODES = "ff02::1"
_HOP_LIMIT = 255
_ADVERTISEMENT, _OVERRIDE, _TARGET_MAC = 136, 0x20000000, 2


def announce(interface: str, address: str) -> None:
    """Say it on ``interface`` of the namespace that this thread is in; ``address`` has no prefix length.

    A link that is down hears nothing, and nobody is there who could be told: that is no failure.
    """
    with suppress(OSError):
        if ":" in address:
            _advertise(interface, address)
        else:
            _request(interface, address)


def announce_all(interface: str) -> None:
    """Say it of every address that ``interface`` has: its MAC is another one. As ``announce``."""
    with suppress(OSError):
        index = socket.if_nametoindex(interface)
        route_socket = RouteSocket()
        try:
            found = [each.address.partition("/")[0] for each in addresses(route_socket) if each.link_index == index]
        finally:
            route_socket.close()
        for address in found:
            announce(interface, address)


def _mac(interface: str) -> bytes:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as probe:
        probe.bind((interface, 0))
        return bytes(probe.getsockname()[4])


def _request(interface: str, address: str) -> None:
    """An ARP announcement (RFC 5227, 3)."""
    mac, raw = _mac(interface), socket.inet_aton(address)
    arp = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, mac, raw, bytes(6), raw)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.bind((interface, 0))
        wire.send(_BROADCAST + mac + struct.pack("!H", _ARP) + arp)


def _advertise(interface: str, address: str) -> None:
    """An unsolicited neighbour advertisement (RFC 4861, 7.2.6)."""
    mac, index = _mac(interface), socket.if_nametoindex(interface)
    body = struct.pack("!BBHI16s", _ADVERTISEMENT, 0, 0, _OVERRIDE, socket.inet_pton(socket.AF_INET6, address))
    body += struct.pack("!BB6s", _TARGET_MAC, 1, mac)
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as wire:
        wire.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, _HOP_LIMIT)
        wire.bind((address, 0, 0, index))
        wire.sendto(body, (_ALL_NODES, 0, 0, index))
