"""MAC addresses and interface names."""

from __future__ import annotations

import pytest

from reconciler.manifest.addresses import parse_interface_name, parse_mac
from reconciler.manifest.faults import FormError


@pytest.mark.parametrize("text", ["02:42:AC:11:00:02", "02-42-ac-11-00-02"])
def test_mac(text: str) -> None:
    assert parse_mac(text) == "02:42:ac:11:00:02"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("02:42:ac:11:00", "is not a MAC address"),
        ("02:42:ac:11:00:02:03", "is not a MAC address"),
        ("02:42-ac:11:00:02", "is not a MAC address"),
        ("0242.ac11.0002", "is not a MAC address"),
        ("gg:42:ac:11:00:02", "is not a MAC address"),
        ("03:42:ac:11:00:02", "is a multicast address"),
        ("ff:ff:ff:ff:ff:ff", "is a multicast address"),
        ("00:00:00:00:00:00", "means none"),
    ],
)
def test_bad_mac(text: str, message: str) -> None:
    with pytest.raises(FormError, match=message):
        parse_mac(text)


@pytest.mark.parametrize("text", ["a", "eth0", "eth0.10", "br-0123456789ab", "ü" * 7])
def test_interface_name(text: str) -> None:
    assert parse_interface_name(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "a" * 16, "ü" * 8, "a/b", "a:b", "a b", "a\tb", "a\nb", "a\u00a0b", "eth%d", "a\x1bb", ".", "..", "lo", "all"],
)
def test_bad_interface_name(text: str) -> None:
    with pytest.raises(FormError):
        parse_interface_name(text)
