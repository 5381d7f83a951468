"""``network_mode``: what does not fit each mode is an error that says what to write instead, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import FaultsOf, LoadText


@pytest.mark.founding("S2-12", "S2-28", "S2-30")
@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("ports: ['80:80', 443]", "write open: [80/tcp, 443/tcp]"),
        # S2-30: another port than the process has needs a namespace of its own.
        ("ports: ['81:80']", "a mapping such as 81:80 needs a network namespace of its own: remove network_mode"),
        ("ports: ['81-83:80']", "a mapping such as 81:80"),
        ("ports: [{target: 53, published: 53, protocol: udp}]", "write open: [53/udp]"),
    ],
)
def test_published_ports_in_host_mode_are_an_error_that_says_what_to_write(
    faults_of: FaultsOf, written: str, hint: str
) -> None:
    """S2-12, S2-28, S2-30."""
    (fault,) = faults_of(f"containers:\n  a: {{network_mode: host, {written}}}")
    assert str(fault.source) == "a.yaml:2:27"
    assert "with network_mode host its ports are the host's own" in fault.message
    assert hint in fault.hint


@pytest.mark.founding("S3-22")
def test_ports_need_a_network(faults_of: FaultsOf) -> None:
    """S3-22: none with ports."""
    (fault,) = faults_of("containers: {a: {network_mode: none, ports: [3000:80]}}")
    assert fault.message == "ports need a network: container 'a' has none with network_mode none"
    assert str(fault.source) == "a.yaml:1:38"


@pytest.mark.founding("S0-10", "S0-11")
@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("ports: [8080:8080]", "set it on 'web1' (a.yaml:4:5): add `- 8080:8080` to ports there"),
        (
            "ports: [{target: 80, published: 81}]",
            """set it on 'web1' (a.yaml:4:5): add `- {"target": "80", "published": "81"}` to ports there""",
        ),
        ("links: [db]", "set it on 'web1' (a.yaml:2:3): add `- db` to links there"),
        ("external_links: [x/db]", "add `- x/db` to external_links there"),
        ("dns: 9.9.9.9", "add `- 9.9.9.9` to dns there"),
        ("dns_search: [a.example, b.example]", "add `- a.example`, `- b.example` to dns_search there"),
        ("dns_opt: [ndots:1]", "add `- ndots:1` to dns_opt there"),
        ("extra_hosts: {h: [1.1.1.1, 2.2.2.2]}", "add `- h=1.1.1.1`, `- h=2.2.2.2` to extra_hosts there"),
        ("mac_address: '02:00:00:00:00:01'", "set it on 'web1' (a.yaml:2:3): `mac_address: 02:00:00:00:00:01`"),
        ("hostname: h", "`hostname: h`"),
        ("domainname: d.example", "`domainname: d.example`"),
        ("floating_ip: 192.0.2.50", "add `- 192.0.2.50` to floating_ip there"),
        ("egress_ip: [192.0.2.51]", "add `- 192.0.2.51` to egress_ip there"),
        ("open: [80]", "add `- 80` to open there"),
    ],
)
@pytest.mark.parametrize("mode", ["service:web1", "container:web1", "container:called", "service:web2"])
def test_what_belongs_to_the_owner_names_the_owner_and_the_line_to_add_there(
    faults_of: FaultsOf, mode: str, key: str, hint: str
) -> None:
    """S0-10, S0-11: also through a chain, where the owner is at its end."""
    (fault,) = faults_of(f"""\
        containers:
          web1:
            container_name: called
            ports: [80:80]
          joiner: {{network_mode: "{mode}", {key}}}
          web2: {{network_mode: "service:web1"}}
          db:
    """)
    assert f"'{key.partition(':')[0]}' does not fit network_mode {mode}, whose namespace is another's" in (
        fault.message.replace("another container's", "another's")
    )
    assert fault.source
    assert fault.source.line == 5
    assert hint in fault.hint


def test_networks_of_a_joiner_are_the_owners(faults_of: FaultsOf) -> None:
    (fault,) = faults_of("containers:\n  w:\n  j: {network_mode: 'service:w', networks: [default]}")
    assert fault.message == (
        "container 'j' declares mutually exclusive 'network_mode' and 'networks'; networks at a.yaml:3:34"
    )
    assert fault.hint == "it has the networks of 'w' (a.yaml:2:3): remove networks here, and add them there"


@pytest.mark.founding("S0-17")
def test_the_owner_may_be_of_another_stack_or_in_the_hosts_network(faults_of: FaultsOf) -> None:
    """S0-17: what a joiner of a host-mode owner would publish is opened by the owner."""
    first, second = faults_of("""\
        containers:
          a: {network_mode: "container:other", ports: [80:80]}
          b: {network_mode: "service:h", ports: [80:80]}
          h: {network_mode: host}
    """)
    assert first.hint == "set it on 'other', in its own stack's file: add `- 80:80` to ports there"
    assert second.hint == "'h' is in the host's network, where nothing is mapped: use open on 'h' (a.yaml:4:3)"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("network_mode: host, links: [b]", "'links' does not fit network_mode host"),
        ("network_mode: host, mac_address: '02:00:00:00:00:01'", "'mac_address' does not fit network_mode host"),
        ("network_mode: host, floating_ip: 192.0.2.50", "'floating_ip' does not fit network_mode host"),
        ("network_mode: host, egress_ip: 192.0.2.50", "'egress_ip' does not fit network_mode host"),
        ("network_mode: none, mac_address: '02:00:00:00:00:01'", "'mac_address' does not fit network_mode none"),
        ("network_mode: none, floating_ip: 192.0.2.50", "'floating_ip' does not fit network_mode none"),
        ("network_mode: bridge, mac_address: '02:00:00:00:00:01'", "'mac_address' does not fit network_mode bridge"),
        ("network_mode: bridge, networks: [default]", "mutually exclusive 'network_mode' and 'networks'"),
        ("network_mode: host, networks: {default: }", "mutually exclusive 'network_mode' and 'networks'"),
    ],
)
def test_what_has_no_meaning_in_a_mode(faults_of: FaultsOf, written: str, message: str) -> None:
    (fault,) = faults_of(f"containers: {{a: {{{written}}}, b: }}")
    assert message in fault.message
    assert fault.hint


@pytest.mark.parametrize(
    ("mode", "why"),
    [("", "a network namespace of its own"), ("network_mode: bridge,", "bridge"), ("network_mode: none,", "none")],
)
def test_open_is_for_the_hosts_network_only(faults_of: FaultsOf, mode: str, why: str) -> None:
    (fault,) = faults_of(f"containers: {{a: {{{mode} open: [8080/tcp]}}}}")
    assert "'open' is for containers in the host's network" in fault.message
    assert why in fault.message
    assert fault.hint == "publish it instead: ports: ['8080:8080']"


def test_circles_name_all_their_members_once(faults_of: FaultsOf) -> None:
    (fault,) = faults_of("""\
        containers:
          a: {network_mode: "service:b"}
          b: {network_mode: "container:called"}
          c: {network_mode: "service:a", container_name: called}
          d: {network_mode: "service:a"}
    """)
    assert fault.message == "network_mode goes in a circle: a -> b -> c -> a"


@pytest.mark.parametrize(
    ("mode", "message", "hint"),
    [
        ("service:wbe", "'wbe', which is not in the stack", "did you mean 'web'?"),
        ("service:debugger", "'debugger', which is not in the stack", "profile that is not active"),
        ("service:gone", "'gone', which is not in the stack", "it has no replicas: a.yaml:4:3"),
        ("service:many", "'many', which is 2 containers", "name one of them: service:many-1"),
        ("container:many", "'many', which is 2 containers", "name one of them: container:many-1"),
        ("service:web-1", "'web-1', which is not in the stack", "did you mean 'web'?"),
        ("service:many-3", "'many-3', which is not in the stack", "did you mean 'many'?"),
    ],
)
def test_owners_that_are_not_there_or_are_several(faults_of: FaultsOf, mode: str, message: str, hint: str) -> None:
    (fault,) = faults_of(f"""\
        containers:
          web:
          debugger: {{profiles: [debug]}}
          gone: {{scale: 0}}
          many: {{scale: 2}}
          a: {{network_mode: "{mode}"}}
    """)
    assert message in fault.message
    assert hint in fault.hint
    assert str(fault.source) == "a.yaml:6:21"


def test_one_replica_may_be_named(load_text: LoadText) -> None:
    manifest = load_text("containers: {many: {scale: 2}, a: {network_mode: 'service:many-2'}}")
    assert [each.name for each in manifest.containers] == ["many-1", "many-2", "a"]
    assert manifest.containers[2].network_mode == "service:many-2"


@pytest.mark.founding("S4-30")
def test_drivers_have_a_suggestion(faults_of: FaultsOf) -> None:
    """S4-30: 'maclan', and a name that there is not."""
    maclan, lo = faults_of("networks: {a: {driver: maclan}, b: {driver: lo}}")
    assert maclan.hint == "did you mean 'macvlan'?"
    assert lo.hint == "one of bridge, ipvlan, macvlan"
