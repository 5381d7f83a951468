"""Advice: what may stand in a manifest, but deserves a second look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from reconciler.manifest.model import Manifest
    from tests.unit.manifest.conftest import FaultsOf, LoadText


def told(manifest: Manifest) -> list[str]:
    """What is said beside the keys that are not used."""
    return [
        f"{each.source} {each.severity} {each.message}" for each in manifest.warnings if "not used" not in each.message
    ]


@pytest.mark.founding("S2-14")
@pytest.mark.parametrize("mode", ["host", "service:h"])
@pytest.mark.parametrize(
    ("key", "place", "what"),
    [("privileged: true", 3, "is privileged"), ("cap_add: [NET_RAW, cap_net_admin]", 20, "has cap_net_admin")],
)
def test_might_in_the_hosts_network(load_text: LoadText, mode: str, key: str, place: int, what: str) -> None:
    """S2-14."""
    manifest = load_text(f"""\
        containers:
          a: {{
          {key}, network_mode: "{mode}"}}
          h: {{network_mode: host}}
          b: {{{key}}}
    """)
    (advice,) = told(manifest)
    where = f"a.yaml:3:{place if 'priv' in key else place + 2}"
    assert advice == f"{where} warning container 'a' {what} in the host's network: it may change every rule there"


@pytest.mark.founding("S2-27")
def test_an_opening_without_sources_is_a_note(load_text: LoadText) -> None:
    """S2-27: told what it covers, and that sources limit it."""
    manifest = load_text("""\
        containers:
          a: {network_mode: host, open: [80, {port: 443, sources: [192.0.2.0/24]}]}
          b: {network_mode: host, open: [8000-8010/udp]}
    """)
    assert told(manifest) == [
        "a.yaml:2:34 note open to any source, at every address of the host: 80/tcp of a, 8000-8010/udp of b"
    ]
    assert "sources:" in manifest.warnings[0].hint


@pytest.mark.founding("S3-14")
def test_the_default_bridge_has_no_names(load_text: LoadText) -> None:
    """S3-14."""
    manifest = load_text("containers: {a: {network_mode: bridge}, b: {network_mode: bridge}, c: }")
    assert told(manifest) == [
        "a.yaml:1:32 note on the default network bridge containers do not find each other by name: a, b"
    ]


@pytest.mark.founding("S2-31")
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("containers: {a: {command: [run, \u2013mount, x]}}", "1:33"),
        ("containers: {a: {command: docker run \u2013mount}}", "1:27"),
        ("containers: {a: {volumes: [\u201c./data:/data\u201d]}}", "1:28"),
        ("containers: {a: {x-netapply: {user: \u2018me\u2019}}}", "1:37"),
    ],
)
def test_characters_of_word_processors_in_values(load_text: LoadText, text: str, place: str) -> None:
    """S2-31."""
    (first, *_) = told(load_text(text))
    assert first.startswith(f"a.yaml:{place} warning")
    assert "stands where" in first


@pytest.mark.founding("S2-31")
@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("containers: {a: {network\u2013mode: host}}", "unknown key", "'\u2013' is not a plain"),
        ("containers: {a: {\u2013\u2013ports: []}}", "unknown key", "did you mean 'ports'?"),
        ("containers: {a: {network_mode: \u201chost\u201d}}", "unknown network_mode", "did you mean 'host'?"),
        ("networks: {a: {driver: \u2018bridge\u2019}}", "unknown network driver", "did you mean 'bridge'?"),
        ("containers: {\u201cweb\u201d: }", "cannot be the name of a container", "is not a plain"),
        ("containers: {a: {ports: [\u201c80:80\u201d]}}", "is not a port", "is not a plain"),
    ],
)
def test_characters_of_word_processors_where_they_are_wrong(
    faults_of: FaultsOf, text: str, message: str, hint: str
) -> None:
    """S2-31."""
    (fault,) = faults_of(text)
    assert message in fault.message
    assert hint in fault.hint


def test_prose_may_have_any_character(load_text: LoadText) -> None:
    manifest = load_text("""\
        containers:
          a:
            environment: {A: "\u201cquoted\u201d \u2013 yes"}
            labels: {b: "\u201cquoted\u201d"}
            command: [echo, "a \u201cword\u201d here, and 1\u20132"]
            x-mine: "\u2013"
    """)
    assert told(manifest) == []


def test_a_port_at_ipv6_loopback_is_said_to_be_reached_by_nobody(load_text: LoadText) -> None:
    manifest = load_text("""\
        containers:
          a: {ports: ["[::1]:8080:80", "127.0.0.1:8080:80"]}
    """)
    assert told(manifest) == ["a.yaml:2:15 warning nothing reaches port 80 of a at [::1]: the kernel drops the answers"]
