"""nf_tables messages as bytes: a table, a base chain, rules of a few expressions, and rules read back.

For the sandboxes, where a constant table takes one batch and libnftables would take a context each.
Sources: uapi linux/netfilter/nf_tables.h, nfnetlink.h. Numbers in attributes are big endian there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from reconciler.netlink.decode import attributes
from reconciler.netlink.encode import attribute, message, nest, text

SUBSYSTEM = 10
NEWTABLE, GETTABLE, DELTABLE, NEWCHAIN, GETCHAIN, NEWRULE, GETRULE, NEWGEN, GETGEN = 0, 1, 2, 3, 4, 6, 7, 15, 16
_BATCH_BEGIN, _BATCH_END = 16, 17
NFPROTO_UNSPEC, NFPROTO_IPV4 = 0, 2
TABLE_DORMANT, TABLE_OWNED = 1, 2
"""Flags of a table: its chains are not attached; only the process that made it may change it."""
HOOK_OUTPUT = 3
PRIORITY_RAW = -300
POLICY_ACCEPT = 1
NETWORK_HEADER, TRANSPORT_HEADER = 1, 2

_TABLE_NAME, _TABLE_FLAGS = 1, 2
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_POLICY, _CHAIN_TYPE = 1, 3, 4, 5, 7
_HOOK_NUMBER, _HOOK_PRIORITY = 1, 2
_RULE_TABLE, _RULE_CHAIN, _RULE_EXPRESSIONS = 1, 2, 4
_LIST_ELEMENT = 1
_EXPRESSION_NAME, _EXPRESSION_DATA = 1, 2
_DATA_VALUE = 1
_REGISTER = 1
_META_L4PROTO = 16
_CHECKSUM_INET = 1
_GENERATION_ID = 1
_HEADER = 4  # struct nfgenmsg


class Expression(NamedTuple):
    """One step of a rule: its name, and its attributes as (type, payload), a nested value's payload laid bare."""

    name: str
    values: tuple[tuple[int, bytes], ...] = ()


Rule = tuple[Expression, ...]


class Table(NamedTuple):
    """A table of any family; ``family`` is the kernel's number (NFPROTO_*)."""

    family: int
    name: str
    flags: int = 0


class Chain(NamedTuple):
    """A base chain of type filter."""

    table: str
    name: str
    hook: int
    priority: int
    policy: int = POLICY_ACCEPT


def payload_equals(base: int, offset: int, value: bytes) -> Rule:
    """Go on where these bytes stand at that offset of a header."""
    return (
        Expression("payload", ((1, _be32(_REGISTER)), (2, _be32(base)), (3, _be32(offset)), (4, _be32(len(value))))),
        _equals(value),
    )


def protocol_equals(protocol: int) -> Rule:
    """Go on for this transport protocol."""
    return (Expression("meta", ((1, _be32(_REGISTER)), (2, _be32(_META_L4PROTO)))), _equals(bytes((protocol,))))


def untrack() -> Rule:
    """Keep the packet out of connection tracking."""
    return (Expression("notrack"),)


def write_transport(offset: int, value: bytes, checksum_offset: int) -> Rule:
    """Write these bytes into the transport header, and its checksum anew."""
    where = ((2, _be32(TRANSPORT_HEADER)), (3, _be32(offset)), (4, _be32(len(value))), (5, _be32(_REGISTER)))
    checksum = ((6, _be32(_CHECKSUM_INET)), (7, _be32(checksum_offset)))
    return (Expression("immediate", ((1, _be32(_REGISTER)), (2, value))), Expression("payload", (*where, *checksum)))


def _equals(value: bytes) -> Expression:
    return Expression("cmp", ((1, _be32(_REGISTER)), (2, _be32(0)), (3, value)))


# The attributes whose payload is a nested value (NFTA_CMP_DATA, NFTA_IMMEDIATE_DATA).
_NESTED_VALUE = {"cmp": 3, "immediate": 2}


def batch(messages: Sequence[tuple[int, int, bytes]]) -> bytes:
    """One transaction of (command, flags, body) each; the sequence numbers count from 1, the last is the end's."""
    edge = _nfgenmsg(NFPROTO_UNSPEC, SUBSYSTEM)
    parts = [message(_BATCH_BEGIN, 1, 0, edge)]
    for number, (command, flags, body) in enumerate(messages, 1):
        parts.append(message(SUBSYSTEM << 8 | command, flags | 1, number, body))
    parts.append(message(_BATCH_END, 1, len(messages) + 1, edge))
    return b"".join(parts)


def generation_request() -> bytes:
    """The body of GETGEN."""
    return _nfgenmsg(NFPROTO_UNSPEC)


def generation(data: bytes, start: int, end: int) -> int:
    """The ruleset's generation out of NEWGEN: another one after every change in that namespace."""
    span = attributes(data, start + _HEADER, end)[_GENERATION_ID]
    return int(struct.unpack_from(">I", data, span[0])[0])


def table(name: str) -> bytes:
    """The body that names an IPv4 table: to make it, or to delete it."""
    return _nfgenmsg(NFPROTO_IPV4) + text(_TABLE_NAME, name)


def tables_request() -> bytes:
    """The body of GETTABLE for the tables of all families."""
    return _nfgenmsg(NFPROTO_UNSPEC)


def read_table(data: bytes, start: int, end: int) -> Table:
    """The table out of an answer."""
    found = attributes(data, start + _HEADER, end)
    flags = struct.unpack_from(">I", data, found[_TABLE_FLAGS][0])[0] if _TABLE_FLAGS in found else 0
    return Table(data[start], _text(data, found[_TABLE_NAME]), flags)


def chain(made: Chain) -> bytes:
    """The body of NEWCHAIN."""
    hook = nest(
        _CHAIN_HOOK,
        attribute(_HOOK_NUMBER, _be32(made.hook)),
        attribute(_HOOK_PRIORITY, struct.pack(">i", made.priority)),
    )
    policy = attribute(_CHAIN_POLICY, _be32(made.policy))
    return chain_request(made.table, made.name) + hook + policy + text(_CHAIN_TYPE, "filter")


def chain_request(table_name: str, chain_name: str) -> bytes:
    """The body of GETCHAIN."""
    return _nfgenmsg(NFPROTO_IPV4) + text(_CHAIN_TABLE, table_name) + text(_CHAIN_NAME, chain_name)


def read_chain(data: bytes, start: int, end: int) -> Chain | None:
    """The chain out of an answer; None where it is not a base chain of type filter."""
    found = attributes(data, start + _HEADER, end)
    if _CHAIN_HOOK not in found or _text(data, found.get(_CHAIN_TYPE)) != "filter":
        return None
    hook = attributes(data, *found[_CHAIN_HOOK])
    number = struct.unpack_from(">I", data, hook[_HOOK_NUMBER][0])[0]
    priority = struct.unpack_from(">i", data, hook[_HOOK_PRIORITY][0])[0]
    policy = struct.unpack_from(">I", data, found[_CHAIN_POLICY][0])[0] if _CHAIN_POLICY in found else 0
    return Chain(_text(data, found[_CHAIN_TABLE]), _text(data, found[_CHAIN_NAME]), number, priority, policy)


def rule(table_name: str, chain_name: str, steps: Rule) -> bytes:
    """The body of NEWRULE, at the chain's end."""
    elements = b"".join(nest(_LIST_ELEMENT, *_encoded(expression)) for expression in steps)
    names = text(_RULE_TABLE, table_name) + text(_RULE_CHAIN, chain_name)
    return _nfgenmsg(NFPROTO_IPV4) + names + nest(_RULE_EXPRESSIONS, elements)


def rules_request(table_name: str) -> bytes:
    """The body of GETRULE for all rules of a table."""
    return _nfgenmsg(NFPROTO_IPV4) + text(_RULE_TABLE, table_name)


def read_rule(data: bytes, start: int, end: int) -> tuple[str, Rule]:
    """The chain's name and the expressions of a rule out of an answer."""
    found = attributes(data, start + _HEADER, end)
    first, last = found.get(_RULE_EXPRESSIONS, (0, 0))
    return _text(data, found[_RULE_CHAIN]), expressions(data[first:last])


def same(wanted: Rule, found: Rule) -> bool:
    """Whether a rule that was read is the wanted one; attributes that only a later kernel adds are passed over."""
    return len(wanted) == len(found) and all(
        one.name == other.name and set(one.values) <= set(other.values)
        for one, other in zip(wanted, found, strict=True)
    )


def _encoded(expression: Expression) -> Iterator[bytes]:
    yield text(_EXPRESSION_NAME, expression.name)
    nested = _NESTED_VALUE.get(expression.name)
    values = [
        nest(kind, attribute(_DATA_VALUE, value)) if kind == nested else attribute(kind, value)
        for kind, value in expression.values
    ]
    if values:
        yield nest(_EXPRESSION_DATA, *values)


@lru_cache(maxsize=64)
def expressions(data: bytes) -> Rule:
    """The expressions out of the payload of NFTA_RULE_EXPRESSIONS; those of a thousand sandboxes are the same bytes."""
    found, offset = [], 0
    while offset + 4 <= len(data):
        length = struct.unpack_from("=H", data, offset)[0]
        element = attributes(data, offset + 4, offset + length)
        name = _text(data, element.get(_EXPRESSION_NAME))
        found.append(Expression(name, tuple(_values(data, name, element.get(_EXPRESSION_DATA)))))
        offset += max(length + 3 & ~3, 4)
    return tuple(found)


def _values(data: bytes, name: str, span: tuple[int, int] | None) -> Iterator[tuple[int, bytes]]:
    nested = _NESTED_VALUE.get(name)
    for kind, place in (attributes(data, *span) if span else {}).items():
        value = attributes(data, *place).get(_DATA_VALUE) if kind == nested else place
        yield kind, data[value[0] : value[1]] if value else b""


def _text(data: bytes, span: tuple[int, int] | None) -> str:
    return data[span[0] : span[1]].rstrip(b"\0").decode(errors="replace") if span else ""


def _be32(value: int) -> bytes:
    return struct.pack(">I", value)


def _nfgenmsg(family: int, resource: int = 0) -> bytes:
    return struct.pack(">BBH", family, 0, resource)
