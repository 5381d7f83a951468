"""Reads and writes the table of a container that is the gateway of others."""

from __future__ import annotations

import functools
from typing import Any

from reconciler.firewall.router_layout import FAMILY, PATH, REMOVE, TABLE, WRITE, listed
from reconciler.kernel import namespaces, nft_tables
from reconciler.kernel.libnftables import Nftables, NoSuchObjectError


def intact() -> bool | None:
    """Whether the table in the namespace that this thread is in is as we write it; None: there is none.

    Raises NetapplyError.
    """
    flags = nft_tables.standing().get((FAMILY, TABLE))
    if flags or flags is None:
        return None if flags is None else False
    with Nftables() as nftables:
        try:
            found = listed(nftables.query_json(f"list table {PATH}"))
        except NoSuchObjectError:
            return None
    return found == _reference()


def write() -> None:
    """Make the table, or make it anew, in one transaction. Raises NetapplyError."""
    with Nftables() as nftables:
        nftables.run(WRITE)


def remove() -> None:
    """Remove the table if it stands. Raises NetapplyError."""
    with Nftables() as nftables:
        nftables.run(REMOVE)


@functools.cache
def _reference() -> list[Any]:
    """How this version of nft lists the table: from a namespace that is thrown away (3 ms, once a run with routers)."""
    with namespaces.elsewhere():
        namespaces.leave_for_new()
        write()
        with Nftables() as nftables:
            return listed(nftables.query_json(f"list table {PATH}"))
