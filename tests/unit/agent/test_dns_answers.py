"""What the resolver says to whom: views and answers, with dnslib as the judge of every message."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import Any

import pytest
from dnslib import EDNS0, QTYPE, RCODE, DNSHeader, DNSQuestion, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from reconciler.agent.dns import message
from reconciler.agent.dns.answer import Reply, answer, failure
from reconciler.agent.dns.views import KEPT_REPLIES, Views
from reconciler.agent.dns.zones import Registration, View, zones

REGISTRATIONS = (
    Registration("shop_front", ("web", "www"), ("10.7.0.2", "fd00:7::2")),
    Registration("shop_front", ("proxy", "www"), ("10.7.0.3",)),
    Registration("shop_back", ("proxy",), ("10.8.0.3",)),
    Registration("shop_back", ("db.example.org",), ("10.8.0.4",)),
    Registration("many", ("all",), tuple(f"10.9.{n >> 8}.{n & 255}" for n in range(5000))),
    Registration("silent", (), ("10.6.0.1",)),
)


VIEWS = Views(lambda: REGISTRATIONS)


def view(*networks: str, links: Any = ()) -> View:
    return VIEWS.view(networks, links)


def question(name: str, kind: str = "A", **header: Any) -> DNSRecord:
    return DNSRecord(DNSHeader(id=4711, rd=1, **header), q=DNSQuestion(name, getattr(QTYPE, kind)))


def replies(
    asked: DNSRecord | bytes, seen: View, *, forwards: bool = False, largest: int | None = None
) -> list[DNSRecord]:
    reply = answer(bytes(asked if isinstance(asked, bytes) else asked.pack()), seen, forwards=forwards, largest=largest)
    assert reply is not None
    return [DNSRecord.parse(each) for each in reply.variants]


def said(name: str, kind: str, seen: View) -> tuple[str, list[str]]:
    reply = replies(question(name, kind), seen)[0]
    return str(RCODE[reply.header.rcode]), sorted(str(record.rdata) for record in reply.rr)


@pytest.mark.parametrize(
    ("networks", "name", "kind", "expected"),
    [
        (["shop_front"], "web", "A", ("NOERROR", ["10.7.0.2"])),
        (["shop_front"], "web", "AAAA", ("NOERROR", ["fd00:7::2"])),
        (["shop_front"], "WEB", "ANY", ("NOERROR", ["10.7.0.2", "fd00:7::2"])),
        (["shop_front"], "web.shop_front", "A", ("NOERROR", ["10.7.0.2"])),
        (["shop_front"], "web.", "A", ("NOERROR", ["10.7.0.2"])),
        (["shop_front"], "www", "A", ("NOERROR", ["10.7.0.2", "10.7.0.3"])),
        (["shop_front"], "proxy", "AAAA", ("NOERROR", [])),
        (["shop_front"], "proxy", "TXT", ("NOERROR", [])),
        (["shop_front"], "web", "PTR", ("NOERROR", [])),
        (["shop_front"], "db.example.org", "A", ("NXDOMAIN", [])),
        (["shop_front"], "proxy.shop_back", "A", ("NXDOMAIN", [])),
        (["shop_back"], "web", "A", ("NXDOMAIN", [])),
        (["shop_back"], "db.example.org", "A", ("NOERROR", ["10.8.0.4"])),
        (["shop_back"], "db", "A", ("NXDOMAIN", [])),
        (["shop_back", "shop_front"], "proxy", "A", ("NOERROR", ["10.7.0.3", "10.8.0.3"])),
        ([], "web", "A", ("NXDOMAIN", [])),
        (["unheard-of"], "web", "A", ("NXDOMAIN", [])),
        (["shop_front"], "2.0.7.10.in-addr.arpa", "PTR", ("NOERROR", ["web.shop_front."])),
        (["shop_front"], ip_address("fd00:7::2").reverse_pointer.upper(), "PTR", ("NOERROR", ["web.shop_front."])),
        (["shop_back"], "2.0.7.10.in-addr.arpa", "PTR", ("NXDOMAIN", [])),
        (["silent"], "1.0.6.10.in-addr.arpa", "PTR", ("NXDOMAIN", [])),
    ],
)
def test_who_sees_what(networks: list[str], name: str, kind: str, expected: tuple[str, list[str]]) -> None:
    assert said(name, kind, view(*networks)) == expected


def test_a_link_is_its_owners_alone_and_goes_before_a_container() -> None:
    links = (("web", ("10.5.0.1",)), ("Database", ("10.5.0.2", "fd00:5::2")))
    seen = view("shop_front", links=links)
    assert said("web", "A", seen) == ("NOERROR", ["10.5.0.1"])
    assert said("web", "AAAA", seen) == ("NOERROR", [])
    assert said("database", "AAAA", seen) == ("NOERROR", ["fd00:5::2"])
    assert said("database", "A", view("shop_front")) == ("NXDOMAIN", [])


def test_the_reply_repeats_what_was_asked_and_may_be_kept_for_a_second() -> None:
    (reply,) = replies(question("wEb.sHop_front"), view("shop_front"))
    assert reply.header.id == 4711
    assert (reply.header.qr, reply.header.aa, reply.header.rd, reply.header.ra, reply.header.tc) == (1, 1, 1, 1, 0)
    assert str(reply.q.qname) == str(reply.rr[0].rname) == "wEb.sHop_front."
    assert reply.rr[0].ttl == 1


def test_addresses_take_turns() -> None:
    orders = [[str(record.rdata) for record in each.rr] for each in replies(question("www"), view("shop_front"))]
    assert orders == [["10.7.0.2", "10.7.0.3"], ["10.7.0.3", "10.7.0.2"]]


@pytest.mark.parametrize(
    ("edns", "largest", "room"),
    [(0, None, 512), (512, None, 512), (100, None, 512), (1232, None, 1232), (65535, None, 4096), (0, 65535, 65535)],
)
def test_what_does_not_fit_is_cut_off_and_said_so(edns: int, largest: int | None, room: int) -> None:
    asked = question("all")
    if edns:
        asked.add_ar(EDNS0(udp_len=edns))
    reply = answer(bytes(asked.pack()), view("many"), forwards=False, largest=largest)
    assert reply is not None
    assert len(reply.variants) == 16
    for variant in reply.variants:
        assert room - 16 < len(variant) <= room
        parsed = DNSRecord.parse(variant)
        assert parsed.header.tc == 1
        assert len(parsed.rr) == (room - len(asked.pack())) // 16
        assert [record.rtype for record in parsed.ar] == ([QTYPE.OPT] if edns else [])
    assert len({str(DNSRecord.parse(variant).rr[0].rdata) for variant in reply.variants}) == 16


def test_who_does_not_speak_edns_gets_none() -> None:
    assert replies(question("web"), view("shop_front"))[0].ar == []


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (question("web", opcode=4), RCODE.NOTIMP),
        (question("web", "AXFR"), RCODE.REFUSED),
        (question("web", "IXFR"), RCODE.REFUSED),
        (DNSRecord(q=DNSQuestion("web", 1, 3)), RCODE.REFUSED),
        (DNSRecord(questions=[DNSQuestion("web"), DNSQuestion("www")]), RCODE.FORMERR),
        (DNSRecord(), RCODE.FORMERR),
        (bytes(question("web").pack()[:-1]), RCODE.FORMERR),
        (bytes(question("web").pack()[:12]) + b"\xc0\x0c\0\1\0\1", RCODE.FORMERR),
        (bytes(question("web").pack()[:12]) + b"\x40" + b"a" * 64 + b"\0\0\1\0\1", RCODE.FORMERR),
        (bytes(question("web").pack()[:12]) + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1", RCODE.FORMERR),
    ],
)
def test_what_nobody_should_ask_is_refused(asked: DNSRecord | bytes, code: int) -> None:
    (reply,) = replies(asked, view("shop_front"), forwards=True)
    assert (reply.header.rcode, reply.rr) == (code, [])


def test_a_later_version_of_edns_is_told_ours() -> None:
    asked = question("web")
    asked.add_ar(EDNS0(version=1, udp_len=1232))
    (reply,) = replies(asked, view("shop_front"))
    assert reply.rr == []
    assert (
        reply.header.rcode,
        reply.ar[0].edns_rcode if hasattr(reply.ar[0], "edns_rcode") else reply.ar[0].ttl >> 24,
    ) == (0, 1)


def test_a_reply_is_never_answered() -> None:
    asked = question("web", qr=1)
    assert answer(bytes(asked.pack()), view("shop_front"), forwards=True) == Reply([])
    assert answer(b"\0" * 11, view("shop_front"), forwards=True) == Reply([])


def test_unknown_names_are_somebody_elses_where_there_is_somebody() -> None:
    asked = bytes(question("example.org").pack())
    assert answer(asked, view("shop_front"), forwards=True) is None
    assert replies(asked, view("shop_front"))[0].header.rcode == RCODE.NXDOMAIN
    assert answer(bytes(question("web", "TXT").pack()), view("shop_front"), forwards=True) is not None


def test_a_dot_within_a_label_is_no_border() -> None:
    asked = bytes(question("x").pack()[:12]) + b"\x0edb.example.org\0\0\1\0\1"
    assert answer(asked, view("shop_back"), forwards=True) is None


def test_a_failure_repeats_the_question() -> None:
    reply = DNSRecord.parse(failure(bytes(question("example.org").pack())))
    assert (reply.header.rcode, reply.header.id, str(reply.q.qname)) == (RCODE.SERVFAIL, 4711, "example.org.")
    assert DNSRecord.parse(failure(bytes(12))).header.rcode == RCODE.SERVFAIL


@given(st.binary(max_size=700), st.booleans())
def test_random_bytes_never_raise(data: bytes, forwards: bool) -> None:
    reply = answer(data, view("shop_front", "many"), forwards=forwards)
    for variant in reply.variants if reply else []:
        assert DNSRecord.parse(variant).header.qr
        assert variant[:2] == data[:2]


HEADERS = st.tuples(
    st.integers(0, 65535), st.integers(0, 0x7FFF), st.just(1), st.just(0), st.just(0), st.integers(0, 3)
)
NAMES = st.lists(st.sampled_from([b"web", b"WWW", b"all", b"shop_front", b"\xff", b"a.b", b"x" * 63]), max_size=5)
TAILS = st.one_of(st.just(b""), st.binary(max_size=40), st.just(b"\0\0\x29\x04\xd0\0\0\0\0\0\0"))


@given(HEADERS, NAMES, st.sampled_from([1, 28, 12, 255, 16, 252]), st.sampled_from([1, 255]), TAILS)
def test_nearly_right_requests_never_raise(
    header: tuple[int, ...], labels: list[bytes], kind: int, class_: int, tail: bytes
) -> None:
    name = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    data = struct.pack(">HHHHHH", *header) + name + struct.pack(">HH", kind, class_) + tail
    reply = answer(data, view("shop_front", "many"), forwards=False)
    assert reply is not None
    for variant in reply.variants:
        assert variant[:2] == data[:2]
        assert len(variant) <= 4096
        assert variant[12 : 12 + len(name) + 4] in {data[12 : 12 + len(name) + 4], b""}


@given(st.binary(max_size=300))
def test_no_random_bytes_are_taken_for_an_answer(data: bytes) -> None:
    asked = bytes(question("example.org").pack())
    assert not message.answers(data, asked)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (question("example.org").reply(), True),
        (question("EXAMPLE.org").reply(), True),
        (question("example.org"), False),
        (question("example.com").reply(), False),
        (question("example.org", "AAAA").reply(), False),
        (DNSRecord(DNSHeader(id=4712, qr=1), q=DNSQuestion("example.org")), False),
        (DNSRecord(DNSHeader(id=4711, qr=1)), False),
    ],
)
def test_which_reply_answers_a_question(reply: DNSRecord, expected: bool) -> None:
    assert message.answers(bytes(reply.pack()), bytes(question("example.org").pack())) is expected


def test_an_address_registered_twice_is_said_once() -> None:
    twice = (*REGISTRATIONS[:1], *REGISTRATIONS[:1])
    seen = Views(lambda: twice).view(("shop_front",), ())
    assert said("web", "A", seen) == ("NOERROR", ["10.7.0.2"])


def test_a_name_that_is_none_on_the_wire_has_no_pointer() -> None:
    made = zones([Registration("n" * 64, ("web",), ("10.0.0.1",)), Registration("net", ("a..b",), ("10.0.0.2",))])
    assert list(made["n" * 64].find_reverse(b"1.0.0.10.in-addr.arpa")) == []
    assert list(made["net"].find_reverse(b"2.0.0.10.in-addr.arpa")) == []


def test_who_sees_the_same_shares_a_view_and_its_replies() -> None:
    views = Views(lambda: REGISTRATIONS)
    one = views.view(("shop_front",), ())
    assert views.view(("shop_front",), ()) is one
    assert views.view(("shop_front",), (("a", ("10.0.0.1",)),)) is not one
    views.renew()
    assert views.view(("shop_front",), ()) is not one


def test_kept_replies_are_bounded_over_all_views() -> None:
    views = Views(lambda: REGISTRATIONS)
    seen = [views.view((network,), ()) for network in ("shop_front", "shop_back")]
    for number in range(KEPT_REPLIES + 10):
        views.keep(seen[number % 2], number.to_bytes(4, "big"), [b""])
    assert sum(len(each.cache) for each in seen) == 10
    views.keep(seen[0], bytes(301), [b""])
    assert bytes(301) not in seen[0].cache
