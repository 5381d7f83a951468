"""Whatever the policies, nftables lists them so that they are read back, and changes lead from any to any others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.firewall.allow import AllowPolicy
from reconciler.firewall.opening import Opening
from reconciler.firewall.policy import NetworkPolicy, PublishedPort, StackPolicy
from reconciler.firewall.spans import OpenSpan, collapsed, disjoint
from reconciler.firewall.translation import EgressPolicy, FloatingPolicy
from reconciler.kernel import nftables
from reconciler.kernel.libnftables import Nftables
from reconciler.plan.change import Create
from reconciler.plan.diff import diff
from reconciler.state import State
from tests.kernel.lab import Host
from tests.kernel.nftables_host import BASE, in_host

SUBNETS4 = st.sampled_from(
    ["10.0.0.0/8", "10.1.2.3/32", "192.0.2.0/25", "192.0.2.128/25", "0.0.0.0/0", "172.16.0.0/12"]
)
SUBNETS6 = st.sampled_from(["2001:db8::/32", "2001:db8::7/128", "fd00::/64", "::/0"])
PROTOCOLS = st.sampled_from(["tcp", "udp", "sctp"])
# Spans that begin or end at powers of two could be listed as prefixes.
EDGES = st.sampled_from([1, 80, 1023, 1024, 4096, 8000, 8191, 8192, 65535])
LABELS = st.sampled_from(["shop/web", "shop/app", "blog/web", f"{'s' * 63}/{'c' * 63}"])
NETWORKS = [NetworkPolicy("shop", f"shop/{name}", f"br-{name}", (f"10.{n}.0.0/24",)) for n, name in enumerate("ab")]
# Few, so that networks share them.
RANGES = st.sampled_from([None, (1, 65535), (1024, 2047), (1024, 1024)])


@st.composite
def spans(draw: st.DrawFn) -> OpenSpan:
    first, last = sorted((draw(EDGES), draw(EDGES)))
    return OpenSpan(draw(PROTOCOLS), first, last, collapsed(draw(st.lists(SUBNETS4 | SUBNETS6, max_size=3))))


def openings(label: str, wanted: list[OpenSpan]) -> list[Opening]:
    return [Opening(label.partition("/")[0], label, *span) for span in disjoint(wanted)]


@st.composite
def ports(draw: st.DrawFn) -> PublishedPort:
    family6, routed, label = draw(st.booleans()), draw(st.booleans()), draw(LABELS)
    target = "fd00::2" if family6 else "10.0.0.2"
    host = target if routed else draw(st.sampled_from(["::", "2001:db8::1"] if family6 else ["0.0.0.0", "192.0.2.1"]))
    number = draw(EDGES)
    sources = collapsed(draw(st.lists(SUBNETS6 if family6 else SUBNETS4, max_size=2)))
    return PublishedPort(
        label.partition("/")[0], label, draw(PROTOCOLS), host, number, target, number, routed, None, sources
    )


def _place(port: PublishedPort) -> tuple[str, int, int, bool]:
    return port.protocol, port.host_port, port.family, port.routed


@st.composite
def policies(draw: st.DrawFn) -> State:
    found: list[StackPolicy] = [replace(each, masquerade_ports=draw(RANGES)) for each in NETWORKS]
    for label, wanted in draw(st.dictionaries(LABELS, st.lists(spans(), max_size=3), max_size=3)).items():
        found += openings(label, wanted)
    # One port at one address has one holder, as planning sees to.
    published: list[PublishedPort] = draw(st.lists(ports(), max_size=4, unique_by=_place))
    found += published
    if draw(st.booleans()):
        allowed = disjoint(span._replace(sources=()) for span in draw(st.lists(spans(), max_size=3)))
        found.append(AllowPolicy("shop", "shop/a", "br-a", "br-b", tuple(span[:3] for span in allowed)))
    for label, address in draw(st.dictionaries(LABELS, st.sampled_from(["10.0.0.2", "10.1.0.9"]), max_size=1)).items():
        found.append(FloatingPolicy(label.partition("/")[0], label, "192.0.2.50", address))
        found.append(EgressPolicy(label.partition("/")[0], label, "192.0.2.50", address))
    return State([BASE, *found])


def test_policies_read_back(host: Host) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(policies(), policies())
    def each(first: State, second: State) -> None:
        def work(opened: Nftables) -> None:
            nftables.apply(opened, [Create(resource) for resource in first])
            assert State(nftables.observe(opened)) == first
            changes: Any = diff(first, second)
            nftables.apply(opened, changes)
            assert State(nftables.observe(opened)) == second
            opened.run("delete table inet netapply")

        in_host(host, work)

    each()
