"""nf_tables messages: pyroute2 reads what we write, and we read what we wrote."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.nfnetlink.nftsocket import nft_chain_msg, nft_rule_msg, nft_table_msg

from reconciler.kernel import name_redirect
from reconciler.netlink import nft
from reconciler.netlink.encode import message

CHAIN = nft.Chain("netapply", "names", nft.HOOK_OUTPUT, nft.PRIORITY_RAW)


def read(kind: type, command: int, body: bytes) -> dict[str, object]:
    parsed = kind(message(nft.SUBSYSTEM << 8 | command, 1, 7, body))
    parsed.decode()
    return dict(parsed["attrs"])


def test_pyroute2_reads_the_table_and_the_chain() -> None:
    assert read(nft_table_msg, nft.NEWTABLE, nft.table("netapply")) == {"NFTA_TABLE_NAME": "netapply"}
    chain = read(nft_chain_msg, nft.NEWCHAIN, nft.chain(CHAIN))
    assert (chain["NFTA_CHAIN_TABLE"], chain["NFTA_CHAIN_NAME"]) == ("netapply", "names")
    assert (chain["NFTA_CHAIN_TYPE"], chain["NFTA_CHAIN_POLICY"]) == ("filter", 1)
    hook = dict(chain["NFTA_CHAIN_HOOK"]["attrs"])  # type: ignore[index]  # pyroute2 has no types
    assert (hook["NFTA_HOOK_HOOKNUM"], hook["NFTA_HOOK_PRIORITY"]) == (3, -300)


def test_pyroute2_reads_the_rules() -> None:
    for rule in name_redirect._rules(61053):
        found = read(nft_rule_msg, nft.NEWRULE, nft.rule("netapply", "names", rule))
        names = [dict(each["attrs"])["NFTA_EXPR_NAME"] for each in found["NFTA_RULE_EXPRESSIONS"]]  # type: ignore[attr-defined]  # as above
        assert names == ["payload", "cmp", "meta", "cmp", "payload", "cmp", "notrack", "immediate", "payload"]


@pytest.mark.parametrize("port", name_redirect.PORTS)
def test_a_rule_is_read_back_as_it_was_written(port: int) -> None:
    for rule in name_redirect._rules(port):
        body = nft.rule("netapply", "names", rule)
        chain_name, found = nft.read_rule(body, 0, len(body))
        assert chain_name == "names"
        assert found == rule
        assert nft.same(rule, found)
        other = name_redirect._rules(port + 100)[0]
        assert not nft.same(rule, other)
        assert not nft.same(rule, found[:-1])


def test_attributes_of_a_later_kernel_make_no_difference() -> None:
    (first, *rest) = name_redirect._rules(61053)[0]
    assert nft.same((first, *rest), (first._replace(values=(*first.values, (99, b"new"))), *rest))


def test_a_chain_is_read_back_as_it_was_written() -> None:
    body = nft.chain(CHAIN)
    assert nft.read_chain(body, 0, len(body)) == CHAIN
    plain = nft.chain_request("netapply", "names")
    assert nft.read_chain(plain, 0, len(plain)) is None


def test_a_batch_is_one_transaction_with_counted_messages() -> None:
    data = nft.batch([(nft.NEWTABLE, 0x400, nft.table("a")), (nft.DELTABLE, 0x4, nft.table("b"))])
    kinds, offset = [], 0
    while offset < len(data):
        length, kind, flags, number, _ = struct.unpack_from("=IHHII", data, offset)
        kinds.append((kind, flags, number))
        offset += length + 3 & ~3
    assert kinds == [(16, 1, 0), (10 << 8, 0x401, 1), (10 << 8 | 2, 5, 2), (17, 1, 3)]


@given(st.binary(max_size=200))
def test_random_bytes_never_hang_the_reader(data: bytes) -> None:
    with contextlib.suppress(struct.error):
        nft.expressions(data)
