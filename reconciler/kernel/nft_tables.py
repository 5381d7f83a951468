"""Which nf_tables tables stand in the namespace of the calling thread, and with which flags.

The kernel itself is asked: libnftables 1.0.6 prints the flags of a table in JSON from memory that it has freed, and
that has corrupted the memory of the whole process. So a table with flags is never listed as JSON.
"""

from __future__ import annotations

import os
from typing import Final

from reconciler.kernel.libnftables import RefusedError
from reconciler.kernel.nfnetlink import NetfilterSocket
from reconciler.netlink.nft import TABLE_DORMANT, TABLE_OWNED

_FAMILIES: Final = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
"""NFPROTO_* of linux/netfilter.h, as nft names them."""

_FLAGS: Final = {TABLE_DORMANT: "dormant", TABLE_OWNED: "owner"}


def standing() -> dict[tuple[str, str], int]:
    """The flags (NFT_TABLE_F_*) of every table, by family and name. Raises RefusedError."""
    try:
        with NetfilterSocket() as netfilter:
            tables = netfilter.tables()
    except OSError as error:
        raise RefusedError.refused(os.strerror(error.errno or 0)) from error
    return {(_FAMILIES[table.family], table.name): table.flags for table in tables if table.family in _FAMILIES}


def words(flags: int) -> list[str]:
    """What nft calls those flags that matter to us."""
    return [word for bit, word in _FLAGS.items() if flags & bit]
