"""Names that netapply gives: short, safe, one for each; labels that read back."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from reconciler.naming import (
    BRIDGE_PREFIX,
    ENDPOINT_PREFIX,
    NAME_LENGTH,
    Label,
    digest,
    interface_name,
    mac_address,
    parse_label,
)

# What a manifest lets a name be, and, for the names of interfaces, anything else too.
names = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}", fullmatch=True)
common = st.builds(
    lambda head, tail: head + tail, st.sampled_from(["", "web", "a" * 199, "é" * 60]), st.text(max_size=1)
)
prefixes = st.sampled_from([BRIDGE_PREFIX, ENDPOINT_PREFIX])


@given(prefixes, common | names, common | names)
def test_interface_names_are_short_and_safe(prefix: str, name: str, path: str) -> None:
    found = interface_name(prefix, name, path)
    assert re.fullmatch(r"n[av]-[a-z0-9-]{6,12}", found)
    assert len(found) <= 15
    assert found == interface_name(prefix, name, path)
    assert found != interface_name(prefix, name, path, attempt=1)


@given(st.lists(st.tuples(prefixes, common, common), unique=True, min_size=2, max_size=50))
def test_interface_names_differ(paths: list[tuple[str, str, str]]) -> None:
    assert len({interface_name(*path) for path in paths}) == len(paths)


def test_no_two_of_many_interface_names_are_alike() -> None:
    many = {interface_name(ENDPOINT_PREFIX, "web", f"shop/web{number}", "shop/front") for number in range(5000)}
    # 30 bits of hash: one collision in 5000 names has a chance of about one in a hundred.
    assert len(many) == 5000


@given(st.lists(common, min_size=1, max_size=3), st.lists(common, min_size=1, max_size=3))
def test_a_digest_tells_sequences_apart(first: list[str], second: list[str]) -> None:
    clean = [[text.replace("\0", "") for text in texts] for texts in (first, second)]
    assert (digest(*clean[0]) == digest(*clean[1])) == (clean[0] == clean[1])


@given(common, common)
def test_macs_are_local_and_unicast(first: str, second: str) -> None:
    found = mac_address(first, second)
    assert re.fullmatch(r"02(:[0-9a-f]{2}){5}", found)
    assert found == mac_address(first, second)


@given(st.sampled_from(["sandbox", "endpoint", "bridge"]), names, names, names)
def test_labels_read_back_and_fit(kind: str, stack: str, name: str, network: str) -> None:
    assert all(len(each) <= NAME_LENGTH for each in (stack, name, network))
    label = Label(kind, f"{2**64 - 1}", stack, name, network, "0" * 16)
    assert parse_label(str(label)) == label
    assert len(str(label).encode()) <= 254


@given(st.text())
def test_other_people_s_aliases_are_no_labels(alias: str) -> None:
    assert parse_label(alias) is None
    assert parse_label(f"netapply:{alias.replace(':', '')}") is None
