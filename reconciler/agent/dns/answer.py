"""A request and a view of the names make an answer, or make it somebody else's to give. Pure."""

from __future__ import annotations

from typing import NamedTuple

from reconciler.agent.dns import message
from reconciler.agent.dns.zones import View

_BADVERS = 16
_ORDERS = 16
"""In so many orders the records of a name are given at most, turn by turn."""


class Reply(NamedTuple):
    """Complete messages that are all right, to be given turn by turn; none: nothing is to be said.

    ``lasting``: as long as the view lasts, to whoever asks the same.
    """

    variants: list[bytes]
    lasting: bool = False


def answer(data: bytes, view: View, *, forwards: bool, largest: int | None = None) -> Reply | None:
    """The reply to whatever came; None where a server that we forward to has to say it.

    ``forwards``: whether there is one. Without, an unknown name does not exist: to REFUSED glibc would ask again,
    and musl wait for seconds. ``largest`` is the transport's limit in bytes, None: the asker's over UDP.
    """
    if not message.is_request(data):
        return Reply([])
    if message.opcode(data):
        return Reply([message.bare_reply(data, message.NOTIMP)])
    try:
        request = message.read_request(data)
    except message.MalformedError:
        return Reply([message.bare_reply(data, message.FORMERR)])
    refused = _refused(request)
    if refused:
        return Reply([message.reply(request, [], code=refused)])
    records = view.find(request.name, request.type)
    if records is None:
        return None if forwards else Reply([message.reply(request, [], code=message.NXDOMAIN)])
    count = min(len(records), _ORDERS) or 1
    starts = [len(records) * turn // count for turn in range(count)]
    orders = [records[start:] + records[:start] for start in starts]
    return Reply([message.reply(request, order, largest=largest) for order in orders], lasting=True)


def failure(data: bytes) -> bytes:
    """The reply that says that no server had an answer."""
    try:
        return message.reply(message.read_request(data), [], code=message.SERVFAIL)
    except message.MalformedError:
        return message.bare_reply(data, message.SERVFAIL)


def _refused(request: message.Request) -> int:
    if request.version:
        return _BADVERS
    if request.class_ != message.CLASS_IN or request.type in {message.TYPE_AXFR, message.TYPE_IXFR}:
        return message.REFUSED
    return 0
