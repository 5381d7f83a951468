"""The constant nf_tables table that leads 127.0.0.11:53 in a sandbox to the agent's sockets there.

The ports are rewritten packet by packet, without address translation: that would switch connection tracking on for
all that the container sends and receives. Works whatever backend the host's firewall has. All functions act on the
namespace that the calling thread is in.
"""

from __future__ import annotations

import errno
import socket
from functools import lru_cache

from reconciler.kernel.nfnetlink import NetfilterSocket
from reconciler.netlink import constants as c
from reconciler.netlink import nft

ADDRESS = "127.0.0.11"
"""Where containers ask, as in Docker."""

PORT = 53
PORTS = range(61053, 61061)
"""Where the agent listens: the first that is free in the container. Above the kernel's default range of dynamic ports."""

TABLE_NAME = ("ip", "netapply")
"""Family and name of the table."""

_TABLE = nft.Table(nft.NFPROTO_IPV4, TABLE_NAME[1])
_CHAIN = nft.Chain(_TABLE.name, "names", nft.HOOK_OUTPUT, nft.PRIORITY_RAW)
_NLM_F_APPEND = 0x800
_SOURCE_ADDRESS, _DESTINATION_ADDRESS = 12, 16  # in struct iphdr
_SOURCE_PORT, _DESTINATION_PORT = 0, 2  # in struct udphdr and tcphdr
_CHECKSUMS = {socket.IPPROTO_UDP: 6, socket.IPPROTO_TCP: 16}


def stand(port: int) -> int:
    """Make the table stand as it should, if it does not; the generation of the namespace's rules after that.

    Raises OSError, of errno EOPNOTSUPP where the kernel has no nf_tables.
    """
    with NetfilterSocket() as inside:
        try:
            generation = inside.generation()
            if not _is_right(inside, port):
                inside.transaction(_requests(port, anew=inside.table(_TABLE.name) is not None))
                generation = inside.generation()
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.EINVAL, errno.EPROTONOSUPPORT}:
                raise OSError(errno.EOPNOTSUPP, "the kernel lacks nf_tables, or a part of it") from error
            raise
        return generation


def stands(port: int, generation: int) -> bool:
    """Whether the table is as it was at that generation, or at least as it should be."""
    with NetfilterSocket() as inside:
        return inside.generation() == generation or _is_right(inside, port)


def clear() -> NetfilterSocket | None:
    """Remove the table, if it stands.

    The caller closes the socket given: that waits 13 ms for a grace period of the kernel, for many at once no longer
    than for one. It keeps the namespace alive until then.
    """
    inside = NetfilterSocket()
    try:
        if inside.table(_TABLE.name):
            inside.transaction([(nft.DELTABLE, 0, nft.table(_TABLE.name))])
            return inside
    except BaseException:
        inside.close()
        raise
    inside.close()
    return None


def _is_right(inside: NetfilterSocket, port: int) -> bool:
    if inside.table(_TABLE.name) != _TABLE or inside.chain(_TABLE.name, _CHAIN.name) != _CHAIN:
        return False
    found, wanted = inside.rules(_TABLE.name), _rules(port)
    return len(found) == len(wanted) and all(
        chain_name == _CHAIN.name and nft.same(rule, steps)
        for rule, (chain_name, steps) in zip(wanted, found, strict=True)
    )


@lru_cache(maxsize=16)
def _requests(port: int, *, anew: bool) -> list[tuple[int, int, bytes]]:
    table = nft.table(_TABLE.name)
    gone = [(nft.DELTABLE, 0, table)] if anew else []
    base = [(nft.NEWTABLE, c.NLM_F_CREATE, table), (nft.NEWCHAIN, c.NLM_F_CREATE, nft.chain(_CHAIN))]
    flags = c.NLM_F_CREATE | _NLM_F_APPEND
    rules = [(nft.NEWRULE, flags, nft.rule(_TABLE.name, _CHAIN.name, rule)) for rule in _rules(port)]
    return [*gone, *base, *rules]


@lru_cache(maxsize=16)
def _rules(port: int) -> tuple[nft.Rule, ...]:
    rules = []
    for protocol in _CHECKSUMS:
        rules.append(_rewriting(protocol, (_DESTINATION_ADDRESS, _DESTINATION_PORT), PORT, port))
        rules.append(_rewriting(protocol, (_SOURCE_ADDRESS, _SOURCE_PORT), port, PORT))
    return tuple(rules)


def _rewriting(protocol: int, places: tuple[int, int], before: int, after: int) -> nft.Rule:
    """Turn port ``before`` of our address, at these places of the headers, into ``after``."""
    address_place, port_place = places
    return (
        *nft.payload_equals(nft.NETWORK_HEADER, address_place, socket.inet_aton(ADDRESS)),
        *nft.protocol_equals(protocol),
        *nft.payload_equals(nft.TRANSPORT_HEADER, port_place, before.to_bytes(2, "big")),
        # The two directions bear different ports, which connection tracking would take for strangers.
        *nft.untrack(),
        *nft.write_transport(port_place, after.to_bytes(2, "big"), _CHECKSUMS[protocol]),
    )
