"""Whatever stands in a file, the result is a manifest or a message; never a traceback."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import NetapplyError, Problem
from reconciler.manifest import load
from reconciler.manifest.canonical import canonical, render
from tests.corpus.outcomes import is_same

KEYS = """
    name services containers networks web app default front command environment ports expose networks network_mode
    ipam config subnet gateway ip_range aux_addresses driver driver_opts external internal enable_ipv6 aliases
    ipv4_address ipv6_address mac_address interface_name gw_priority target published host_ip protocol sysctls
    hostname user rootfs profiles x-netapply image com.docker.network.driver.mtu dns dns_search dns_opt links external_links extra_hosts link_local_ips
    env_file extends include parent macvlan_mode ipvlan_mode << 1 container_name command
    open listen floating_ip egress_ip ipc pid uts rm restart scale deploy replicas sources gateway routes to via
    type metric allow network ports host_address masquerade_ports address port interface privileged cap_add
""".split()  # noqa: SIM905  # as one list it is 40 lines
VALUES = """
    80 8080:80 127.0.0.1::53/udp [::1]:1-3:1-3 8080::80 front default service:web host none bridge macvlan true 10.0.0.0/24
    10.0.0.1 fd00::/64 fd00::1 10.0.0.1/24 02:00:00:00:00:01 eth0 A=1 $X ${X:-80} ${X:?no} $ $$ -1 net.ipv4.ip_forward=1 ''
    2 3 0 container:app service:web-1 80-82 192.0.2.1:80 blackhole unicast always on-failure:3 NET_ADMIN 10.1.0.0/16
    h=1.1.1.1 h:::1 h=host-gateway app:alias other/app:x ipvlan overlay eth0.10 passthru ndots:2 . 9.9.9.9 none.env
""".split()  # noqa: SIM905  # as one list it is 40 lines

scalars = (
    st.sampled_from(VALUES) | st.none() | st.booleans() | st.integers(-1, 70000) | st.floats() | st.text(max_size=5)
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=20,
)
containers = st.dictionaries(
    st.sampled_from(["web", "app"]), st.dictionaries(st.sampled_from(KEYS), documents, max_size=5)
)
networks = st.dictionaries(
    st.sampled_from(["front", "default"]), st.dictionaries(st.sampled_from(KEYS), documents, max_size=5)
)


def check(document: Any) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        manifest = load(["-"], stack_name="t", environment={}, stdin=json.dumps(document))
    except NetapplyError as error:
        problems = error.problems
    else:
        again = load(["-"], environment={}, stdin=render(manifest))
        assert canonical(again) == canonical(manifest)
        assert is_same(manifest, again)
        assert is_same(manifest, load(["-"], environment={}, stdin=json.dumps(canonical(manifest))))
    assert all(problem.source for problem in problems)


@given(st.fixed_dictionaries({"containers": containers, "networks": networks}))
def test_near_misses(document: dict[str, Any]) -> None:
    check(document)


@given(documents)
def test_anything(document: Any) -> None:
    check(document)
