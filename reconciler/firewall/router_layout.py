"""The nftables table in the namespace of a container that is the gateway of others.

It is the same in every such namespace, and stands beside whatever a VPN program puts there: nothing here
accepts what another table drops.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

FAMILY: Final = "inet"
TABLE: Final = "netapply_router"
PATH: Final = f"{FAMILY} {TABLE}"

_CHAINS: Final = {
    # An answer that no connection asked for is not translated, so it would leave with the client's own address.
    "forward": ("type filter hook forward priority 0", "ct state invalid drop"),
    # What this namespace sends itself has an address of its own already; which interface a VPN brings is not known.
    "postrouting": ("type nat hook postrouting priority 100", "fib saddr type != local masquerade"),
}
"""Chain -> its hook and its rule."""

REMOVE: Final = f"add table {PATH}\ndelete table {PATH}\n"
"""The script that removes the table, whether it stands or not."""

WRITE: Final = (
    REMOVE
    + f"add table {PATH}\n"
    + "".join(
        f"add chain {PATH} {name} {{ {hook}; policy accept; }}\nadd rule {PATH} {name} {rule}\n"
        for name, (hook, rule) in _CHAINS.items()
    )
)
"""The script that makes the table, in the place of one that was changed."""


def listed(listing: Mapping[str, Any]) -> list[Any]:
    """What nft's JSON listing says of the table, without what differs from host to host: to be compared."""
    return [_without_handle(entry) for entry in listing["nftables"] if "metainfo" not in entry]


def _without_handle(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {kind: {key: value for key, value in body.items() if key != "handle"} for kind, body in entry.items()}
