"""The nfnetlink socket: nf_tables transactions and questions, in the namespace of the thread that opens it."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Self, TypeVar

from reconciler.netlink import constants as c
from reconciler.netlink import nft
from reconciler.netlink.decode import messages
from reconciler.netlink.encode import message

_NETLINK_NETFILTER = 12
_BLOCK = 1 << 16
_RECORD = TypeVar("_RECORD")


class NetfilterSocket:
    """Stays in its namespace, and keeps that alive, until it is closed. A context manager."""

    __slots__ = ("_sequence", "_socket")

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def transaction(self, requests: Sequence[tuple[int, int, bytes]]) -> None:
        """Perform (command, flags, body) each, all or none. Raises OSError for the first that is refused."""
        last = len(requests)
        flagged = [
            (command, flags | (c.NLM_F_ACK if n == last else 0), body)
            for n, (command, flags, body) in enumerate(requests, 1)
        ]
        self._socket.send(nft.batch(flagged))
        while True:
            for _, _, number, _, _ in self._answers():
                if number == last:
                    return

    def generation(self) -> int:
        """The ruleset's generation in this namespace: another one after every change of any nf_tables rule."""
        return self._ask(nft.GETGEN, 0, nft.generation_request(), nft.generation)[0]

    def chain(self, table_name: str, chain_name: str) -> nft.Chain | None:
        """That base chain; None where there is none such."""
        try:
            return self._ask(nft.GETCHAIN, 0, nft.chain_request(table_name, chain_name), nft.read_chain)[0]
        except FileNotFoundError:
            return None

    def table(self, table_name: str) -> nft.Table | None:
        """The IPv4 table of that name; None where there is none."""
        try:
            return self._ask(nft.GETTABLE, 0, nft.table(table_name), nft.read_table)[0]
        except FileNotFoundError:
            return None

    def tables(self) -> list[nft.Table]:
        """The tables of all families."""
        return self._ask(nft.GETTABLE, c.NLM_F_DUMP, nft.tables_request(), nft.read_table)

    def rules(self, table_name: str) -> list[tuple[str, nft.Rule]]:
        """Chain and expressions of every rule of an IPv4 table; none where there is no such table."""
        return self._ask(nft.GETRULE, c.NLM_F_DUMP, nft.rules_request(table_name), nft.read_rule)

    def _ask(self, command: int, flags: int, body: bytes, read: Callable[[bytes, int, int], _RECORD]) -> list[_RECORD]:
        self._sequence += 1
        self._socket.send(message(nft.SUBSYSTEM << 8 | command, flags | c.NLM_F_REQUEST, self._sequence, body))
        found: list[_RECORD] = []
        while True:
            for kind, data, number, start, end in self._answers():
                if number != self._sequence:
                    continue
                if kind == c.NLMSG_DONE:
                    return found
                found.append(read(data, start, end))
            if not flags:
                return found

    def _answers(self) -> Iterator[tuple[int, bytes, int, int, int]]:
        """Kind, datagram, sequence, start and end of each message that comes next. Raises OSError for a refusal."""
        data = self._socket.recv(_BLOCK)
        for kind, _, number, start, end in messages(data):
            if kind == c.NLMSG_ERROR:
                refused = -struct.unpack_from("=i", data, start)[0]
                if refused:
                    raise OSError(refused, os.strerror(refused), "nf_tables")
            yield kind, data, number, start, end
