"""Host ports: who may have which, against the kernel's relation and against a search through all choices."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reconciler.desired.build import desired
from reconciler.errors import NetapplyError
from reconciler.firewall.policy import PublishedPort
from reconciler.manifest.model import Attachment, Container, Manifest, Network, PortMapping
from reconciler.observation import Facts, Listener, Observation
from reconciler.resources.agent import HeldPorts
from reconciler.state import State
from tests.property.simulation import as_observed
from tests.property.strategies import scope, seen

NOTHING = Observation(State())
WILDCARDS = ("0.0.0.0", "::")

hosts = st.sampled_from([None, "0.0.0.0", "::", "127.0.0.1", "127.0.0.2", "::1", "fd00::1"])
spans = st.tuples(st.integers(100, 103), st.integers(0, 3)).map(lambda pair: (pair[0], min(pair[0] + pair[1], 104)))


def stack(*mappings: PortMapping, name: str = "shop") -> Manifest:
    """One container for each mapping."""
    network = Network("front", f"{name}_front", enable_ipv6=True)
    containers = tuple(
        Container(f"c{number}", attachments=(Attachment("front"),), ports=(mapping,))
        for number, mapping in enumerate(mappings)
    )
    return Manifest(name, named=True, origin=f"/{name}.yaml", networks=(network,), containers=containers)


def ports(state: State) -> list[PublishedPort]:
    return [resource for resource in state if isinstance(resource, PublishedPort)]


def meet(one: PublishedPort, other: PublishedPort) -> bool:
    """Whether two sockets cannot both be bound so (IPv6 ones for IPv6 only)."""
    if (one.family, one.protocol, one.host_port) != (other.family, other.protocol, other.host_port):
        return False
    return one.host_address == other.host_address or not {one.host_address, other.host_address}.isdisjoint(WILDCARDS)


def answers(spans_and_hosts: list[tuple[tuple[int, int], str | None]]) -> bool:
    """Whether some choice of ports serves all."""
    choices = [range(first, last + 1) for (first, last), _ in spans_and_hosts]
    for chosen in product(*choices):
        bound = [
            (address, port)
            for port, (_, host) in zip(chosen, spans_and_hosts, strict=True)
            for address in ((host,) if host else WILDCARDS)
        ]
        if len(set(bound)) == len(bound):
            return True
    return False


@given(st.lists(spans, min_size=1, max_size=5))
def test_ranges_find_ports_whenever_some_choice_serves_all(asked: list[tuple[int, int]]) -> None:
    manifest = stack(*(PortMapping(80, span) for span in asked))
    if not answers([(span, None) for span in asked]):
        with pytest.raises(NetapplyError):
            desired(scope(manifest), NOTHING)
        return
    found = ports(desired(scope(manifest), NOTHING))
    assert len(found) == 2 * len(asked)
    for place, port in enumerate(found):
        first, last = asked[int(port.container.removeprefix("shop/c"))]
        assert first <= port.host_port <= last
        assert not any(meet(port, other) for other in found[:place])


@given(hosts, hosts, st.sampled_from([100, 101]), st.sampled_from(["tcp", "udp"]), st.booleans())
def test_two_fixed_ports_clash_exactly_when_two_sockets_would(
    first: str | None, second: str | None, port: int, protocol: str, same_stack: bool
) -> None:
    one, other = PortMapping(80, (100, 100), first), PortMapping(80, (port, port), second, protocol)
    alone = ports(desired(scope(stack(one)), NOTHING)), ports(desired(scope(stack(other)), NOTHING))
    clash = any(meet(a, b) for a in alone[0] for b in alone[1])
    if same_stack:
        manifest, observation = stack(one, other), NOTHING
    else:
        manifest, observation = stack(other), seen(as_observed(desired(scope(stack(one, name="blog")), NOTHING)))
    if clash:
        with pytest.raises(NetapplyError, match="published"):
            desired(scope(manifest), observation)
    else:
        assert len(ports(desired(scope(manifest), observation))) == len(alone[0]) + len(alone[1])


@given(hosts, hosts.filter(bool), st.sampled_from(["tcp", "udp"]))
def test_a_foreign_listener_hinders_exactly_where_two_sockets_would_clash(
    host: str | None, listening: str, protocol: str
) -> None:
    manifest = stack(PortMapping(80, (100, 100), host))
    wanted = ports(desired(scope(manifest), NOTHING))
    listener = PublishedPort("", "", protocol, listening, 100, "", 0)
    observation = Observation(State(), Facts(listeners=(Listener(protocol, listening, 100, "sshd (process 7)"),)))
    if any(meet(port, listener) for port in wanted):
        with pytest.raises(NetapplyError, match=r"port 100/tcp of the host is in use by sshd \(process 7\)"):
            desired(scope(manifest), observation)
    else:
        assert ports(desired(scope(manifest), observation)) == wanted


@given(st.lists(st.tuples(st.sampled_from([80, 81, 82]), st.sampled_from(["tcp", "udp"])), unique=True, min_size=1))
def test_dynamic_ports_stay_whoever_else_comes(asked: list[tuple[int, str]]) -> None:
    mappings = [PortMapping(target, None, None, protocol) for target, protocol in asked]
    narrow = Facts(ephemeral_ports=(40_000, 40_007))
    first = desired(scope(stack(mappings[0])), Observation(State(), narrow))
    later = desired(scope(stack(*mappings)), seen(as_observed(first), narrow))
    kept = {port.key: port for port in ports(later)}
    assert all(kept[port.key] == port for port in ports(first))
    assert all(40_000 <= port.host_port <= 40_007 for port in ports(later))
    assert len({(p.family, p.protocol, p.host_port) for p in ports(later)}) == len(ports(later))


@given(st.lists(spans, min_size=1, max_size=4), hosts)
def test_what_is_published_is_held(asked: list[tuple[int, int]], host: str | None) -> None:
    manifest = stack(*(PortMapping(80, span, host) for span in asked))
    assume(answers([(span, host) for span in asked]))
    state = desired(scope(manifest), NOTHING)
    (held,) = (resource for resource in state if isinstance(resource, HeldPorts))
    assert list(held.pins) == sorted((p.protocol, p.host_address, p.host_port) for p in ports(state))
