"""Faults: all at once, each with its place and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import FaultsOf, LoadText


@pytest.mark.founding("S1-02")
def test_five_faults_of_five_kinds_in_one_run(faults_of: FaultsOf) -> None:
    faults = faults_of("""\
        containers:
          web:
            prots: ["80:80"]
            ports:
              - "8080::80"
            networks:
              frnt:
            user: [1]
          web:
        networks:
          front:
            ipam:
              config:
                - subnet: 172.28.0.1/16
    """)
    assert [str(fault) for fault in faults] == [
        "a.yaml:3:5: error: unknown key 'prots'\n  hint: did you mean 'ports'?",
        "a.yaml:5:9: error: '8080::80': '8080' is not an IP address\n  hint: one colon: 8080:80",
        "a.yaml:7:7: error: container 'web' refers to undefined network 'frnt'\n  hint: did you mean 'front'?",
        "a.yaml:8:5: error: 'user' takes text, not a list",
        (
            "a.yaml:9:3: error: key 'web' is given twice; first at a.yaml:2:3\n"
            "  hint: remove one of them, or put both contents under one key"
        ),
        "a.yaml:14:19: error: '172.28.0.1/16' has host bits set\n  hint: the subnet is 172.28.0.0/16",
    ]


def test_faults_of_several_files_come_together(faults_of: FaultsOf) -> None:
    faults = faults_of("containers: {a: }", "a:\n\tb", "containers: [")
    assert [fault.source.file if fault.source else "" for fault in faults] == ["b.yaml", "c.yaml"]


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("services: {web: {imgae: x}}", "1:18", "unknown key 'imgae'", "did you mean 'image'?"),
        ("services: {web: {zzz: x}}", "1:18", "unknown key 'zzz'", "begin with x-"),
        (
            "networks: {n: {ipv4_address: 1.2.3.4}}",
            "1:16",
            "unknown key 'ipv4_address'",
            "containers.NAME.networks.NAME",
        ),
        ("~name: x", "1:1", "unknown key '~name'", "did you mean 'name'?"),
        ("~text: x", "1:1", "unknown key '~text'", ""),
        ("containers: {a: {~list: x}}", "1:18", "unknown key '~list'", ""),
        ("nework: {}", "1:1", "unknown key 'nework'", "did you mean 'networks'?"),
        ("networks: {n: {driver: maclan}}", "1:24", "unknown network driver 'maclan'", "did you mean 'macvlan'?"),
        ("containers: {a: {ports: 9001:9001}}", "1:25", "'ports' takes a list, not '9001:9001'", "[9001:9001]"),
        ("containers: {a: {ports: [{published: 80}]}}", "1:26", "'target' is missing", "add target:"),
        ("containers: {a: {ports: [[80]]}}", "1:26", "this item takes text or a mapping, not a list", ""),
        ("containers: {a: [x]}", "1:14", "'a' takes a mapping, not a list", ""),
        ("containers: [a]", "1:1", "'containers' takes a mapping, not a list", ""),
        ("networks: {n: {internal: maybe}}", "1:26", "'internal' takes true or false, not 'maybe'", ""),
        ("containers: {a: {networks: {default: {gw_priority: x}}}}", "1:52", "'gw_priority' takes a whole number", ""),
        ("containers: {-a: }", "1:14", "'-a' cannot be the name of a container", "letters, digits"),
        ("containers: {a/b: }", "1:14", "'a/b' cannot be the name of a container", ""),
        (f"containers: {{{'a' * 64}: }}", "1:14", "at most 63 characters", ""),
        ("networks: {..: }", "1:12", "'..' cannot be the name of a network", ""),
        ("networks: {a: {name: 'a b'}}", "1:22", "'a b' cannot be the name of a network", ""),
        ("services: {a: }\ncontainers: {a: }", "1:12", "'a' stands under services and under containers", "keep one"),
        ("containers: {a: {rootfs: /x, x-netapply: {rootfs: /y}}}", "1:43", "key 'rootfs' is given twice", ""),
        ('containers: {a: {command: "echo \'x"}}', "1:27", "command cannot be split into words", "as a list"),
        ("containers: {a: {sysctls: [vm.swappiness=1]}}", "1:28", "is the whole host's", "only net.*"),
        ("containers: {a: {sysctls: {../../etc: 1}}}", "1:39", "is not the name of a kernel setting", ""),
        ("containers: {a: {sysctls: {net.a: 1}, network_mode: host}}", "1:35", "another's namespace", ""),
        ("containers: {a: {network_mode: brige}}", "1:32", "unknown network_mode 'brige'", "did you mean 'bridge'?"),
        ("containers: {a: {network_mode: 'service:'}}", "1:32", "names no service", "service:NAME"),
        ("containers: {a: {network_mode: 'service:a'}}", "1:32", "goes in a circle: a -> a", ""),
        ("containers: {a: {network_mode: 'service:bb'}, bbb: }", "1:32", "not in the stack", "did you mean 'bbb'?"),
        ("containers: {a: {network_mode: none, networks: [default]}}", "1:32", "mutually exclusive", ""),
        ("containers: {b: , a: {network_mode: 'service:b', ports: [80]}}", "1:50", "'ports' does not fit", "'b'"),
        ("containers: {a: {hostname: a b}}", "1:28", "'a b' is not a host name", ""),
        ("containers: {a: {expose: [x]}}", "1:27", "'x' is not a port", ""),
        ("containers: {a: {environment: [=x]}}", "1:32", "without a name", ""),
        ("containers: {a: {mac_address: 12:34}}", "1:31", "is not a MAC address", ""),
        (
            "containers: {a: {container_name: c}, b: {container_name: c}}",
            "1:58",
            "is given twice; first at a.yaml:1:34",
            "",
        ),
        ("containers: {a: {port: ['80:80']}}", "1:18", "unknown key 'port'", "did you mean 'ports'?"),
        ("containers: {a: {network: [n]}}", "1:18", "unknown key 'network'", "did you mean 'networks'?"),
        (
            "containers: {a: {subnet: x}}",
            "1:18",
            "unknown key 'subnet'",
            "networks.NAME, as ipam: {config: [{subnet: …}]}",
        ),
        ("containers: {a: {target: 80}}", "1:18", "unknown key 'target'", "containers.NAME, as ports: [{target: …}]"),
        (
            "containers: {a: {replicas: 2}}",
            "1:18",
            "unknown key 'replicas'",
            "containers.NAME, as deploy: {replicas: …}",
        ),
        (
            "networks: {n: {gateway: 10.0.0.1}}",
            "1:16",
            "unknown key",
            "networks.NAME, as ipam: {config: [{gateway: …}]}",
        ),
        (
            "networks: {n: {driver_opts: {mtu: 9}}}",
            "1:30",
            "unknown option",
            "did you mean 'com.docker.network.driver.mtu'",
        ),
        (
            "networks: {n: {driver_opts: {com.docker.network.bridge.mtu: 9}}}",
            "1:30",
            "unknown option",
            "did you mean 'com.docker.network.driver.mtu'",
        ),
        ("containers: {a: {gateway: 'service:b'}}", "1:18", "unknown key", "under containers.NAME.networks.NAME"),
        ("services: [a]", "1:1", "'services' takes a mapping, not a list", "drop the dashes: services: {a: {…}}"),
        ("services: {a: }\nexpose: x", "2:1", "unknown key 'expose'", "belongs under services.NAME"),
        ("networks: [{n: }]", "1:1", "'networks' takes a mapping, not a list", "networks: {NAME: {…}}"),
        ("containers: {a: {networks: [n: {ipv4_address: 1.1.1.1}]}}", "1:29", "takes text, not a mapping", "{n: {…}}"),
        ("containers: {a: {networks: [n: ]}}", "1:29", "takes text", "drop the dashes: networks: {n: {}}"),
        ("containers: {a: {labels: [x, {a: b}]}}", "1:30", "an item of 'labels' takes text, not a mapping", ""),
        ("containers: {a: {scale: .inf}}", "1:25", "'scale' takes a whole number, not '.inf'", ""),
        (f"containers: {{a: {{scale: {'9' * 200_000}}}}}", "1:25", f"a whole number, not '{'9' * 40}…'", ""),
        ("containers: {a: {dns: 10.0.0.5/24}}", "1:23", "is not an IP address", "without the prefix length: 10.0.0.5"),
        ("containers: {a: {dns: 1.1.1.1:53}}", "1:23", "is not an IP address", "without the port: 1.1.1.1"),
        ("containers: {a: {dns: '[::1]:53'}}", "1:23", "is not an IP address", "without the port: ::1"),
        ("containers: {a: {dns: 300.1.1.1}}", "1:23", "is not an IP address", "four numbers from 0 to 255"),
        ("containers: {a: {dns: 'fd00::12345'}}", "1:23", "is not an IP address", "groups of four hexadecimal"),
        ("containers: {a: {hostname: -bad}}", "1:28", "'-bad' is not a host name", "neither first nor last"),
        ("containers: {a: {hostname: bad-}}", "1:28", "'bad-' is not a host name", ""),
        ("containers: {a: {domainname: x.-y}}", "1:30", "'x.-y' is not a host name", ""),
        ("containers: {a: {extra_hosts: [-x=1.1.1.1]}}", "1:32", "'-x' is not a host name", ""),
        ("containers: {a: {profiles: [-x]}}", "1:29", "'-x' cannot be the name of a profile", "letters, digits"),
    ],
)
def test_one_fault(faults_of: FaultsOf, text: str, place: str, message: str, hint: str) -> None:
    (fault,) = faults_of(text)
    assert message in fault.message
    assert str(fault.source) == f"a.yaml:{place}"
    assert hint in fault.hint


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        (
            "containers: {a: {networks: [host]}}",
            "1:29",
            "undefined network 'host'",
            "write network_mode: host in place",
        ),
        ("containers: {a: {networks: {bridge: }}}", "1:29", "undefined network", "write network_mode: bridge in place"),
        (
            "networks: {n: {allow: [none]}}",
            "1:24",
            "undefined network 'none'",
            "only networks that the manifest declares",
        ),
        ("containers: {a: {networks: n}}", "1:28", "takes a mapping or a list, not 'n'", "as a list: [n]"),
        ("containers: {a: {ports: '[::1]:6:6'}}", "1:25", "'ports' takes a list", 'as a list: ["[::1]:6:6"]'),
        ("containers: {a: {environment: A=c4nary}}", "1:31", "not this value", "as a list: [NAME=VALUE]"),
        ("containers: {a: {ports:\n -80}}", "2:2", "not '-80'", "a space between them: - 80"),
        ("containers: {a: {ports: -80}}", "1:25", "not '-80'", "as a list: [80]"),
        ("networks: {n: {ipam: {config: {subnet: 10.9.0.0/16}}}}", "1:23", "takes a list", "config: [{subnet: …}]"),
        ("networks: {n: {ipam: {config: 10.9.0.0/16}}}", "1:31", "takes a list", "[{subnet: 10.9.0.0/16}]"),
        ("networks: {n: {ipam: {config: [10.9.0.0/16]}}}", "1:32", "takes a mapping", "as {subnet: 10.9.0.0/16}"),
        ("containers: {a: {ports: [8080: 80]}}", "1:26", "a colon with a space", 'write "8080:80"'),
        ("containers: {a: {ports: [{8080:80}]}}", "1:26", "a colon with a space", 'write "8080:80"'),
        ("containers: {a: {ports: {8080: 80, 90: 91/udp}}}", "1:18", "takes a list", 'ports: ["8080:80", "90:91/udp"]'),
        ("containers: {a: {expose: [8080: 80]}}", "1:27", "a colon with a space", 'write "80"'),
        ("containers: {a: {extra_hosts: [h: 1.1.1.1]}}", "1:32", "a colon with a space", "write it as h=1.1.1.1, or"),
        ("containers: {a: {sysctls: [net.core.x: 1]}}", "1:28", "a colon with a space", "write it as net.core.x=1, or"),
        ("containers: {a: {sysctls: ['net.core.x: 1']}}", "1:28", "is not the name", "write net.core.x=1"),
        ("containers: {a: {environment: [A: c4nary]}}", "1:32", "a colon with a space", "write it as NAME=VALUE, or"),
        ("containers: {a: {labels: [A: c4nary]}}", "1:27", "takes text, not a mapping", "or write NAME=VALUE"),
        ("containers: {a: {volumes: [./a: /b]}}", "1:28", "none of the keys", "leave the space out"),
        ("containers: {a: {volumes: [{target: /b}]}}", "1:28", "'type' of 'volumes' is missing", "add type:"),
        ("containers: {a: {networks: {n: , aliases: [x]}}}\nnetworks: {n: }", "1:34", "beside", "indent it under 'n'"),
        ("containers: {a: {networks: {priority: 1}}}", "1:29", "beside", "networks: {NAME: {priority: …}}"),
        ("networks: [n]\ncontainers: {a: {networks: [n]}}", "1:1", "takes a mapping, not a list", "networks: {n: {…}}"),
        (
            "networks: [n: {internal: true}]\ncontainers: {a: {networks: [n]}}",
            "1:1",
            "not a list",
            "networks: {NAME: {…}}",
        ),
        ("containers: {a: {image: '${IMG'}}", "1:25", "without a closing '}'", "write ${IMG}, or write $$"),
        ("containers: {a: {image: '${IMG:-x'}}", "1:25", "without a closing '}'", "close the brace, or write $$"),
        ("containers: {a: {ports: [[::1]:6:6, 80]}}", "1:26", "cannot be a key", "a value with [ in it needs quotes"),
        (
            "containers:\n  a:\n    dns:\n    - [::1]:53\n",
            "4:7",
            "begins with '[' needs quotes",
            "put all of it in quotes",
        ),
        ("containers:\n  a:\n    dns:\n    - ::1\n    -1.1.1.1\n", "5:5", "a dash without a space", "a space after"),
    ],
)
def test_what_was_meant(faults_of: FaultsOf, text: str, place: str, message: str, hint: str) -> None:
    (fault,) = faults_of(text)
    assert message in fault.message
    assert str(fault.source) == f"a.yaml:{place}"
    assert hint in fault.hint
    assert "c4nary" not in str(fault)


def test_a_network_named_like_a_key_is_one(load_text: LoadText) -> None:
    manifest = load_text("""
        services: {a: {networks: {gateway: {priority: 1}, driver_opts: {priority: 2}, host: }}}
        networks: {gateway: , driver_opts: , host: }
    """)
    assert [each.network for each in manifest.containers[0].attachments] == ["gateway", "driver_opts", "host"]


def test_unused_keys_are_one_warning_with_their_places(load_text: LoadText) -> None:
    manifest = load_text("""
        version: "3.8"
        services:
          web: {image: x, deploy: {resources: {}}}
          app: {image: y, healthcheck: {test: "$$x"}}
        volumes: {v: }
    """)
    (warning,) = manifest.warnings
    assert warning.message == (
        "accepted, but not used by netapply: deploy.resources (a.yaml:4:28), healthcheck (a.yaml:5:19), "
        "image (a.yaml:4:9), version (a.yaml:2:1), volumes (a.yaml:6:1)"
    )


def test_no_environment_value_in_a_message(faults_of: FaultsOf) -> None:
    faults = faults_of("""
        containers:
          a:
            environment:
              GOOD: c4nary
              BAD: [c4nary]
              WORSE: {c4nary: c4nary}
          b: {environment: [[c4nary], "=c4nary"]}
    """)
    assert len(faults) == 4
    assert not any("c4nary" in str(fault) for fault in faults)


def test_extensions_are_free(load_text: LoadText) -> None:
    manifest = load_text("""
        x-top: {1: [2]}
        services:
          web:
            x-a: 1
            ports: [{target: 80, x-b: 1}]
            networks: {front: {x-c: 1}}
            x-netapply: {rootfs: /srv/root}
        networks:
          front: {x-d: 1, ipam: {x-e: 1, config: [{subnet: 10.9.0.0/24, x-f: 1}]}}
    """)
    assert manifest.warnings == ()
    assert manifest.containers[0].rootfs == "/srv/root"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("containers: {a: {network_mode: host, open: [80], x-netapply: {open: [81]}}}", "1:63"),
        (
            "containers: {a: {networks: {default: {gateway: 'service:b', x-netapply: {gateway: 'service:b'}}}}, b: }",
            "1:74",
        ),
        ("containers: {a: {ports: [{target: 80, sources: 10.0.0.0/8, x-netapply: {sources: 10.0.0.0/8}}]}}", "1:73"),
        ("networks: {n: {allow: [m], x-netapply: {allow: [m]}}, m: }", "1:41"),
    ],
)
def test_a_key_of_netapply_stands_in_one_place(faults_of: FaultsOf, text: str, place: str) -> None:
    (fault,) = faults_of(text)
    assert "is given twice; also at a.yaml:1:" in fault.message
    assert str(fault.source) == f"a.yaml:{place}"


def test_a_lengthy_value_is_not_shown_whole(faults_of: FaultsOf) -> None:
    for value in ("b" * 200_000, "b b " * 50_000):
        (fault,) = faults_of(f"containers: {{a: {{hostname: '{value}'}}}}")
        assert "(200000 characters)" in fault.message or "(200002 characters)" in fault.message
        assert len(str(fault)) < 300
