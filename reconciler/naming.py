"""Names that netapply gives: interface names, MACs, labels on links. Pure functions of the user's names."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

LINK_GROUP = 0x6E61
"""The link group of every link of ours: the one label that is atomic with a link's creation."""

ROUTE_PROTOCOL = 110
"""The routing protocol number on every route of ours."""

ADDRESS_PROTOCOL = 110
"""The address protocol number (IFA_PROTO, Linux 5.18) on every address of ours on a link that is not ours."""

BRIDGE_PREFIX = "na-"
ENDPOINT_PREFIX = "nv-"
SHIM_PREFIX = "nm-"
NAME_LENGTH = 63
"""The longest stack, network or container name: labels (255 bytes) and file names must hold two."""

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_LABEL = "netapply"


def digest(*names: str) -> int:
    """64 bits from a sequence of names, the same on every machine; no two sequences read alike."""
    text = "\0".join(names).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def origin_of(path: str) -> str:
    """The mark of where a stack came from: 16 hex digits for a manifest's real path."""
    return f"{digest('origin', path):016x}"


def interface_name(prefix: str, name: str, *path: str, attempt: int = 0) -> str:
    """A host interface name of at most 15 letters: prefix, what can be read of ``name``, a hash of all.

    ``attempt`` counts up when the result is taken by somebody else.
    """
    number = digest("interface", prefix, name, *path, str(attempt))
    tail = "".join(_ALPHABET[number >> (5 * place) & 31] for place in range(6))
    readable = re.sub(r"[^a-z0-9]", "", name.lower())[: 15 - len(prefix) - 7]
    return f"{prefix}{readable}-{tail}" if readable else f"{prefix}{tail}"


def mac_address(*names: str) -> str:
    """A locally administered unicast MAC that depends on the names only (IEEE 802-2014, 8.4)."""
    number = digest("mac", *names)
    return ":".join(["02", *(f"{number >> (8 * place) & 255:02x}" for place in range(4, -1, -1))])


class Label(NamedTuple):
    """What stands in the alias of a link of ours.

    ``kind`` is ``sandbox`` (on ``lo`` inside), ``endpoint`` (host side), ``bridge``, or that of another
    kind of link, whose module in ``resources`` has the word and says what its fields are.
    ``network`` is the network's real name, empty on a sandbox; ``name`` is the container's
    name, on a bridge the network's key. ``host_id`` guards against a name met on another host.
    """

    kind: str
    host_id: str
    stack: str
    name: str
    network: str
    origin: str

    def __str__(self) -> str:
        return ":".join((_LABEL, *self))


def parse_label(alias: str) -> Label | None:
    """The label in an interface alias, or None where it is not one of ours."""
    first, *fields = alias.split(":")
    if first != _LABEL or len(fields) != len(Label._fields):
        return None
    return Label(*fields)
