"""Asks the neighbours of a link who has an address, before the host takes it.

ARP for IPv4 (RFC 5227), neighbour discovery for IPv6 (RFC 4862, 5.4), as frames on a packet
socket, since nothing else can speak of an address that is nobody's yet.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator
from ipaddress import IPv6Address
from typing import Final

from reconciler.errors import NetapplyError
from reconciler.kernel.netlink import RouteSocket, links
from reconciler.netlink.encode import packed

_ARP, _IPV6 = 0x0806, 0x86DD
_REQUEST = 1
_SOLICITATION, _ADVERTISEMENT = 135, 136
_ICMPV6, _HOP_LIMIT = 58, 255
_BROADCAST: Final = b"\xff" * 6
_MAC_LENGTH = 6
_PROBES = 2
_PATIENCE = 0.15
"""Seconds that a neighbour has for its answer; on a link it takes less than one millisecond."""


def claim(interface: str, address: str) -> None:
    """Ask on the link who has the address, before it becomes ours.

    Raises NetapplyError where a neighbour answers. Where the link takes no frames nobody can be asked.
    """
    holder = ""
    # A link that is down, or that has no hardware addresses, has no neighbours either.
    with contextlib.suppress(OSError), _packets(interface, address) as (packets, mac):
        for _ in range(_PROBES):
            packets.send(_question(mac, address))
            holder = holder or _answer(packets, mac, address)
    if holder:
        message = f"address {address} is in use on the network of {interface}, by the machine with the MAC {holder}"
        raise NetapplyError.of(message, hint="choose another address, or take it off that machine first")


@contextlib.contextmanager
def _packets(interface: str, address: str) -> Iterator[tuple[socket.socket, bytes]]:
    """A packet socket on the link, and the link's hardware address. Raises OSError."""
    mac = _hardware_address(interface)
    protocol = _IPV6 if ":" in address else _ARP
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.htons(protocol)) as packets:
        packets.bind((interface, protocol))
        yield packets, mac


def _hardware_address(interface: str) -> bytes:
    route_socket = RouteSocket()
    try:
        found = next((link for link in links(route_socket) if link.name == interface), None)
    finally:
        route_socket.close()
    mac = bytes.fromhex(found.mac.replace(":", "")) if found else b""
    if len(mac) != _MAC_LENGTH or not any(mac):
        raise OSError(0, "no hardware address", interface)
    return mac


def _question(mac: bytes, address: str) -> bytes:
    target = packed(address)
    if ":" not in address:
        return _arp(mac, target)
    group = IPv6Address("ff02::1:ff00:0").packed[:13] + target[13:]
    return _solicitation(mac, group, target)


def _arp(mac: bytes, target: bytes) -> bytes:
    header = struct.pack("!HHBBH", 1, 0x0800, 6, 4, _REQUEST)
    return _BROADCAST + mac + struct.pack("!H", _ARP) + header + mac + bytes(4) + bytes(6) + target


def _solicitation(mac: bytes, group: bytes, target: bytes) -> bytes:
    source = bytes(16)
    message = struct.pack("!BBHI", _SOLICITATION, 0, 0, 0) + target
    checksum = _checksum(source + group + struct.pack("!II", len(message), _ICMPV6) + message)
    message = message[:2] + struct.pack("!H", checksum) + message[4:]
    header = struct.pack("!IHBB", 6 << 28, len(message), _ICMPV6, _HOP_LIMIT) + source + group
    return b"\x33\x33" + group[12:] + mac + struct.pack("!H", _IPV6) + header + message


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _answer(packets: socket.socket, mac: bytes, address: str) -> str:
    """The hardware address of who answers that it has the address; empty if nobody does in time."""
    deadline = time.monotonic() + _PATIENCE
    while (left := deadline - time.monotonic()) > 0:
        packets.settimeout(left)
        try:
            frame = packets.recv(2048)
        except TimeoutError:
            break
        if frame[6:12] != mac and _says_it_has(frame, address):
            return frame[6:12].hex(":")
    return ""


def _says_it_has(frame: bytes, address: str) -> bool:
    target = packed(address)
    if ":" not in address:
        # Any ARP message of its sender's, the question of another one who is about to take it too (RFC 5227, 2.1.1).
        is_probe = frame[28:32] == bytes(4) and frame[38:42] == target
        return frame[28:32] == target or is_probe
    is_icmp = frame[20] == _ICMPV6 and len(frame) >= 78  # noqa: PLR2004  # Ethernet, IPv6 and a target
    return is_icmp and frame[54] in {_SOLICITATION, _ADVERTISEMENT} and _is_claim(frame, target)


def _is_claim(frame: bytes, target: bytes) -> bool:
    """An advertisement of the address, or a solicitation from nobody: another one who is about to take it."""
    return frame[62:78] == target and (frame[54] == _ADVERTISEMENT or not any(frame[22:38]))
