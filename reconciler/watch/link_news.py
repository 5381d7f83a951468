"""Which messages about links tell anything new: many repeat what is known, with other counters or another carrier.

The kernel reports carriers a hundred links a second (net/core/link_watch.c), so for a thousand new containers it goes
on for 20 s; who looks each time has no time for what counts.
"""

from __future__ import annotations

import struct
from collections import defaultdict

from reconciler.netlink import constants as c
from reconciler.netlink import decode

_INDEX = struct.Struct("=i")
_AF_BRIDGE, _IFLA_PROTINFO = 7, 12


class LinkNews:
    """Remembers, by namespace number and link, what was said of it last, as far as it is ever compared."""

    def __init__(self) -> None:
        self._said: defaultdict[int, dict[tuple[int, int], int]] = defaultdict(dict)

    def tells(self, number: int, data: bytes, kind: int, start: int, end: int) -> bool:
        """Whether this RTM_NEWLINK or RTM_DELLINK of the namespace ``number`` says what was not known."""
        family, index = data[start], _INDEX.unpack_from(data, start + 4)[0]
        if kind == c.RTM_DELLINK:
            self._said[number].pop((family, index), None)
            return True
        if family not in {0, _AF_BRIDGE}:
            return True
        said = hash(_port(data, start, end) if family else decode.link(data, start, end))
        if self._said[number].get((family, index)) == said:
            return False
        self._said[number][family, index] = said
        return True

    def forget(self, number: int) -> None:
        """Another namespace may have that number from now on."""
        self._said.pop(number, None)

    def forget_all(self) -> None:
        """Some was not heard."""
        self._said.clear()


def _port(data: bytes, start: int, end: int) -> tuple[object, ...]:
    """Of a bridge's port what is compared: the bridge, and its settings."""
    found = decode.attributes(data, start + 16, end)
    master, port = found.get(c.IFLA_MASTER), found.get(_IFLA_PROTINFO)
    settings = decode.port_settings(data, decode.attributes(data, *port)) if port else ()
    return (data[master[0] : master[1]] if master else b"", *settings)
