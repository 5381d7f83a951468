"""Links, lines of the hosts file, the resolver's settings: every form, and every mistake in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.manifest import load
from reconciler.manifest.canonical import render
from reconciler.manifest.model import Dns, ExtraHost, Link
from tests.corpus.outcomes import is_same

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import FaultsOf, LoadText


@pytest.mark.parametrize(
    ("written", "hosts"),
    [
        ("[h=10.0.0.1]", [("h", "10.0.0.1")]),
        ("['h:10.0.0.1']", [("h", "10.0.0.1")]),
        ("[h:10.0.0.1]", [("h", "10.0.0.1")]),
        ("['h:::1']", [("h", "::1")]),
        ("['h=::1']", [("h", "::1")]),
        ("['h=[::1]']", [("h", "::1")]),
        ("['h:[::1]']", [("h", "::1")]),
        ("['h=2001:DB8:0::1']", [("h", "2001:db8::1")]),
        ("['h=1.1.1.1,2.2.2.2']", [("h", "1.1.1.1"), ("h", "2.2.2.2")]),
        ("['h=1.1.1.1, ::1']", [("h", "1.1.1.1"), ("h", "::1")]),
        ("[h=1.1.1.1, h=2.2.2.2, h=1.1.1.1]", [("h", "1.1.1.1"), ("h", "2.2.2.2")]),
        ("[h=host-gateway]", [("h", "host-gateway")]),
        ("['a.b_c.example=1.1.1.1']", [("a.b_c.example", "1.1.1.1")]),
        ("{h: 10.0.0.1}", [("h", "10.0.0.1")]),
        ("{h: '[::1]', i: ::1}", [("h", "::1"), ("i", "::1")]),
        ("{h: [1.1.1.1, 2.2.2.2], i: host-gateway}", [("h", "1.1.1.1"), ("h", "2.2.2.2"), ("i", "host-gateway")]),
        ("{h: '1.1.1.1,2.2.2.2'}", [("h", "1.1.1.1"), ("h", "2.2.2.2")]),
        ("[]", []),
        ("", []),
    ],
)
def test_forms_of_extra_hosts(load_text: LoadText, written: str, hosts: list[tuple[str, str]]) -> None:
    manifest = load_text(f"containers: {{a: {{extra_hosts: {written}}}}}")
    assert [(each.host, each.address) for each in manifest.containers[0].extra_hosts] == hosts
    assert is_same(manifest, load(["-"], environment={}, stdin=render(manifest)))


@pytest.mark.parametrize(
    ("written", "place", "message", "hint"),
    [
        ("[h]", "1:32", "'h' has no address", "HOST=ADDRESS"),
        ("[h=]", "1:32", "'h=' has no address", ""),
        ("['=1.1.1.1']", "1:32", "has no host", ""),
        ("[h=1.1.1]", "1:32", "'1.1.1' is not an IP address", ""),
        ("[h=other]", "1:32", "'other' is not an IP address", ""),
        ("[h=host-gatway]", "1:32", "'host-gatway' is not", "did you mean 'host-gateway'?"),
        ("['h=1.1.1.1,']", "1:32", "'' is not an IP address", ""),
        ("['a b=1.1.1.1']", "1:32", "'a b' is not a host name", ""),
        ('["a\\nb=1.1.1.1"]', "1:32", "is not a host name", ""),
        ("{'a:b': 1.1.1.1}", "1:39", "'a:b' is not a host name", ""),
        ("{h: x}", "1:35", "'x' is not an IP address", ""),
        ("{h: [1.1.1.1, x]}", "1:45", "'x' is not an IP address", ""),
        ("{h: {}}", "1:32", "'h' takes text or a list, not a mapping", ""),
    ],
)
def test_bad_extra_hosts(faults_of: FaultsOf, written: str, place: str, message: str, hint: str) -> None:
    (fault,) = faults_of(f"containers: {{a: {{extra_hosts: {written}}}}}")
    assert message in fault.message
    assert str(fault.source) == f"a.yaml:{place}"
    assert hint in fault.hint


def test_links(load_text: LoadText) -> None:
    manifest = load_text("""
        containers:
          web:
            links: [db, db:database, db]
            external_links: [other, "other:o", billing/db, "billing/db:ledger"]
          db: {links: [web]}
    """)
    web = manifest.containers[0]
    assert web.links == (Link("db", "db"), Link("db", "database"))
    assert web.external_links == (
        Link("other", "other"),
        Link("other", "o"),
        Link("billing/db", "db"),
        Link("billing/db", "ledger"),
    )
    assert str(web.links[1].source) == "a.yaml:4:17"
    assert manifest.warnings == ()
    assert is_same(manifest, load(["-"], environment={}, stdin=render(manifest)))


@pytest.mark.parametrize(
    ("written", "message", "hint"),
    [
        ("links: [dv]", "container 'web' links to 'dv', which is not in the stack", "did you mean 'db'?"),
        ("links: [elsewhere]", "links to 'elsewhere'", "external_links"),
        ("links: [hidden]", "links to 'hidden'", "--profile"),
        ("links: [web]", "links to itself", "remove"),
        ("links: ['db:Localhost']", "'Localhost' is every container's name for itself", "another alias"),
        ("external_links: [a/localhost]", "'localhost' is every container's name for itself", "another alias"),
        ("links: ['db:']", "'db:' is not a link", "NAME:ALIAS"),
        ("links: [':x']", "':x' is not a link", ""),
        ("links: ['db:a:b']", "is not a link", ""),
        ("links: ['db:a b']", "'a b' cannot be the name of a container", ""),
        ("links: [shop/db]", "names a container of another stack", "external_links"),
        ("external_links: [a/b/c]", "'a/b' cannot be the name", ""),
        ("links: [db], network_mode: host", "'links' does not fit network_mode host", ""),
        ("links: [db], network_mode: 'service:db'", "'links' does not fit network_mode service:db", "set it on 'db'"),
        ("dns: 1.1.1.1, network_mode: 'container:x'", "'dns' does not fit network_mode container:x", "set it on 'x'"),
        ("extra_hosts: [a=1.1.1.1], network_mode: 'service:db'", "'extra_hosts' does not fit", "set it on 'db'"),
    ],
)
def test_bad_links(faults_of: FaultsOf, written: str, message: str, hint: str) -> None:
    (fault,) = faults_of(f"containers:\n  web: {{{written}}}\n  db:\n  hidden: {{profiles: [debug]}}")
    assert message in fault.message
    assert hint in fault.hint
    assert fault.source
    assert fault.source.line == 2


@pytest.mark.parametrize(
    ("networks", "mode", "warned"),
    [
        ("[a]", "", True),
        ("[a, b]", "", False),
        ("", "network_mode: 'service:third'", False),
        ("", "network_mode: none", True),
    ],
)
def test_a_link_between_containers_that_share_no_network(
    load_text: LoadText, networks: str, mode: str, warned: bool
) -> None:
    own = f"networks: {networks}" if networks else mode
    manifest = load_text(f"""
        containers:
          web: {{links: [db], networks: [b]}}
          db: {{{own}}}
          third:
        networks: {{a: , b: }}
    """)
    assert ["share no network" in warning.message for warning in manifest.warnings] == [True] * warned


def test_the_resolver(load_text: LoadText) -> None:
    manifest = load_text("""
        containers:
          a: {dns: 9.9.9.9, dns_search: example.org, dns_opt: [ndots:2, use-vc]}
          b: {dns: [9.9.9.9, "2620:FE::FE", 9.9.9.9], dns_search: [a.example, b.example]}
          c: {dns: "${EMPTY:-}", dns_search: ["${EMPTY:-}"], dns_opt: []}
          d: {dns_search: .}
    """)
    assert [container.dns for container in manifest.containers] == [
        Dns(("9.9.9.9",), ("example.org",), ("ndots:2", "use-vc")),
        Dns(("9.9.9.9", "2620:fe::fe"), ("a.example", "b.example")),
        Dns(),
        Dns(search=(".",)),
    ]
    assert str(manifest.containers[0].dns.source) == "a.yaml:3:7"
    assert is_same(manifest, load(["-"], environment={}, stdin=render(manifest)))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("dns: dns.example", "'dns.example' is not an IP address"),
        ("dns: [1.1.1.1, x]", "'x' is not an IP address"),
        ("dns_search: [a b]", "'a b' is not a host name"),
        ('dns_search: "x\\nnameserver 1.1.1.1"', "is not a host name"),
        ("dns_opt: ['ndots 2']", "'ndots 2' is not an option of the resolver"),
        ("dns_opt: ndots:2", "'dns_opt' takes a list"),
    ],
)
def test_a_bad_resolver(faults_of: FaultsOf, written: str, message: str) -> None:
    (fault,) = faults_of(f"containers: {{a: {{{written}}}}}")
    assert message in fault.message


def test_an_unknown_option_of_the_resolver_is_passed_on_with_a_warning(load_text: LoadText) -> None:
    manifest = load_text("containers: {a: {dns_opt: [ndot:2]}}")
    assert manifest.containers[0].dns.options == ("ndot:2",)
    (warning,) = manifest.warnings
    assert "'ndot' is not an option" in warning.message
    assert warning.hint == "did you mean 'ndots'?"


def test_lines_of_several_files_add_up(load_text: LoadText) -> None:
    manifest = load_text(
        "containers: {a: {extra_hosts: [h=1.1.1.1], dns: 1.1.1.1, links: [b]}, b: }",
        "containers: {a: {extra_hosts: {h: [1.1.1.1, 2.2.2.2]}, dns: [2.2.2.2], links: ['b:c']}}",
    )
    a = manifest.containers[0]
    assert a.extra_hosts == (ExtraHost("h", "1.1.1.1"), ExtraHost("h", "2.2.2.2"))
    assert a.dns.servers == ("1.1.1.1", "2.2.2.2")
    assert a.links == (Link("b", "b"), Link("b", "c"))
