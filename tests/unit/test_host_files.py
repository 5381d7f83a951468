"""resolv.conf(5) as the C library reads it."""

from __future__ import annotations

import pytest

from reconciler.kernel.host_files import parse_resolv_conf


@pytest.mark.parametrize(
    ("text", "nameservers", "search", "options"),
    [
        ("", (), (), ()),
        ("# nameserver 192.0.2.1\n;nameserver 192.0.2.1\nnameserver 192.0.2.2 # ours\n", ("192.0.2.2",), (), ()),
        ("nameserver fe80::1%eth0\nnameserver nonsense\nnameserver\n", ("fe80::1%eth0",), (), ()),
        ("".join(f"nameserver 192.0.2.{n}\n" for n in range(1, 6)), ("192.0.2.1", "192.0.2.2", "192.0.2.3"), (), ()),
        ("search a b\ndomain c\n", (), ("c",), ()),
        ("options ndots:2 rotate\noptions rotate edns0\n", (), (), ("ndots:2", "rotate", "edns0")),
    ],
)
def test_parsing(text: str, nameservers: tuple[str, ...], search: tuple[str, ...], options: tuple[str, ...]) -> None:
    assert parse_resolv_conf(text) == (nameservers, search, options)
