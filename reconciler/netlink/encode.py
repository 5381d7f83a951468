"""rtnetlink message bodies, as bytes. Pure: what they say is decided elsewhere, who sends them too.

Native byte order throughout, as the kernel has it (RFC 3549; linux/netlink.h).
"""

from __future__ import annotations

import struct
from functools import lru_cache
from ipaddress import ip_address

from reconciler.netlink import constants as c

_HEADER = struct.Struct("=HH")
_IFINFO = struct.Struct("=BxHiII")
_IFADDR = struct.Struct("=BBBBI")
_RTMSG = struct.Struct("=BBBBBBBBI")
_U16 = struct.Struct("=H")
_U32 = struct.Struct("=I")
_MESSAGE = struct.Struct("=IHHII")
_NESTED = 0x8000
MESSAGE_HEADER = 16


def attribute(kind: int, data: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    length = 4 + len(data)
    return _HEADER.pack(length, kind) + data + b"\0" * (-length & 3)


def nest(kind: int, *attributes: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | _NESTED, b"".join(attributes))


def u32(kind: int, value: int) -> bytes:
    """A 32-bit attribute."""
    return _HEADER.pack(8, kind) + _U32.pack(value)


def u16(kind: int, value: int) -> bytes:
    """A 16-bit attribute."""
    return attribute(kind, _U16.pack(value))


def u8(kind: int, value: int) -> bytes:
    """An 8-bit attribute."""
    return attribute(kind, bytes((value,)))


def text(kind: int, value: str) -> bytes:
    """A NUL-terminated string attribute."""
    return attribute(kind, value.encode() + b"\0")


def mac(kind: int, value: str) -> bytes:
    """A hardware address attribute from ``02:42:ac:11:00:02``."""
    return attribute(kind, bytes.fromhex(value.replace(":", "")))


@lru_cache(maxsize=4096)
def packed(address: str) -> bytes:
    """The 4 or 16 bytes of an address without prefix length."""
    return ip_address(address).packed


def link_header(flags: int = 0, change: int = 0, index: int = 0) -> bytes:
    """struct ifinfomsg."""
    return _IFINFO.pack(0, 0, index, flags, change)


def address_header(family: int, prefix_length: int, scope: int = 0) -> bytes:
    """struct ifaddrmsg with the index, at offset 4, still to be filled in."""
    return _IFADDR.pack(family, prefix_length, 0, scope, 0)


def route_header(family: int, prefix_length: int, protocol: int, table: int, kind: int, scope: int = 0) -> bytes:
    """struct rtmsg; the scope is universe unless given."""
    return _RTMSG.pack(family, prefix_length, 0, 0, table, protocol, scope, kind, 0)


def rule_header(family: int, source_length: int) -> bytes:
    """struct fib_rule_hdr of a rule that leads to a table; the table stands in an attribute."""
    return _RTMSG.pack(family, 0, source_length, 0, 0, 0, 0, c.FR_ACT_TO_TBL, 0)


def message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """struct nlmsghdr and the body, padded."""
    length = MESSAGE_HEADER + len(body)
    return _MESSAGE.pack(length, kind, flags, sequence, 0) + body + b"\0" * (-length & 3)


def patched(body: bytes, offset: int, value: int) -> bytes:
    """The body with a native u32 at that offset replaced."""
    return body[:offset] + _U32.pack(value) + body[offset + 4 :]
