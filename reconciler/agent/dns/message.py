"""DNS messages on the wire: a request read, a reply written (RFC 1035, 4; EDNS: RFC 6891).

By hand, because every request of a container that does not behave passes here: dnslib, the oracle of the tests,
takes 90 µs for one and follows compression pointers as deep as a sender likes.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

TYPE_A, TYPE_PTR, TYPE_AAAA, TYPE_OPT, TYPE_IXFR, TYPE_AXFR, TYPE_ANY = 1, 12, 28, 41, 251, 252, 255
CLASS_IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)

HEADER_LENGTH = 12
TTL = 1
"""Seconds. An address that changed must be seen within two."""

_HEADER = struct.Struct(">HHHHHH")
_RECORD = struct.Struct(">HHIH")
_QUESTION_POINTER = b"\xc0\x0c"  # to the name of the question, which always stands right behind the header
_PLAIN_SIZE, _OWN_SIZE, LARGEST_STREAM = 512, 4096, 65535
_LONGEST_NAME, _LONGEST_LABEL = 255, 63
_QR, _TC, _OPCODE_AND_RD, _AA, _RA, _CD = 0x80, 0x02, 0x79, 0x04, 0x80, 0x10


class MalformedError(ValueError):
    """A request that no rule allows."""


class Request(NamedTuple):
    """A request of one question. ``name`` is lower case, its labels joined by dots, without a dot at the end.

    ``size`` is how large an answer over UDP may be; ``edns`` whether the asker speaks EDNS, ``version`` which.
    """

    data: bytes
    name: bytes
    type: int
    class_: int
    end: int
    size: int = _PLAIN_SIZE
    edns: bool = False
    version: int = 0


def is_request(data: bytes) -> bool:
    """Whether it deserves any answer: an answer to an answer could go round for ever."""
    return len(data) >= HEADER_LENGTH and not data[2] & _QR


def opcode(data: bytes) -> int:
    """The kind of request; 0 is a query."""
    return data[2] >> 3 & 15


def read_request(data: bytes) -> Request:
    """Read a query. Raises MalformedError."""
    _, _, questions, answers, authorities, additional = _HEADER.unpack_from(data)
    if (questions, answers, authorities) != (1, 0, 0):
        raise MalformedError("not one question alone")
    name, offset = _read_name(data, HEADER_LENGTH)
    if offset + 4 > len(data):
        raise MalformedError("cut off")
    kind, class_ = struct.unpack_from(">HH", data, offset)
    request = Request(data, name.lower(), kind, class_, offset + 4)
    return _with_edns(request, additional) if additional else request


def _read_name(data: bytes, offset: int) -> tuple[bytes, int]:
    """The labels joined by dots, and where they end. A question has nothing to point back to."""
    labels: list[bytes] = []
    start = offset
    while offset < len(data):
        length = data[offset]
        offset += 1
        if not length:
            return b".".join(labels), offset
        label = data[offset : offset + length]
        if length > _LONGEST_LABEL or offset + length - start >= _LONGEST_NAME:
            break
        # A dot within a label must not read like one between two.
        labels.append(label.replace(b".", b"\\."))
        offset += length
    raise MalformedError("not a name")


def _with_edns(request: Request, additional: int) -> Request:
    data, offset = request.data, request.end
    for _ in range(additional):
        name, offset = _read_name(data, offset)
        if offset + _RECORD.size > len(data):
            raise MalformedError("cut off")
        kind, size, extended, length = _RECORD.unpack_from(data, offset)
        offset += _RECORD.size + length
        if offset > len(data):
            raise MalformedError("cut off")
        if kind == TYPE_OPT:
            if name or request.edns:
                raise MalformedError("not an OPT record")
            allowed = min(max(size, _PLAIN_SIZE), _OWN_SIZE)
            request = request._replace(size=allowed, edns=True, version=extended >> 16 & 255)
    return request


def record(kind: int, data: bytes) -> bytes:
    """A record of the name that is asked for."""
    return _QUESTION_POINTER + _RECORD.pack(kind, CLASS_IN, TTL, len(data)) + data


def wire_name(name: str) -> bytes | None:
    """A name as in a message, uncompressed; None for what cannot be one."""
    labels = [label.encode() for label in name.split(".")]
    if not all(0 < len(label) <= _LONGEST_LABEL for label in labels):
        return None
    encoded = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    return encoded if len(encoded) <= _LONGEST_NAME else None


def reply(request: Request, records: list[bytes], *, code: int = NOERROR, largest: int | None = None) -> bytes:
    """The reply with as many of the records as fit into ``largest`` bytes (None: what the asker takes over UDP).

    Whether the code is one of our own names' is said by AA (RFC 1035, 4.1.1).
    """
    option = _option(code >> 4) if request.edns else b""
    room = (request.size if largest is None else largest) - request.end - len(option)
    kept, used = 0, 0
    for one in records:
        used += len(one)
        if used > room:
            break
        kept += 1
    truncated = _TC if kept < len(records) else 0
    data = request.data
    flags = bytes((_QR | data[2] & _OPCODE_AND_RD | _AA | truncated, _RA | data[3] & _CD | code & 15))
    counts = struct.pack(">HHHH", 1, kept, 0, bool(option))
    return b"".join((data[:2], flags, counts, data[HEADER_LENGTH : request.end], *records[:kept], option))


def _option(extended_code: int) -> bytes:
    return b"\0" + _RECORD.pack(TYPE_OPT, _OWN_SIZE, extended_code << 24, 0)


def bare_reply(data: bytes, code: int) -> bytes:
    """The reply to a request that could not be read: a header alone."""
    flags = bytes((_QR | data[2] & _OPCODE_AND_RD, _RA | data[3] & _CD | code))
    return data[:2] + flags + bytes(8)


def code_of(data: bytes) -> int:
    """The code of a reply."""
    return data[3] & 15


def with_code(data: bytes, code: int) -> bytes:
    """The reply with another code."""
    return data[:3] + bytes((data[3] & 0xF0 | code,)) + data[4:]


def answers(data: bytes, question: bytes) -> bool:
    """Whether it is a reply of the same identifier and question as the request ``question``.

    A server may write the name in other letters; other than that the question must come back as it was.
    """
    try:
        end = read_request(question).end
    except MalformedError:
        return False
    return (
        len(data) >= end
        and data[:2] == question[:2]
        and bool(data[2] & _QR)
        and data[4:6] == question[4:6]
        and data[HEADER_LENGTH : end - 4].lower() == question[HEADER_LENGTH : end - 4].lower()
        and data[end - 4 : end] == question[end - 4 : end]
    )
