"""The grammar of ports: every row of the reference's table, and the grammar as a property."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.manifest.faults import FormError
from reconciler.manifest.ports import Published, parse_exposed, parse_short

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import FaultsOf, LoadText


def one(
    target: int,
    published: int | tuple[int, int] | None = None,
    host: str | None = None,
    protocol: str = "tcp",
) -> Published:
    return Published(target, (published, published) if isinstance(published, int) else published, host, protocol)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", [one(80)]),
        ("3000-3005", [one(port) for port in range(3000, 3006)]),
        ("80:8080", [one(8080, 80)]),
        ("80-90:8080", [one(8080, (80, 90))]),
        ("80-82:8080/udp", [one(8080, (80, 82), protocol="udp")]),
        ("80-82:8080-8082", [one(8080, 80), one(8081, 81), one(8082, 82)]),
        ("8000-9000:80", [one(80, (8000, 9000))]),
        ("127.0.0.1:5000-5010:5000-5010", [one(port, port, "127.0.0.1") for port in range(5000, 5011)]),
        ("127.0.0.1::80", [one(80, None, "127.0.0.1")]),
        ("192.168.1.100::6000/sctp", [one(6000, None, "192.168.1.100", "sctp")]),
        ("[::1]:6001:6001", [one(6001, 6001, "::1")]),
        ("::1:6000:6000", [one(6000, 6000, "::1")]),
        ("[2001:4860:0:2001::68]::333", [one(333, None, "2001:4860:0:2001::68")]),
        ("2001:db8::68::333", [one(333, None, "2001:db8::68")]),
        ("::::80", [one(80, None, "::")]),
        (":8080:6000/tcp", [one(6000, 8080)]),
        ("6060:6060/udp", [one(6060, 6060, protocol="udp")]),
        ("1234/", [one(1234)]),
        (":12345", [one(12345)]),
        ("8480:80/TCP", [one(80, 8480)]),
        ("80-80:80-80", [one(80, 80)]),
        ("0:80", [one(80)]),
        ("10000-10001:7000-7001/udp", [one(7000, 10000, protocol="udp"), one(7001, 10001, protocol="udp")]),
    ],
)
def test_short_form(text: str, expected: list[Published]) -> None:
    assert parse_short(text) == expected


@pytest.mark.founding("S4-21", "S4-23")
@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "names no port", "the forms are"),
        ("9999999", "'9999999' is not a port", "from 1 to 65535"),
        ("65536", "'65536' is not a port", "from 1 to 65535"),
        ("0", "'0' is not a port", ""),
        ("tcp", "'tcp' is not a port", ""),
        ("xx:xx", "'xx' in 'xx:xx' is not a port", ""),
        ("80/xyz", "'xyz' is not a protocol", "tcp, udp or sctp"),
        ("80/tcp:80", "'80/tcp' in '80/tcp:80' is not a port", ""),
        ("127.0.1:8080:80", "'127.0.1' is not an IP address", ""),
        ("localhost:80:80", "'localhost' is not an IP address", "write 127.0.0.1"),
        ("web.example:80:80", "'web.example' is not an IP address", "not a name"),
        ("1234-1230", "ends before it begins", "1230-1234"),
        ("192.168.1.100", "'192.168.1.100' is not a port", ""),
        ("1.2.3.4:-1:-1", "'-1' in '1.2.3.4:-1:-1' is not a port", ""),
        ("8080::80", "'8080' is not an IP address", "one colon: 8080:80"),
        ("192.168.10.10:8080::80", "is not an IP address", "192.168.10.10:8080:80"),
        ("[::1]:80", "'[::1]:80' names an address, but no port of the host", "write [::1]:80:80, or [::1]::80"),
        ("0.0.0.0:80", "names an address, but no port of the host", "write 0.0.0.0:80:80, or 0.0.0.0::80"),
        ("127.0.0.1:53/udp", "no port of the host", "write 127.0.0.1:53:53/udp, or 127.0.0.1::53/udp"),
        ("localhost:80-81", "no port of the host", "write 127.0.0.1:80-81:80-81"),
        ("::1:80", "no port of the host", "write [::1]:80:80"),
        ("::1:80:81-82", "pairs 1 ports of the host with 2", ""),
        ("8080:80, 8443:443", "is more than one mapping", 'write each as an item of its own: ["8080:80", "8443:443"]'),
        ("80 -443", "is more than one mapping", '["80", "443"]'),
        ("80, x", "is not a port", "the forms are"),
        ("[::1]80:80", "a ':' is missing behind the address", "write [::1]:80:80"),
        ("[::1]:80:80:80", "is not an IP address", ""),
        ("[fe80::1%eth0]:80:80", "has a scope", "that is not link-local"),
        ("80-81:80-82", "pairs 2 ports of the host with 3", "same length"),
        ("80:80-82", "pairs 1 ports of the host with 3", "same length"),
        ("8000\u20139000:80", "is not a port", "type it anew"),
        ("\u0661\u0662:80", "is not a port", ""),  # digits of another script
        ("fe80::1%eth0:80:80", "has a scope", ""),
    ],
)
def test_what_is_no_short_form(text: str, message: str, hint: str) -> None:
    with pytest.raises(FormError) as caught:
        parse_short(text)
    assert message in str(caught.value)
    assert hint in caught.value.hint


ports = st.integers(1, 65535)
hosts = st.none() | st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str)
protocols = st.sampled_from(["tcp", "udp", "sctp"])


@given(target=ports, published=st.none() | ports, host=hosts, protocol=protocols, brackets=st.booleans())
def test_printed_and_parsed_is_the_same(
    target: int,
    published: int | None,
    host: str | None,
    protocol: str,
    brackets: bool,
) -> None:
    wanted = one(target, published, host, protocol)
    shown = f"[{host}]" if host and ":" in host and brackets else host
    middle = str(published or "")
    text = f"{shown}:{middle}:{target}" if host else f"{middle}:{target}"
    assert parse_short(f"{text}/{protocol.upper()}") == [wanted]


@given(first=ports, length=st.integers(0, 50), shift=st.integers(-65535, 65535))
def test_equal_ranges_pair_port_by_port(first: int, length: int, shift: int) -> None:
    last, low, high = first + length, first + shift, first + length + shift
    text = f"{low}-{high}:{first}-{last}"
    if min(low, first) < 1 or max(high, last) > 65535:
        with pytest.raises(FormError):
            parse_short(text)
    else:
        assert [(port.target, port.published) for port in parse_short(text)] == [
            (target, (target + shift, target + shift)) for target in range(first, last + 1)
        ]


@given(st.text(alphabet="0123456789:-./[]tcpudx ", max_size=24))
def test_any_text_is_a_port_or_a_form_error(text: str) -> None:
    with suppress(FormError):
        assert all(1 <= port.target <= 65535 for port in parse_short(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("80", "80/tcp"), ("3000-3005/UDP", "3000-3005/udp"), ("53-53/udp", "53/udp")],
)
def test_exposed(text: str, expected: str) -> None:
    assert parse_exposed(text) == expected


def test_long_form(load_text: LoadText) -> None:
    manifest = load_text("""
        containers:
          web:
            ports:
              - target: 80
                published: "8083-9000"
                host_ip: 127.0.0.1
                protocol: udp
                app_protocol: http
                mode: host
                name: page
                x-mine: free
              - {target: "443", published: 8443}
              - target: 22
    """)
    found = [(p.target, p.published, p.host_address, p.protocol, p.name) for p in manifest.containers[0].ports]
    assert found == [
        (80, (8083, 9000), "127.0.0.1", "udp", "page"),
        (443, (8443, 8443), None, "tcp", None),
        (22, None, None, "tcp", None),
    ]


def test_an_entry_given_twice_counts_once(load_text: LoadText) -> None:
    manifest = load_text("""
        containers:
          web: {ports: ["9080:80", 80, "9080:80", {target: 80, published: 9080, name: page}, 80]}
    """)
    assert [(p.published, p.name) for p in manifest.containers[0].ports] == [((9080, 9080), "page"), (None, None)]


def test_one_variable_may_carry_address_and_port(load_text: LoadText) -> None:
    text = 'containers: {db: {ports: ["${SQL_PORT:-127.0.0.1:13306}:3306", "${A:-}:${B:-443}:${B:-443}"]}}'
    found = [(p.host_address, p.published, p.target) for p in load_text(text).containers[0].ports]
    assert found == [("127.0.0.1", (13306, 13306), 3306), (None, (443, 443), 443)]


@pytest.mark.founding("S1-22", "S2-18")
@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        ("80:1", "80:2", True),
        ("80:1", "80:1", True),
        ("80:1", "80:1/udp", False),
        ("80:1", "81:1", False),
        ("80:1", "127.0.0.1:80:1", True),
        ("127.0.0.1:80:1", "80:1", True),
        ("127.0.0.1:80:1", "127.0.0.2:80:1", False),
        ("127.0.0.1:80:1", "127.0.0.1:80:1", True),
        ("0.0.0.0:80:1", "[::]:80:1", False),
        ("[::]:80:1", "127.0.0.1:80:1", False),
        ("[::]:80:1", "[::1]:80:1", True),
        ("[::1]:80:1", "80:1", True),
        ("80-90:1", "85:1", False),
        ("80-82:80-82", "81:1", True),
        ("80", "80", False),
    ],
)
def test_two_containers_and_one_host_port(
    load_text: LoadText, faults_of: FaultsOf, first: str, second: str, clash: bool
) -> None:
    text = f"""
        containers:
          one:
            ports:
              - "{first}"
          two:
            ports:
              - "{second}"
        networks: {{default: {{enable_ipv6: true}}}}
    """
    if not clash:
        assert len(load_text(text).containers) == 2
        return
    (fault,) = faults_of(text)
    assert "is published twice; first at a.yaml:5:9 (container one), again for container two" in fault.message
    assert str(fault.source) == "a.yaml:8:9"


@pytest.mark.parametrize(
    ("options", "first", "second", "clash"),
    [
        # The network's own binding takes the wildcard's place, in IPv4 only.
        ("driver_opts: {com.docker.network.bridge.host_binding_ipv4: 127.0.0.1}", "80:1", "127.0.0.2:80:1", False),
        ("driver_opts: {com.docker.network.bridge.host_binding_ipv4: 127.0.0.1}", "80:1", "127.0.0.1:80:1", True),
        ("driver_opts: {com.docker.network.bridge.host_binding_ipv4: 127.0.0.1}", "80:1", "0.0.0.0:80:1", True),
        ("driver_opts: {com.docker.network.bridge.host_binding_ipv4: 0.0.0.0}", "80:1", "127.0.0.2:80:1", True),
        # Without IPv6 nothing is bound there.
        ("enable_ipv6: false", "80:1", "[::1]:80:1", False),
        ("enable_ipv6: true", "80:1", "[::1]:80:1", True),
        # What is open at its own address takes no port of the host.
        ("driver_opts: {com.docker.network.bridge.gateway_mode_ipv4: routed}", "80:1", "127.0.0.1:80:1", False),
    ],
)
def test_the_network_says_where_a_port_is_bound(
    load_text: LoadText, faults_of: FaultsOf, options: str, first: str, second: str, clash: bool
) -> None:
    text = f"""
        containers:
          one: {{ports: ["{first}"]}}
          two: {{ports: ["{second}"], networks: [other]}}
        networks: {{default: {{{options}}}, other: {{enable_ipv6: true}}}}
    """
    if clash:
        (fault,) = faults_of(text)
        assert "published twice; first at a.yaml:3:" in fault.message
    else:
        assert len(load_text(text).containers) == 2


def test_a_range_that_others_have_whole(load_text: LoadText, faults_of: FaultsOf) -> None:
    text = "containers: {a: {ports: ['80-82:80-82']}, b: {ports: ['80-82:9']}}"
    (fault,) = faults_of(text)
    assert "every port from 80 to 82/tcp is published by others; container 'b' has none" in fault.message
    assert str(fault.source) == "a.yaml:1:55"
    for other in ("80-83:9", "80-82:9/udp"):
        assert len(load_text(text.replace("80-82:9", other)).containers) == 2


@pytest.mark.parametrize(
    "text",
    [
        "x-p: &p {ports: ['80:80']}\ncontainers:\n  a: {<<: *p}\n  b: {<<: *p}",
        "containers:\n\n  a: {ports: ['80:80']}\n  b: {extends: a}",
    ],
)
def test_one_entry_of_two_containers(faults_of: FaultsOf, text: str) -> None:
    (fault,) = faults_of(text)
    assert "this is the entry of containers 'a' at a.yaml:3:3 and 'b' at a.yaml:4:3" in fault.message
    assert "!override" in fault.hint


def test_every_fault_of_a_long_form_stands_at_its_key(faults_of: FaultsOf) -> None:
    faults = faults_of("""
        containers:
          a:
            ports:
              - target: x
                published: 99999
                host_ip: localhost
                protocol: http
                sources: [a]
              - {target: ""}
    """)
    assert [(fault.source.line, fault.source.column) for fault in faults if fault.source] == [
        (5, 17),
        (6, 20),
        (7, 18),
        (8, 19),
        (9, 19),
        (10, 18),
    ]
    assert not any("127.0.0.1:8080:80" in fault.hint for fault in faults), "a hint with short forms"


@pytest.mark.parametrize("key", ["expose", "network_mode: host, open"])
def test_nothing_is_mapped_by(faults_of: FaultsOf, key: str) -> None:
    (fault,) = faults_of(f"containers: {{a: {{{key}: ['8080:80/udp']}}}}")
    assert "'8080:80/udp' is a mapping of ports" in fault.message
    assert fault.hint.startswith("write 80/udp;")
    (fault,) = faults_of(f"containers: {{a: {{{key}: ['x']}}}}")
    assert "8080:80" not in fault.hint
