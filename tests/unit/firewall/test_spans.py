"""Spans of ports in which nothing overlaps, and subnets as few as can be."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from reconciler.firewall.spans import OpenSpan, collapsed, disjoint, of_family, outermost

SUBNETS = [
    "10.0.0.0/8",
    "10.0.0.0/9",
    "10.128.0.0/9",
    "192.0.2.7/32",
    "0.0.0.0/0",
    "fd00::/8",
    "::/0",
    "2001:db8::1/128",
]
ASKERS = ["10.0.0.1", "10.200.0.1", "192.0.2.7", "203.0.113.1", "fd00::1", "2001:db8::1", "2001:db8::2"]
SPANS = st.lists(
    st.builds(
        lambda protocol, edges, sources: OpenSpan(protocol, min(edges), max(edges), tuple(sources)),
        st.sampled_from(["tcp", "udp"]),
        st.tuples(st.integers(1, 12), st.integers(1, 12)),
        st.lists(st.sampled_from(SUBNETS), max_size=3),
    ),
    max_size=5,
)


def lets_in(spans: list[OpenSpan], protocol: str, port: int, asker: str) -> bool:
    return any(
        span.protocol == protocol
        and span.first <= port <= span.last
        and (not span.sources or any(ip_address(asker) in ip_network(source) for source in span.sources))
        for span in spans
    )


@given(SPANS)
def test_the_same_may_come_and_nothing_overlaps(spans: list[OpenSpan]) -> None:
    found = disjoint(spans)
    for protocol in ("tcp", "udp"):
        for port in range(14):
            assert sum(each.protocol == protocol and each.first <= port <= each.last for each in found) <= 1
            for asker in ASKERS:
                assert lets_in(found, protocol, port, asker) == lets_in(spans, protocol, port, asker)
    assert disjoint(found) == found


def test_what_does_not_overlap_stays_as_it_is() -> None:
    spans = [OpenSpan("tcp", 80, 80), OpenSpan("tcp", 81, 81), OpenSpan("tcp", 82, 90, ("10.0.0.0/8",))]
    assert disjoint(spans) == spans


def test_all_of_a_family_is_two_halves_and_all_of_both_no_limit() -> None:
    assert collapsed(["0.0.0.0/0"]) == ("0.0.0.0/1", "128.0.0.0/1")
    assert collapsed(["::/0", "0.0.0.0/0", "10.0.0.0/8"]) == ()
    assert collapsed(["10.128.0.0/9", "10.0.0.0/9"]) == ("10.0.0.0/8",)


def test_the_sources_of_one_family() -> None:
    assert of_family(["0.0.0.0/0", "fd00::/64"], 4) == ()
    assert of_family(["10.0.0.0/8", "fd00::/64"], 6) == ("fd00::/64",)
    assert of_family(["0.0.0.0/1"], 4) == ("0.0.0.0/1",)


def test_of_subnets_within_each_other_the_outermost_are_left_and_neighbours_stay_apart() -> None:
    given = {"10.0.2.0/24", "10.0.3.0/24", "10.0.2.128/25", "10.0.2.0/25", "fd00::/64", "fd00::/72", "192.0.2.7/32"}
    assert list(outermost(given)) == ["10.0.2.0/24", "10.0.3.0/24", "192.0.2.7/32", "fd00::/64"]
